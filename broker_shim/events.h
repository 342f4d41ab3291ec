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
 */

#include <czmq.h>

#include "broker_shim/counters.h"
#include "broker_shim/packet.h"

struct events;

struct events_options {
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
zsock_t *events_socket(struct events *self);

/* Sends the event once for each of its scopes, or once with the empty topic, and never blocks.
 * Returns the number of messages, or -ENOMEM. The packet stays the caller's. Send it once. */
int events_send(struct events *self, struct packet *packet);

/* To be called when the socket is readable: takes in subscriptions, of which ZeroMQ does the rest,
 * and throws away whatever else subscribers send. */
void events_receive(struct events *self);

#endif
