/* SPDX-License-Identifier: Apache-2.0 */

/* Where a broker is, and the context of ZeroMQ. */

#include "client/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "base/runtime_path.h"

enum { TIMEOUT_MS_DEFAULT = 5000 };

const char *proctrack_version(void)
{
    return PROCTRACK_VERSION;
}

const char *proctrack_errorcode_name(enum proctrack_errorcode code)
{
    if (code <= PROCTRACK_NOT_REFUSED || code > PROCTRACK_INTERNAL)
        return "";
    return errorcode_name((enum errorcode)(code - PROCTRACK_BAD_REQUEST));
}

int connection_fail(struct proctrack_error *error, int code, const struct wps_error *why)
{
    if (error) {
        *error = (struct proctrack_error){0};
        snprintf(error->message, sizeof error->message, "%s", why->message);
    }
    return code;
}

void connection_copy_options(void *ours, size_t our_size, const void *theirs)
{
    uint32_t size;
    memset(ours, 0, our_size);
    if (!theirs)
        return;
    memcpy(&size, theirs, sizeof size);
    memcpy(ours, theirs, size < our_size ? size : our_size);
}

/* ---- endpoints ------------------------------------------------------------------------------ */

static int check_endpoint(const char *endpoint, struct wps_error *error)
{
    static const char ipc[] = "ipc://";
    const size_t longest = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (!strstr(endpoint, "://"))
        return wps_error_set(error, -EINVAL,
                             "'%s' is no endpoint: expected ipc://PATH or tcp://HOST:PORT",
                             endpoint);
    if (strncmp(endpoint, ipc, strlen(ipc)) == 0 && strlen(endpoint) - strlen(ipc) > longest)
        return wps_error_set(error, -ENAMETOOLONG,
                             "%s: the path of a socket has at most %zu bytes: set WPS_RUNTIME_DIR "
                             "to a shorter one",
                             endpoint, longest);
    return 0;
}

/* The one that was given, or the socket of that name in the runtime directory. */
static int find_endpoint(char **ret, const char *given, const char *runtime, const char *name,
                         struct wps_error *error)
{
    _cleanup_free_ char *endpoint = NULL;
    if (given)
        endpoint = strdup(given);
    else if (asprintf(&endpoint, "ipc://%s/%s", runtime, name) < 0)
        endpoint = NULL;
    if (!endpoint)
        return wps_error_system(error, -ENOMEM, "cannot make a connection");
    int result = check_endpoint(endpoint, error);
    if (result == 0)
        *ret = take_ptr(endpoint);
    return result;
}

static int find_endpoints(struct proctrack *self, const struct proctrack_options *options,
                          struct wps_error *error)
{
    _cleanup_free_ char *runtime = NULL;
    bool all_given = options->events && options->rpc && options->control;
    int result = all_given ? 0 : runtime_path_resolve(options->runtime_dir, &runtime, error);
    if (result == 0)
        result = find_endpoint(&self->events, options->events, runtime, "events", error);
    if (result == 0)
        result = find_endpoint(&self->rpc, options->rpc, runtime, "rpc", error);
    if (result == 0)
        result = find_endpoint(&self->control, options->control, runtime, "control", error);
    return result;
}

/* ---- asking --------------------------------------------------------------------------------- */

int connection_client(struct proctrack *self, bool rpc, struct control_client **ret,
                      struct wps_error *error)
{
    struct control_client **client = rpc ? &self->rpc_client : &self->control_client;
    if (!*client) {
        int result =
            control_client_open(client, self->context, rpc ? self->rpc : self->control, error);
        if (result < 0)
            return result;
        control_client_use_keys(*client, &self->keys);
    }
    *ret = *client;
    return 0;
}

/* ---- its life ------------------------------------------------------------------------------- */

static int open_all(struct proctrack *self, const struct proctrack_options *options,
                    struct wps_error *error)
{
    int result = find_endpoints(self, options, error);
    if (result == 0)
        result = client_keys_read(&self->keys, options->curve_secret, options->curve_server, error);
    if (result < 0)
        return result;
    self->owns_context = !options->zmq_context;
    self->context = options->zmq_context ? options->zmq_context : zmq_ctx_new();
    if (!self->context)
        return wps_error_system(error, -errno, "cannot use ZeroMQ");
    return 0;
}

int proctrack_connect(struct proctrack **ret, const struct proctrack_options *options,
                      struct proctrack_error *error)
{
    struct wps_error why = {""};
    struct proctrack_options ours;
    connection_copy_options(&ours, sizeof ours, options);
    struct proctrack *self = calloc(1, sizeof *self);
    if (!self)
        return connection_fail(error, -ENOMEM, &(struct wps_error){"no memory for a connection"});
    self->timeout_ms = ours.timeout_ms ? ours.timeout_ms : TIMEOUT_MS_DEFAULT;
    int result = open_all(self, &ours, &why);
    if (result < 0) {
        proctrack_close(&self);
        return connection_fail(error, result, &why);
    }
    *ret = self;
    return 0;
}

void proctrack_close(struct proctrack **self_p)
{
    struct proctrack *self = take_ptr(*self_p);
    if (!self)
        return;
    control_client_close(&self->control_client);
    control_client_close(&self->rpc_client);
    while (self->owns_context && self->context && zmq_ctx_term(self->context) < 0 && errno == EINTR)
        ;
    certificate_clear(&self->keys.own);
    free(self->events);
    free(self->rpc);
    free(self->control);
    free(self);
}
