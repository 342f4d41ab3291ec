/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_PACKET_H
#define BROKER_PACKET_H

/*
 * An event, packed once and never changed: what lies in the queue, goes into ZeroMQ's messages and
 * is kept in the history, all three from the same bytes.
 *
 * It is counted by its holders; the last one to let go frees it, in whatever thread that is (often
 * one of ZeroMQ's). All functions may be called by any thread that holds it.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "base/text.h"
#include "schemas/event.h"

struct packet {
    struct packet *next; /* of the queue it lies in; the queue's alone */
    _Atomic unsigned holders;
    _Atomic size_t *unsent; /* where its bytes are counted while a message holds them */
    uint32_t persist;
    size_t footprint; /* bytes of memory it takes */
    struct text event;
    struct text body; /* the msgpack map, as every receiver gets it */
    size_t n_scopes;
    struct text scopes[]; /* each once; the bytes lie behind the last */
};

/* Packs `event` with the help of `scratch`, which it clears first. Null: no memory. */
struct packet *packet_new(const struct event *event, struct wire_out *scratch);

struct packet *packet_hold(struct packet *packet);
void packet_release(struct packet *packet);
void packet_cleanup(struct packet **packet);

/* Makes the body of a message, without a copy, and holds the packet until ZeroMQ is done with it.
 * Until then its footprint is counted in `*unsent`, which must outlive the ZeroMQ context.
 * 0, or -ENOMEM. Once for each packet: for the next scope copy the message (zmq_msg_copy). */
int packet_message(struct packet *packet, _Atomic size_t *unsent, zmq_msg_t *ret_message);

#endif
