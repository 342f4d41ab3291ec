/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_EVENTS_H
#define BROKER_EVENTS_H

/*
 * The events socket: an XPUB that anybody's SUB reads. The broker's thread only.
 *
 * Each subscriber has a queue of its own, bounded. Where one is full its messages are dropped until
 * it has read half of it, and nobody else notices. ZeroMQ does not say how many it drops; what can
 * be counted, and is, is each time that a queue was found full (`subscriber_overflows`). Readers
 * notice their loss by the gaps in `seq`.
 *
 * Any thread may send and receive, one at a time: who calls sees to that (routing.h). ZeroMQ allows
 * it behind a lock.
 */

#include <czmq.h>

#include "access/access.h"
#include "broker_shim/counters.h"
#include "broker_shim/packet.h"

struct events;

struct events_options {
    struct access *access; /* guards it; must outlive it */
    const char *endpoint;
    mode_t mode;          /* of the socket file */
    int subscriber_queue; /* messages */
    int linger_ms;        /* at the end, for what is unsent */
};

/* `counters` and `unsent` (bytes in messages, see packet.h) must outlive the ZeroMQ context. */
int events_new(struct events **ret, const struct events_options *options, struct counters *counters,
               _Atomic size_t *unsent, struct wps_error *error);

/* Closes the socket and removes its file. */
void events_destroy(struct events **self_p);

const char *events_endpoint(const struct events *self);

/* Binds it once more where its file was deleted: see endpoint_renew. */
int events_renew(struct events *self, mode_t mode, struct wps_error *error);

/* Readable when events_receive is to be called; it is ZeroMQ's (ZMQ_FD), and readable too when
 * there is nothing to be read. */
int events_fd(const struct events *self);

/* Sends the event once for each of its scopes, or once with the empty topic, and never blocks.
 * Returns the number of messages, or -ENOMEM. The packet stays the caller's. Send it once. */
int events_send(struct events *self, struct packet *packet);

/* Takes in subscriptions, of which ZeroMQ does the rest, and throws away whatever else subscribers
 * send, until there is no more. */
void events_receive(struct events *self);

#endif
