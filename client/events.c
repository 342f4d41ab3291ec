/* SPDX-License-Identifier: Apache-2.0 */

/* The subscriber as users have it: its events are copies with strings of C, and its descriptor
 * tells states. */

#include "client/events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/answer.h"
#include "client/ask.h"
#include "client/subscriber.h"

#define SYNC_EVENT "proctrack:sync"

enum { SYNC_AGAIN_MS = 50 }; /* a sync event that came before the subscription is lost */

struct delivered {
    TAILQ_ENTRY(delivered) link;
    struct proctrack_event shown;
    struct event_doc doc;
    char bytes[]; /* of the topic and of the body, each with a NUL behind it */
};

TAILQ_HEAD(delivered_list, delivered);

struct proctrack_subscriber {
    struct proctrack *connection;
    struct subscriber *events;
    struct delivered_list kept; /* that came while sync waited */
    struct delivered *last;     /* null: none */
    int epoll, wake;            /* wake is readable while there is something that ZeroMQ's is not */
};

static int fail(struct proctrack_error *error, int code, const char *what)
{
    struct wps_error why;
    wps_error_set(&why, code, "%s: %s", what, zmq_strerror(-code));
    return connection_fail(error, code, &why);
}

/* ---- one event ------------------------------------------------------------------------------ */

static void delivered_free(struct delivered *self)
{
    if (!self)
        return;
    event_close(&self->doc);
    free(self);
}

static char *put(char *at, struct text text)
{
    text_copy(at, text);
    at[text.size] = '\0';
    return at + text.size + 1;
}

static int show(struct delivered *self)
{
    const struct event *event = &self->doc.event;
    struct proctrack_event *shown = &self->shown;
    msgpack_zone *zone = self->doc.doc.zone;
    const char **scopes =
        zone ? msgpack_zone_malloc(zone, (event->n_scopes + 1) * sizeof *scopes) : NULL;
    if (!scopes)
        return -ENOMEM;
    answer_end_strings(&self->doc.doc.root);
    for (size_t i = 0; i < event->n_scopes; i++)
        scopes[i] = event->scopes[i].size ? event->scopes[i].at : "";
    shown->event = event->event.at;
    shown->scopes = scopes;
    shown->n_scopes = event->n_scopes;
    shown->sender = event->sender.size ? event->sender.at : "";
    shown->data = (const struct proctrack_value *)wire_get(&self->doc.doc.root, "data");
    shown->block_id = proctrack_value_str(proctrack_value_get(shown->data, "block_id"), NULL);
    shown->epoch = proctrack_value_str(proctrack_value_get(shown->data, "epoch"), "");
    shown->seq = proctrack_value_uint(proctrack_value_get(shown->data, "seq"), 0);
    return 0;
}

/* Copies the event that was received last. Null: no memory. */
static struct delivered *delivered_new(const struct subscriber *events)
{
    struct text topic, body;
    subscriber_raw(events, &topic, &body);
    struct delivered *self = calloc(1, sizeof *self + topic.size + body.size + 2);
    if (!self)
        return NULL;
    char *at = put(self->bytes, topic);
    put(at, body);
    self->shown.scope = self->bytes;
    if (event_open(&self->doc, at, body.size, "", NULL) < 0 || show(self) < 0) {
        delivered_free(self);
        return NULL;
    }
    return self;
}

/* ---- the descriptor ------------------------------------------------------------------------- */

/* ZeroMQ's descriptor tells changes: whoever did something with the socket says here what is left.
 */
static void tell(const struct proctrack_subscriber *self)
{
    eventfd_t n;
    if (!TAILQ_EMPTY(&self->kept) || subscriber_is_readable(self->events))
        eventfd_write(self->wake, 1);
    else
        eventfd_read(self->wake, &n);
}

static int watch(const struct proctrack_subscriber *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_descriptors(struct proctrack_subscriber *self)
{
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->wake = self->epoll < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake < 0)
        return -errno;
    int result = watch(self, self->wake);
    return result < 0 ? result : watch(self, subscriber_fd(self->events));
}

int proctrack_subscriber_fd(const struct proctrack_subscriber *self)
{
    return self->epoll;
}

/* ---- its life ------------------------------------------------------------------------------- */

int proctrack_subscriber_open(struct proctrack_subscriber **ret, struct proctrack *connection,
                              struct proctrack_error *error)
{
    struct wps_error why;
    struct proctrack_subscriber *self = calloc(1, sizeof *self);
    if (!self)
        return fail(error, -ENOMEM, "cannot make a subscriber");
    *self = (struct proctrack_subscriber){.connection = connection, .epoll = -1, .wake = -1};
    TAILQ_INIT(&self->kept);
    int result = subscriber_open_with_keys(&self->events, connection->context, connection->events,
                                           &connection->keys, &why);
    if (result == 0 && (result = open_descriptors(self)) < 0)
        wps_error_system(&why, result, "cannot make a subscriber");
    if (result < 0) {
        proctrack_subscriber_close(&self);
        return connection_fail(error, result, &why);
    }
    *ret = self;
    return 0;
}

void proctrack_subscriber_close(struct proctrack_subscriber **self_p)
{
    struct proctrack_subscriber *self = take_ptr(*self_p);
    if (!self)
        return;
    for (struct delivered *kept; (kept = TAILQ_FIRST(&self->kept));) {
        TAILQ_REMOVE(&self->kept, kept, link);
        delivered_free(kept);
    }
    delivered_free(self->last);
    cleanup_close(&self->epoll);
    cleanup_close(&self->wake);
    subscriber_close(&self->events);
    free(self);
}

