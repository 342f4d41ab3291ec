/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_GATHER_H
#define BASE_GATHER_H

/*
 * Gathering work under saturation. A loop that is woken for each of thousands of small things a
 * second spends its time on waking; one that sleeps for a millisecond in between handles many at
 * once. At ordinary rates nothing waits. A value, owned by the thread whose loop it is.
 */

#include <stdbool.h>
#include <stdint.h>

enum { GATHER_RATE = 4000 }; /* a wake-up for each of so many a second costs more than they do */

struct gather {
    unsigned rate;      /* things a second from which on they are gathered */
    uint64_t window_ns; /* CLOCK_MONOTONIC: when counting began */
    uint64_t n;         /* things since then */
    uint64_t now;       /* things a second, as they came lately */
    bool saturated;     /* they come at that rate */
};

void gather_init(struct gather *gather, unsigned rate);

/* The loop has just handled `n` things. */
void gather_count(struct gather *gather, unsigned n);

/* To be called when nothing is left to handle: sleeps for up to a millisecond if more is about to
 * come at such a rate, else returns at once. */
void gather_wait(const struct gather *gather);

#endif
