/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_COUNTERS_H
#define BROKER_COUNTERS_H

/* What the broker counts, and `brokerinfo` answers. One list names it all, and says what each is
 * (schemas/stats_names.h). Any thread may add. */

#include <stdatomic.h>
#include <stdint.h>

#include "schemas/stats_names.h"

struct counters {
#define COUNTER(name, help) _Atomic uint64_t name;
    BROKER_COUNTERS(COUNTER)
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
