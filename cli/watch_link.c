/* SPDX-License-Identifier: Apache-2.0 */

/* A DEALER with a monitor. */

#include "cli/watch_link.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define MONITOR    "inproc://watch-link-monitor"
#define SYNC_EVENT "proctrack:watch-sync"

enum { SYNC_AGAIN_MS = 50 };

/* ---- its life ------------------------------------------------------------------------------- */

static int connect_socket(struct watch_link *link, void *context, const struct client_keys *keys)
{
    const int none = 0;
    link->socket = zmq_socket(context, ZMQ_DEALER);
    link->monitor = link->socket ? zmq_socket(context, ZMQ_PAIR) : NULL;
    if (!link->monitor || zmq_setsockopt(link->socket, ZMQ_LINGER, &none, sizeof none) < 0 ||
        zmq_setsockopt(link->monitor, ZMQ_LINGER, &none, sizeof none) < 0 ||
        zmq_socket_monitor(link->socket, MONITOR,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) < 0 ||
        client_keys_use(keys, link->socket) < 0 || zmq_connect(link->monitor, MONITOR) < 0 ||
        zmq_connect(link->socket, link->endpoint) < 0)
        return -errno;
    return 0;
}

int watch_link_open(struct watch_link *ret, void *context, const char *endpoint,
                    const struct client_keys *keys, int timeout_ms, struct wps_error *error)
{
    struct watch_link link = {.endpoint = endpoint, .timeout_ms = timeout_ms, .here = true};
    int result = connect_socket(&link, context, keys);
    if (result < 0) {
        watch_link_close(&link);
        return wps_error_set(error, result, "cannot connect to %s: %s", endpoint,
                             zmq_strerror(-result));
    }
    *ret = link;
    return 0;
}

void watch_link_close(struct watch_link *link)
{
    if (link->socket) {
        zmq_socket_monitor(link->socket, NULL, 0);
        zmq_close(link->socket);
    }
    if (link->monitor)
        zmq_close(link->monitor);
    *link = (struct watch_link){0};
}

/* ---- asking --------------------------------------------------------------------------------- */

