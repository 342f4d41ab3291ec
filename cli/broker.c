/* SPDX-License-Identifier: Apache-2.0 */

/* Which broker, and the way to it. */

#include "cli/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "base/runtime_path.h"

/* ---- options -------------------------------------------------------------------------------- */

static int read_timeout(int *ret, const char *value, struct wps_error *error)
{
    char *end;
    errno = 0;
    long ms = strtol(value, &end, 10);
    if (errno || end == value || *end || ms < 1 || ms > CONTROL_TIMEOUT_MS_MAX)
        return wps_error_set(error, -EINVAL,
                             "--timeout-ms: expected milliseconds from 1 to %d, got '%s'",
                             CONTROL_TIMEOUT_MS_MAX, value);
    *ret = (int)ms;
    return 1;
}

int broker_option(struct broker_options *options, int option, const char *value,
                  struct wps_error *error)
{
    switch (option) {
    case BROKER_OPTION_ENDPOINT:
        options->endpoint = value;
        return 1;
    case BROKER_OPTION_RUNTIME_DIR:
        options->runtime_dir = value;
        return 1;
    case BROKER_OPTION_CURVE_SECRET:
        options->curve_secret = value;
        return 1;
    case BROKER_OPTION_CURVE_SERVER:
        options->curve_server = value;
        return 1;
    case BROKER_OPTION_TIMEOUT_MS:
        return read_timeout(&options->timeout_ms, value, error);
    default:
        return 0;
    }
}

/* ---- where it is ---------------------------------------------------------------------------- */

/* The runtime directory of a broker whose endpoint was given: its socket is commonly there, beside
 * the lock of the broker. Null: it cannot be known. */
static char *runtime_of(const char *endpoint)
{
    _cleanup_free_ char *directory = NULL, *lock = NULL;
    if (strncmp(endpoint, "ipc:///", 7) != 0 || !(directory = strdup(endpoint + 6)))
        return NULL;
    *strrchr(directory, '/') = '\0';
    if (asprintf(&lock, "%s/wpsd.lock", directory) < 0)
        lock = NULL;
    return lock && access(lock, F_OK) == 0 ? take_ptr(directory) : NULL;
}

static int find(struct broker *broker, const struct broker_options *options,
                struct wps_error *error)
{
    int result = 0;
    if (!options->endpoint || options->runtime_dir)
        result = runtime_path_resolve(options->runtime_dir, &broker->runtime, error);
    if (result < 0)
        return result;
    if (!options->endpoint)
        return control_client_endpoint(broker->runtime, &broker->endpoint, error);
    if (!broker->runtime)
        broker->runtime = runtime_of(options->endpoint);
    broker->endpoint = strdup(options->endpoint);
    return broker->endpoint ? 0 : wps_error_system(error, -ENOMEM, "finding the broker");
}

/* ---- the way to it -------------------------------------------------------------------------- */

int broker_open(struct broker *ret, const struct broker_options *options, struct wps_error *error)
{
    struct broker broker = {.timeout_ms = options->timeout_ms,
                            .curve_secret = options->curve_secret,
                            .curve_server = options->curve_server};
    int result = find(&broker, options, error);
    if (result == 0)
        result =
            client_keys_read(&broker.keys, options->curve_secret, options->curve_server, error);
    if (result == 0 && !(broker.context = zmq_ctx_new()))
        result = wps_error_system(error, -errno, "cannot use ZeroMQ");
    if (result == 0)
        result = control_client_open(&broker.client, broker.context, broker.endpoint, error);
    if (result == 0)
        control_client_use_keys(broker.client, &broker.keys);
    if (result < 0) {
        broker_close(&broker);
        return result;
    }
    *ret = broker;
    return 0;
}

char *broker_beside(const struct broker *self, const char *name)
{
    char *endpoint;
    const char *slash = strrchr(self->endpoint, '/');
    if (strncmp(self->endpoint, "ipc://", 6) != 0)
        return NULL;
    int size = (int)(slash + 1 - self->endpoint);
    return asprintf(&endpoint, "%.*s%s", size, self->endpoint, name) < 0 ? NULL : endpoint;
}

int broker_ask(struct broker *self, const struct control_request *request,
               const msgpack_object **ret_data, enum errorcode *ret_refusal,
               struct wps_error *error)
{
    return control_client_ask(self->client, request, self->timeout_ms, ret_data, ret_refusal,
                              error);
}

void broker_close(struct broker *self)
{
    control_client_close(&self->client);
    while (self->context && zmq_ctx_term(self->context) < 0 && errno == EINTR)
        ;
    certificate_clear(&self->keys.own);
    free(self->endpoint);
    free(self->runtime);
    *self = (struct broker){0};
}
