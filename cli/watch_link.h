/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WATCH_LINK_H
#define CLI_WATCH_LINK_H

/* The rpc socket of a broker that is watched: it publishes what shows that subscriptions are in
 * force, reads old events, and its connection tells when the broker goes and comes back. */

#include "access/certificate.h"
#include "client/subscriber.h"
#include "schemas/request.h"

struct watch_link {
    void *socket, *monitor; /* ZeroMQ's */
    const char *endpoint;
    int timeout_ms;
    uint64_t n_requests;
    bool here; /* the broker is */
};

int watch_link_open(struct watch_link *ret, void *context, const char *endpoint,
                    const struct client_keys *keys, int timeout_ms, struct wps_error *error);
void watch_link_close(struct watch_link *link);

/* Waits until all that `events` subscribed to so far is in force (PROTOCOL.md, section 5). What
 * comes meanwhile of other subscriptions is lost to the caller: subscribe to nothing else before,
 * or take it as not yet watched. -ETIMEDOUT and others, with a sentence. */
int watch_link_sync(struct watch_link *link, struct subscriber *events, struct wps_error *error);

/* eventreadhistory: `*ret_reply` is to be closed with reply_close, and lives as long as `*ret_body`
 * (a zmq_msg_t of the caller's). Its data is a map with `events`. */
int watch_link_history(struct watch_link *link, const char *event, const char *scope, uint64_t n,
                       struct reply *ret_reply, void *ret_body, struct wps_error *error);

/* To be called when `monitor` is readable. True where `here` has changed. */
bool watch_link_changed(struct watch_link *link);

#endif