/* Sends a request whose data was packed. */
static int send_request(struct watch_link *link, const char *command, const struct wire_out *data)
{
    struct wire_out out;
    const struct reqid reqid = {.kind = REQID_UINT, .number = ++link->n_requests};
    wire_out_init(&out);
    request_pack(&out, command, &reqid, (struct text){data->bytes.data, data->bytes.size});
    int result = wire_out_failed(data) || wire_out_failed(&out) ? -ENOMEM : 0;
    if (result == 0 && (zmq_send(link->socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
                        zmq_send(link->socket, out.bytes.data, out.bytes.size, ZMQ_DONTWAIT) < 0))
        result = -errno;
    wire_out_destroy(&out);
    return result;
}

/* Takes the body of the next message that is there. -EAGAIN: none is. */
static int receive(struct watch_link *link, zmq_msg_t *body)
{
    do
        if (zmq_msg_recv(body, link->socket, ZMQ_DONTWAIT) < 0)
            return -errno;
    while (zmq_msg_more(body));
    return 0;
}

/* Waits for the reply to the newest request; others are passed over. */
static int wait_reply(struct watch_link *link, struct reply *ret, zmq_msg_t *body,
                      struct wps_error *error)
{
    int64_t end_ms = monotonic_ms() + link->timeout_ms;
    for (;;) {
        int64_t left = end_ms - monotonic_ms();
        int result = receive(link, body);
        if (result == 0 && reply_open(ret, zmq_msg_data(body), zmq_msg_size(body), NULL) == 0) {
            if (ret->resid.kind == REQID_UINT && ret->resid.number == link->n_requests)
                return 0;
            reply_close(ret);
        }
        if (result == 0)
            continue;
        if (left <= 0)
            return wps_error_set(error, -ETIMEDOUT,
                                 "no answer from %s in %d ms: --rpc says where that socket is",
                                 link->endpoint, link->timeout_ms);
        zmq_pollitem_t item = {.socket = link->socket, .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, (long)left);
    }
}

int watch_link_history(struct watch_link *link, const char *event, const char *scope, uint64_t n,
                       struct reply *ret_reply, void *ret_body, struct wps_error *error)
{
    struct wire_out data;
    wire_out_init(&data);
    wire_put_map(&data, 3);
    wire_pair_str(&data, "event", event);
    wire_pair_str(&data, "scope", scope);
    wire_pair_uint(&data, "maxitems", n);
    int result = send_request(link, "eventreadhistory", &data);
    wire_out_destroy(&data);
    if (result < 0)
        return wps_error_set(error, result, "cannot ask %s: %s", link->endpoint,
                             zmq_strerror(-result));
    result = wait_reply(link, ret_reply, ret_body, error);
    if (result == 0 && !ret_reply->ok) {
        result = wps_error_set(error, -EREMOTEIO, "%.*s", (int)ret_reply->error.size,
                               ret_reply->error.at);
        reply_close(ret_reply);
    }
    return result;
}

/* ---- subscriptions in force ----------------------------------------------------------------- */

static int publish_sync(struct watch_link *link, const char *scope)
{
    struct wire_out data;
    wire_out_init(&data);
    wire_put_map(&data, 2);
    wire_pair_str(&data, "event", SYNC_EVENT);
    wire_put_str(&data, "scopes");
    wire_put_array(&data, 1);
    wire_put_str(&data, scope);
    int result = send_request(link, "eventpublish", &data);
    wire_out_destroy(&data);
    return result;
}

/* Waits a moment for the event that shows it. 1: it came; 0: not yet. */
static int sync_arrived(struct subscriber *events)
{
    const struct event *event;
    int64_t end_ms = monotonic_ms() + SYNC_AGAIN_MS;
    for (int64_t left; (left = end_ms - monotonic_ms()) > 0;) {
        int result = subscriber_receive(events, (int)left, &event);
        if (result == 1 && text_is(event->event, SYNC_EVENT))
            return 1;
        if (result < 0 && result != -EAGAIN && result != -EINTR)
            return result;
    }
    return 0;
}

int watch_link_sync(struct watch_link *link, struct subscriber *events, struct wps_error *error)
{
    char scope[32];
    uint64_t nonce = 0;
    if (getrandom(&nonce, sizeof nonce, 0) < 0)
        nonce = (uint64_t)monotonic_ms();
    snprintf(scope, sizeof scope, "sync:%016llx", (unsigned long long)nonce);
    int result = subscriber_subscribe(events, SYNC_EVENT, (const char *[]){scope}, 1, error);
    if (result < 0)
        return result;
    int64_t end_ms = monotonic_ms() + link->timeout_ms;
    for (result = 0; result == 0 && monotonic_ms() < end_ms;) {
        result = publish_sync(link, scope);
        if (result == 0)
            result = sync_arrived(events);
    }
    subscriber_unsubscribe(events, SYNC_EVENT);
    if (result < 0)
        return wps_error_set(error, result, "cannot use %s: %s", link->endpoint,
                             zmq_strerror(-result));
    return result == 1 ? 0
                       : wps_error_set(error, -ETIMEDOUT,
                                       "no events arrive in %d ms: is %s the rpc socket of that "
                                       "broker? --rpc and --events say where they are",
                                       link->timeout_ms, link->endpoint);
}

/* ---- going and coming ----------------------------------------------------------------------- */

bool watch_link_changed(struct watch_link *link)
{
    bool before = link->here;
    for (;;) {
        uint16_t event = 0;
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        int size = zmq_msg_recv(&frame, link->monitor, ZMQ_DONTWAIT);
        if (size >= (int)sizeof event)
            memcpy(&event, zmq_msg_data(&frame), sizeof event);
        while (size >= 0 && zmq_msg_more(&frame) &&
               zmq_msg_recv(&frame, link->monitor, ZMQ_DONTWAIT) >= 0)
            ;
        zmq_msg_close(&frame);
        if (size < 0)
            return link->here != before;
        link->here = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    }
}