/* ---- subscriptions -------------------------------------------------------------------------- */

int proctrack_subscriber_subscribe(struct proctrack_subscriber *self, const char *event,
                                   const char *const *scopes, size_t n_scopes,
                                   struct proctrack_error *error)
{
    struct wps_error why;
    int result = subscriber_subscribe(self->events, event, scopes, n_scopes, &why);
    tell(self);
    return result < 0 ? connection_fail(error, result, &why) : 0;
}

int proctrack_subscriber_subscribe_all(struct proctrack_subscriber *self, const char *event,
                                       struct proctrack_error *error)
{
    struct wps_error why;
    int result = subscriber_subscribe_all(self->events, event, &why);
    tell(self);
    return result < 0 ? connection_fail(error, result, &why) : 0;
}

static bool is_of(const struct delivered *kept, const char *event)
{
    return strcmp(kept->shown.event, event) == 0;
}

int proctrack_subscriber_unsubscribe(struct proctrack_subscriber *self, const char *event)
{
    int result = subscriber_unsubscribe(self->events, event);
    struct delivered *kept, *next;
    for (kept = TAILQ_FIRST(&self->kept); kept; kept = next) {
        next = TAILQ_NEXT(kept, link);
        if (is_of(kept, event)) {
            TAILQ_REMOVE(&self->kept, kept, link);
            delivered_free(kept);
        }
    }
    tell(self);
    return result;
}

/* ---- sync ----------------------------------------------------------------------------------- */

static int publish_sync(struct proctrack_subscriber *self, const char *scope,
                        struct proctrack_error *error)
{
    const struct proctrack_field fields[] = {
        proctrack_str("event", SYNC_EVENT),
        proctrack_strs("scopes", &scope, 1),
    };
    struct proctrack_request request = PROCTRACK_REQUEST;
    request.command = "eventpublish";
    request.fields = fields;
    request.n_fields = 2;
    request.rpc = true;
    request.repeat = true;
    return proctrack_ask(self->connection, &request, NULL, error);
}

/* Keeps what comes until it is the sync event: 1; 0: it did not come in time. */
static int await_sync(struct proctrack_subscriber *self, const char *scope, int64_t end_ms)
{
    for (;;) {
        const struct event *event;
        int64_t left = end_ms - monotonic_ms();
        int result = subscriber_receive(self->events, left > 0 ? (int)left : 0, &event);
        if (result < 0)
            return result == -EAGAIN ? 0 : result == -EINTR ? 0 : result;
        struct delivered *kept = delivered_new(self->events);
        if (!kept)
            return -ENOMEM;
        if (is_of(kept, SYNC_EVENT) && strcmp(kept->shown.scope, scope) == 0) {
            delivered_free(kept);
            return 1;
        }
        TAILQ_INSERT_TAIL(&self->kept, kept, link);
    }
}

static int await_all(struct proctrack_subscriber *self, const char *scope, int timeout_ms,
                     struct proctrack_error *error)
{
    const int64_t end_ms = monotonic_ms() + timeout_ms;
    for (;;) {
        int64_t until_ms = monotonic_ms() + SYNC_AGAIN_MS;
        int result = publish_sync(self, scope, error);
        if (result < 0)
            return result;
        result = await_sync(self, scope, until_ms < end_ms ? until_ms : end_ms);
        if (result == 1)
            return 0;
        if (result < 0)
            return fail(error, result, "cannot wait for subscriptions");
        if (monotonic_ms() >= end_ms)
            return fail(error, -ETIMEDOUT, "the broker did not take over the subscriptions");
    }
}

int proctrack_subscriber_sync(struct proctrack_subscriber *self, int timeout_ms,
                              struct proctrack_error *error)
{
    uint64_t nonce[2] = {(uintptr_t)self, monotonic_ns()};
    char scope[64];
    ssize_t got = getrandom(nonce, sizeof nonce, 0);
    (void)got; /* what stands there is as good as unique */
    snprintf(scope, sizeof scope, "sync:%016llx%016llx", (unsigned long long)nonce[0],
             (unsigned long long)nonce[1]);
    const char *const scopes[] = {scope};
    int result = proctrack_subscriber_subscribe(self, SYNC_EVENT, scopes, 1, error);
    if (result < 0)
        return result;
    result = await_all(self, scope, timeout_ms, error);
    proctrack_subscriber_unsubscribe(self, SYNC_EVENT);
    return result;
}

/* ---- receiving ------------------------------------------------------------------------------ */

int proctrack_subscriber_receive(struct proctrack_subscriber *self, int timeout_ms,
                                 const struct proctrack_event **ret, struct proctrack_error *error)
{
    const struct event *event;
    int result = 1;
    delivered_free(self->last);
    self->last = TAILQ_FIRST(&self->kept);
    if (self->last)
        TAILQ_REMOVE(&self->kept, self->last, link);
    else if ((result = subscriber_receive(self->events, timeout_ms, &event)) == 1)
        self->last = delivered_new(self->events);
    tell(self);
    if (result == -EAGAIN)
        return 0;
    if (result == 1 && !self->last)
        result = -ENOMEM;
    if (result < 0)
        return fail(error, result, "cannot receive an event");
    *ret = &self->last->shown;
    return 1;
}

uint64_t proctrack_subscriber_malformed(const struct proctrack_subscriber *self)
{
    return subscriber_malformed(self->events);
}
