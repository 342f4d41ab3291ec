/* SPDX-License-Identifier: Apache-2.0 */

/* Gathering work under saturation. */

#include "base/gather.h"

#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

enum {
    SATURATED_RATE = 4000,    /* things a second from which on they are gathered */
    WINDOW_NS = 10 * 1000000, /* over which the rate is taken */
    WAIT_NS = 1000000,
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void gather_init(struct gather *gather)
{
    *gather = (struct gather){.window_ns = now_ns()};
}

void gather_count(struct gather *gather, unsigned n)
{
    uint64_t now = now_ns(), span = now - gather->window_ns;
    gather->n += n;
    if (span < WINDOW_NS)
        return;
    gather->saturated = gather->n * NS_PER_S / span >= SATURATED_RATE;
    gather->window_ns = now;
    gather->n = 0;
}

void gather_wait(const struct gather *gather)
{
    if (gather->saturated)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, WAIT_NS}, NULL);
}
