/* SPDX-License-Identifier: Apache-2.0 */

/* Giving way to what is watched. */

#include "base/give_way.h"

#include <sched.h>

#include "base/clock.h"

enum {
    LATE = 8, /* one that is late counts as much as so many that are not */
    LATE_MAX = 64,
    PAUSE_S = 1,
};

/* Of the calling thread, though it is asked by a process id. Where somebody gave it another one
 * than `from` meanwhile, that is left alone. */
static bool change_policy(int from, int to)
{
    return sched_getscheduler(0) == from &&
           sched_setscheduler(0, to, &(struct sched_param){.sched_priority = 0}) == 0;
}

void give_way_init(struct give_way *way)
{
    *way = (struct give_way){.is_able = sched_getscheduler(0) == SCHED_OTHER};
}

void give_way_stop(struct give_way *way)
{
    if (way->gives)
        way->is_able = change_policy(SCHED_BATCH, SCHED_OTHER);
    way->gives = false;
}

static void begin(struct give_way *way)
{
    way->is_able = way->gives = change_policy(SCHED_OTHER, SCHED_BATCH);
    way->late = LATE_MAX / 2;
}

static void count_late(struct give_way *way, uint64_t late_ns, uint64_t now_ns)
{
    if (late_ns >= GIVE_WAY_LATE_US * UINT64_C(1000))
        way->late += LATE;
    else if (way->late > 0)
        way->late--;
    if (way->late < LATE_MAX)
        return;
    give_way_stop(way);
    way->again_ns = now_ns + PAUSE_S * NS_PER_SECOND;
}

void give_way_update(struct give_way *way, uint64_t rate, bool gathered, uint64_t late_ns,
                     uint64_t now_ns)
{
    if (!way->is_able)
        return;
    if (rate < GIVE_WAY_RATE)
        give_way_stop(way);
    else if (!way->gives && (gathered || now_ns >= way->again_ns))
        begin(way);
    else if (way->gives && !gathered)
        count_late(way, late_ns, now_ns);
}
