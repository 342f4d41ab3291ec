/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_COUNTERS_H
#define BROKER_COUNTERS_H

/* What the broker counts, in one list: the names here are the names in the reply of `brokerinfo`.
 * Counters only grow. Any thread may add. */

#include <stdatomic.h>
#include <stdint.h>

#define COUNTERS(COUNTER)                                                                          \
    COUNTER(events_accepted)      /* taken from plugins by host.publish */                         \
    COUNTER(events_refused)       /* not taken: the queue was full (-EAGAIN) */                    \
    COUNTER(events_invalid)       /* not taken: not an event (-EINVAL) */                          \
    COUNTER(events_routed)        /* sent out, from plugins and from outside */                    \
    COUNTER(messages_sent)        /* one for each scope of each of them */                         \
    COUNTER(subscriber_overflows) /* times that a subscriber's queue was found full */             \
    COUNTER(publish_received)     /* messages on the publish socket */                             \
    COUNTER(publish_dropped)      /* those of them that were no events, or not permitted */        \
    COUNTER(requests)             /* on rpc */                                                     \
    COUNTER(requests_refused)     /* those of them that were answered with an error */             \
    COUNTER(connections_refused)  /* for want of descriptors */                                    \
    COUNTER(history_evicted)      /* events forgotten early, for want of room */                   \
    COUNTER(log_lines_lost)       /* because stderr took no more */

struct counters {
#define COUNTER(name) _Atomic uint64_t name;
    COUNTERS(COUNTER)
#undef COUNTER
};

static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t counter_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
