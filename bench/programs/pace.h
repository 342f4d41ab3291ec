/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PROGRAMS_PACE_H
#define BENCH_PROGRAMS_PACE_H

/* Keeping a rate: what is due within a millisecond goes out together, then it sleeps. */

#include <errno.h>

#include "bench/programs/bench.h"

struct pace {
    uint64_t began_ns;
    uint64_t rate; /* a second; 0: no waiting */
    uint64_t step; /* how many go out together */
};

static inline struct pace pace_begin(uint64_t rate)
{
    return (struct pace){bench_now(), rate, rate / 1000 + 1};
}

/* Before number `i`. */
static inline void pace_wait(const struct pace *pace, uint64_t i)
{
    if (!pace->rate || i % pace->step)
        return;
    uint64_t due = pace->began_ns + i * UINT64_C(1000000000) / pace->rate;
    struct timespec at = {(time_t)(due / 1000000000), (long)(due % 1000000000)};
    while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

#endif
