/* SPDX-License-Identifier: Apache-2.0 */

/* One SUB socket, a list of subscriptions, and the event that was delivered last. */

#include "client/subscriber.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/scopes.h"

enum { UNREAD_MAX = 100000 }; /* messages that may wait for us on our side */

/* What is wanted of one event. */
struct interest {
    TAILQ_ENTRY(interest) link;
    struct text event;
    struct subscription wanted;
    struct text scopes[]; /* and behind them the bytes of all */
};

TAILQ_HEAD(interests, interest);

struct subscriber {
    void *socket;
    struct interests interests;
    zmq_msg_t topic, body; /* of the last message; `event` is a view of it */
    struct event_doc event;
    uint64_t malformed;
};

/* ---- its life ------------------------------------------------------------------------------ */

static int socket_connect(void *socket, const char *endpoint, const struct client_keys *keys)
{
    const int none = 0, unread = UNREAD_MAX;
    /* Subscriptions travel under the marks for sending: none may be dropped there. */
    if (zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none) < 0 ||
        zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none) < 0 ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &unread, sizeof unread) < 0 ||
        client_keys_use(keys, socket) < 0 || zmq_connect(socket, endpoint) < 0)
        return -errno;
    return 0;
}

int subscriber_open(struct subscriber **ret, void *context, const char *endpoint,
                    struct wps_error *error)
{
    return subscriber_open_with_keys(ret, context, endpoint, NULL, error);
}

int subscriber_open_with_keys(struct subscriber **ret, void *context, const char *endpoint,
                              const struct client_keys *keys, struct wps_error *error)
{
    struct subscriber *self = calloc(1, sizeof *self);
    if (!self)
        return wps_error_system(error, -ENOMEM, "cannot make a subscriber");
    TAILQ_INIT(&self->interests);
    zmq_msg_init(&self->topic);
    zmq_msg_init(&self->body);
    self->socket = zmq_socket(context, ZMQ_SUB);
    int result = self->socket ? socket_connect(self->socket, endpoint, keys) : -errno;
    if (result < 0) {
        subscriber_close(&self);
        return wps_error_set(error, result, "cannot subscribe at %s: %s", endpoint,
                             zmq_strerror(-result));
    }
    *ret = self;
    return 0;
}

void subscriber_close(struct subscriber **self_p)
{
    struct subscriber *self = take_ptr(*self_p);
    if (!self)
        return;
    for (struct interest *interest; (interest = TAILQ_FIRST(&self->interests));) {
        TAILQ_REMOVE(&self->interests, interest, link);
        free(interest);
    }
    event_close(&self->event);
    zmq_msg_close(&self->topic);
    zmq_msg_close(&self->body);
    if (self->socket)
        zmq_close(self->socket);
    free(self);
}

/* ---- subscriptions ------------------------------------------------------------------------- */

static struct text keep(char **cursor, const char *string)
{
    struct text text = {*cursor, strlen(string)};
    text_copy(*cursor, text_of(string));
    *cursor += text.size;
    return text;
}

static struct interest *interest_new(const char *event, const char *const *scopes, size_t n_scopes)
{
    size_t head = sizeof(struct interest) + n_scopes * sizeof(struct text);
    size_t size = head + strlen(event);
    for (size_t i = 0; i < n_scopes; i++)
        size += strlen(scopes[i]);
    struct interest *interest = calloc(1, size);
    if (!interest)
        return NULL;
    char *cursor = (char *)interest + head;
    interest->event = keep(&cursor, event);
    for (size_t i = 0; i < n_scopes; i++)
        interest->scopes[i] = keep(&cursor, scopes[i]);
    interest->wanted = (struct subscription){.scopes = interest->scopes, .n_scopes = n_scopes};
    return interest;
}

static struct interest *interest_find(const struct subscriber *self, struct text event)
{
    struct interest *interest;
    TAILQ_FOREACH (interest, &self->interests, link)
        if (text_equal(interest->event, event))
            break;
    return interest;
}

/* Asks the broker for the first `n` prefixes of an interest, or no longer (`option`). Returns how
 * many it was until one failed. ZeroMQ counts how often a prefix is asked for. */
static size_t ask_broker(struct subscriber *self, const struct interest *interest, size_t n,
                         int option)
{
    for (size_t i = 0; i < n; i++) {
        struct text prefix =
            interest->wanted.all_scopes ? text_of("") : scope_prefix(interest->scopes[i]);
        if (zmq_setsockopt(self->socket, option, prefix.at, prefix.size) < 0)
            return i;
    }
    return n;
}

static size_t n_prefixes(const struct interest *interest)
{
    return interest->wanted.all_scopes ? 1 : interest->wanted.n_scopes;
}

static void interest_end(struct subscriber *self, struct interest *interest)
{
    ask_broker(self, interest, n_prefixes(interest), ZMQ_UNSUBSCRIBE);
    TAILQ_REMOVE(&self->interests, interest, link);
    free(interest);
}

/* Puts a new interest, which is taken over, in the place of the one in the same event. The new one
 * is asked for first: what both want does not stop. */
