/* SPDX-License-Identifier: Apache-2.0 */

/* Gathering work under saturation. */

#include "base/gather.h"

#include <time.h>

#include "base/clock.h"

enum {
    WINDOW_NS = 10 * 1000000, /* over which the rate is taken */
    WAIT_NS = 1000000,
};

void gather_init(struct gather *gather, unsigned rate)
{
    *gather = (struct gather){.rate = rate, .window_ns = monotonic_ns()};
}

void gather_count(struct gather *gather, unsigned n)
{
    uint64_t now = monotonic_ns(), span = now - gather->window_ns;
    gather->n += n;
    if (span < WINDOW_NS)
        return;
    gather->now = gather->n * NS_PER_SECOND / span;
    gather->saturated = gather->now >= gather->rate;
    gather->window_ns = now;
    gather->n = 0;
}

void gather_wait(const struct gather *gather)
{
    if (gather->saturated)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, WAIT_NS}, NULL);
}
