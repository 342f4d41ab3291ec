/* SPDX-License-Identifier: Apache-2.0 */

/* Requests and answers. */

#include "cli/exporter/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/openmetrics.h"

struct http {
    struct MHD_Daemon *daemon;
    struct collector *collector;
    bool loopback;
    int timeout_ms;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    size_t n_open; /* under the lock: requests that are neither answered nor given up */
};

static const char index_page[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\"><head><title>proctrack exporter</title></head><body>\n"
    "<h1>proctrack exporter " PROCTRACK_VERSION "</h1>\n"
    "<p><a href=\"/metrics\">/metrics</a>: what the broker and its module count.</p>\n"
    "</body></html>\n";

/* ---- answers -------------------------------------------------------------------------------- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              const char *text, size_t size, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(size, (void *)text, mode);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (status == MHD_HTTP_CONTENT_TOO_LARGE) /* what would come is not read */
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status,
                              const char *sentence)
{
    return answer(connection, status, "text/plain; charset=utf-8", sentence, strlen(sentence),
                  MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result answer_index(struct MHD_Connection *connection, unsigned status)
{
    return answer(connection, status, "text/html; charset=utf-8", index_page, sizeof index_page - 1,
                  MHD_RESPMEM_PERSISTENT);
}

/* ---- requests ------------------------------------------------------------------------------- */

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* How long a scrape may take: less than its client waits, where that is said. */
static int timeout_of(const struct http *http, struct MHD_Connection *connection)
{
    const char *said = header(connection, "X-Prometheus-Scrape-Timeout-Seconds");
    double ms = said ? strtod(said, NULL) * 1000 : 0;
    if (!(ms > 0 && ms < http->timeout_ms + HTTP_TIMEOUT_MARGIN_MS))
        return http->timeout_ms;
    ms -= HTTP_TIMEOUT_MARGIN_MS;
    return ms > HTTP_TIMEOUT_MIN_MS ? (int)ms : HTTP_TIMEOUT_MIN_MS;
}

static enum MHD_Result answer_metrics(struct http *http, struct MHD_Connection *connection,
                                      bool waited)
{
    const char *accept = header(connection, MHD_HTTP_HEADER_ACCEPT);
    bool classic = !accept || !strcasestr(accept, "application/openmetrics-text");
    char *text;
    size_t size;
    switch (collector_take(http->collector, connection, waited, timeout_of(http, connection),
                           classic, &text, &size)) {
    case COLLECTED:
        return answer(connection, MHD_HTTP_OK,
                      classic ? OPENMETRICS_TYPE_CLASSIC : OPENMETRICS_TYPE, text, size,
                      MHD_RESPMEM_MUST_FREE);
    case COLLECTED_LATER:
        return MHD_YES;
    case COLLECTED_NEVER:
        break;
    }
    return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the exporter ends, or has no room\n");
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *length = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING) ||
           (length && strcmp(length, "0") != 0);
}

static char seen, asked; /* how far a request is: its state points there */

static void count_open(struct http *http, int n)
{
    pthread_mutex_lock(&http->lock);
    http->n_open += (size_t)n;
    pthread_cond_signal(&http->answered);
    pthread_mutex_unlock(&http->lock);
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode how)
{
    (void)connection, (void)how;
    if (*state)
        count_open(context, -1);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    (void)version, (void)upload, (void)upload_size;
    struct http *http = context;
    const char *host = header(connection, MHD_HTTP_HEADER_HOST);
    if (has_body(connection))
        return refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE, "no body is taken here\n");
    if (!*state) { /* an answer before the request is whole would close the connection */
        *state = &seen;
        count_open(http, 1);
        return MHD_YES;
    }
    bool waited = *state == &asked;
    *state = &asked;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
    if (http->loopback && host && !listen_host_is_loopback(host))
        return refuse(connection, MHD_HTTP_MISDIRECTED_REQUEST,
                      "this is served to localhost, by that name or by its address\n");
    if (strcmp(url, "/metrics") == 0)
        return answer_metrics(http, connection, waited);
    return answer_index(connection, strcmp(url, "/") == 0 ? MHD_HTTP_OK : MHD_HTTP_NOT_FOUND);
}

/* ---- its life ------------------------------------------------------------------------------- */

static void hold(void *connection)
{
    MHD_suspend_connection(connection);
}

static void go_on(void *connection)
{
    MHD_resume_connection(connection);
}

static int start_daemon(struct http *self, struct listener *listener, struct wps_error *error)
{
    self->daemon = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0,
        NULL, NULL, handle, self, MHD_OPTION_LISTEN_SOCKET, listener->fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTP_IDLE_S, MHD_OPTION_NOTIFY_COMPLETED, completed, self,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEAD_BYTES_MAX, MHD_OPTION_END);
    if (!self->daemon)
        return wps_error_set(error, -EIO, "cannot serve HTTP on %s", listener->url);
    take_fd(&listener->fd);
    return 0;
}

int http_start(struct http **ret, struct listener *listener, struct scrape *scrape, int timeout_ms,
               struct wps_error *error)
{
    static const struct collector_hooks hooks = {hold, go_on};
    struct http *self = calloc(1, sizeof *self);
    if (!self)
        return wps_error_system(error, -ENOMEM, "cannot serve HTTP");
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->answered, NULL);
    self->loopback = listener->loopback;
    self->timeout_ms = timeout_ms;
    int result = collector_start(&self->collector, scrape, &hooks, error);
    if (result == 0)
        result = start_daemon(self, listener, error);
    if (result < 0) {
        http_stop(&self);
        return result;
    }
    *ret = self;
    return 0;
}

/* The daemon would drop what it has not sent: a moment for those who were let go on. */
static void wait_answered(struct http *self)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HTTP_END_S;
    pthread_mutex_lock(&self->lock);
    while (self->n_open > 0 && pthread_cond_timedwait(&self->answered, &self->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&self->lock);
}

void http_stop(struct http **self_p)
{
    struct http *self = take_ptr(*self_p);
    if (!self)
        return;
    if (self->collector)
        collector_stop(self->collector); /* before: none may be held when the daemon stops */
    if (self->daemon) {
        wait_answered(self);
        MHD_stop_daemon(self->daemon);
    }
    collector_free(&self->collector);
    pthread_cond_destroy(&self->answered);
    pthread_mutex_destroy(&self->lock);
    free(self);
}
