/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_FEEDS_NETLINK_MESSAGE_H
#define TRACKERS_FEEDS_NETLINK_MESSAGE_H

/* One message of the process connector: parsing and the watch over its numbers, apart from the
 * socket so that both can be tested. */

#include "trackers/feed.h"

struct netlink_sequence {
    uint32_t *next; /* by processor: the number that should come */
    bool *known;
    unsigned n_cpus;
    uint64_t lost;
    uint64_t counted_ahead; /* losses told of by the socket whose gap was not seen yet */
    uint32_t
        awaited; /* the thread whose change of name has to come; 0: none, or it came or was lost */
};

int netlink_sequence_init(struct netlink_sequence *sequence);
void netlink_sequence_destroy(struct netlink_sequence *sequence);

/* The socket said that it overflowed. */
void netlink_overflowed(struct netlink_sequence *sequence);

/* Parses a datagram; `gap_ns` is CLOCK_BOOTTIME less CLOCK_MONOTONIC. True where it holds an event
 * for the reader; messages of other kinds only move the numbers on. */
bool netlink_parse(struct netlink_sequence *sequence, struct text message, uint64_t gap_ns,
                   struct feed_event *ret_event);

#endif
