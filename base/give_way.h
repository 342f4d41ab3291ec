/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_GIVE_WAY_H
#define BASE_GIVE_WAY_H

/*
 * Giving way to what is watched. A thread that is woken for everything that others do pushes them
 * from their processor each time, for less work than the two switches cost. Under SCHED_BATCH
 * (sched (7)) it is woken all the same, but takes a processor that is free, or waits for its turn.
 *
 * So a thread gives way while it is woken often, and as long as that costs it nothing: where all
 * processors are held by others for long its turn comes late, and it stops giving way for a while.
 * Woken rarely, it never does.
 *
 * A value, owned by the thread whose it is and used by that one alone. Threads and processes that
 * it makes meanwhile inherit what it is, which is what give_way_stop is for. A policy that somebody
 * gave to the thread (chrt (1)) is left alone.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
    GIVE_WAY_RATE = 250,     /* things a second from which on it gives way */
    GIVE_WAY_LATE_US = 1000, /* so late is too late */
};

struct give_way {
    bool is_able;      /* the policy is ours to set */
    bool gives;        /* it is SCHED_BATCH now */
    int late;          /* how often it was late recently: up by some if so, down by one if not */
    uint64_t again_ns; /* CLOCK_BOOTTIME: not before */
};

void give_way_init(struct give_way *way);

/* The thread has been woken for something that happened `late_ns` before `now_ns`, and such things
 * come at `rate` a second. Where they are `gathered` on purpose, being late means nothing. */
void give_way_update(struct give_way *way, uint64_t rate, bool gathered, uint64_t late_ns,
                     uint64_t now_ns);

void give_way_stop(struct give_way *way);

#endif