static int interest_begin(struct subscriber *self, struct interest *interest,
                          struct wps_error *error)
{
    if (!interest)
        return wps_error_system(error, -ENOMEM, "cannot subscribe");
    size_t n = n_prefixes(interest);
    size_t asked = ask_broker(self, interest, n, ZMQ_SUBSCRIBE);
    if (asked < n) {
        int code = -errno;
        ask_broker(self, interest, asked, ZMQ_UNSUBSCRIBE);
        free(interest);
        return wps_error_set(error, code, "cannot subscribe: %s", zmq_strerror(-code));
    }
    struct interest *old = interest_find(self, interest->event);
    if (old)
        interest_end(self, old);
    TAILQ_INSERT_TAIL(&self->interests, interest, link);
    return 0;
}

static int check(const char *event, const char *const *scopes, size_t n_scopes,
                 struct wps_error *error)
{
    if (!*event)
        return wps_error_set(error, -EINVAL, "cannot subscribe: the event has no name");
    for (size_t i = 0; i < n_scopes; i++) {
        char where[32];
        snprintf(where, sizeof where, "scopes[%zu]", i);
        int result = topic_check(text_of(scopes[i]), where, error);
        if (result < 0)
            return result;
    }
    return 0;
}

int subscriber_subscribe(struct subscriber *self, const char *event, const char *const *scopes,
                         size_t n_scopes, struct wps_error *error)
{
    int result = check(event, scopes, n_scopes, error);
    return result < 0 ? result : interest_begin(self, interest_new(event, scopes, n_scopes), error);
}

int subscriber_subscribe_all(struct subscriber *self, const char *event, struct wps_error *error)
{
    int result = check(event, NULL, 0, error);
    if (result < 0)
        return result;
    struct interest *interest = interest_new(event, NULL, 0);
    if (interest)
        interest->wanted.all_scopes = true;
    return interest_begin(self, interest, error);
}

int subscriber_unsubscribe(struct subscriber *self, const char *event)
{
    struct interest *interest = interest_find(self, text_of(event));
    if (!interest)
        return -ENOENT;
    interest_end(self, interest);
    return 0;
}

/* ---- events -------------------------------------------------------------------------------- */

/* Waits for a message until `end_ms`. -EAGAIN: none came. */
static int wait_readable(struct subscriber *self, int timeout_ms, int64_t end_ms)
{
    int64_t left = timeout_ms < 0 ? -1 : end_ms - monotonic_ms();
    if (timeout_ms >= 0 && left <= 0)
        return -EAGAIN;
    zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
    int ready = zmq_poll(&item, 1, (long)left);
    return ready < 0 ? -errno : ready == 0 ? -EAGAIN : 0;
}

/* Takes the rest of a message that has more frames than an event has. */
static void drop_rest(void *socket)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    do
        zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT);
    while (zmq_msg_more(&frame));
    zmq_msg_close(&frame);
}

/* Takes one message: 1 where it has the two frames of an event, 0 where not. All frames of a
 * message arrive together. -EAGAIN: there is none. */
static int take_message(struct subscriber *self)
{
    if (zmq_msg_recv(&self->topic, self->socket, ZMQ_DONTWAIT) < 0)
        return -errno;
    if (!zmq_msg_more(&self->topic))
        return 0;
    if (zmq_msg_recv(&self->body, self->socket, ZMQ_DONTWAIT) < 0)
        return -errno;
    if (!zmq_msg_more(&self->body))
        return 1;
    drop_rest(self->socket);
    return 0;
}

static struct text bytes_of(zmq_msg_t *message)
{
    return (struct text){zmq_msg_data(message), zmq_msg_size(message)};
}

/* Reads the message that was taken: 1 where it is to be delivered, 0 where not. */
static int read_message(struct subscriber *self)
{
    struct text body = bytes_of(&self->body);
    int result = event_open(&self->event, body.at, body.size, "", NULL);
    if (result == -ENOMEM)
        return result;
    if (result < 0) {
        self->malformed++;
        return 0;
    }
    const struct event *event = &self->event.event;
    const struct interest *interest = interest_find(self, event->event);
    return interest && subscription_delivers(&interest->wanted, bytes_of(&self->topic),
                                             event->scopes, event->n_scopes);
}

int subscriber_receive(struct subscriber *self, int timeout_ms, const struct event **ret)
{
    int64_t end_ms = timeout_ms < 0 ? 0 : monotonic_ms() + timeout_ms;
    for (;;) {
        event_close(&self->event);
        int result = take_message(self);
        if (result == 0)
            self->malformed++;
        else if (result == 1)
            result = read_message(self);
        else if (result == -EAGAIN)
            result = wait_readable(self, timeout_ms, end_ms);
        if (result == 1)
            *ret = &self->event.event;
        if (result != 0)
            return result;
    }
}

void subscriber_raw(const struct subscriber *self, struct text *ret_topic, struct text *ret_body)
{
    *ret_topic = bytes_of((zmq_msg_t *)&self->topic);
    *ret_body = bytes_of((zmq_msg_t *)&self->body);
}

bool subscriber_is_readable(const struct subscriber *self)
{
    int events = 0;
    size_t size = sizeof events;
    /* Where it fails the receive will say why. */
    return zmq_getsockopt(self->socket, ZMQ_EVENTS, &events, &size) < 0 || events & ZMQ_POLLIN;
}

int subscriber_fd(const struct subscriber *self)
{
    int fd = -1;
    size_t size = sizeof fd;
    int result = zmq_getsockopt(self->socket, ZMQ_FD, &fd, &size);
    assert(result == 0); /* an open socket has one */
    (void)result;
    return fd;
}

uint64_t subscriber_malformed(const struct subscriber *self)
{
    return self->malformed;
}
