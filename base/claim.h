/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLAIM_H
#define BASE_CLAIM_H

/*
 * Claiming a larger share of the processors. A thread that reads what fifty others do, and has the
 * share of one of them, falls behind for good: what it has not read is lost, and whoever asks it
 * something waits for seconds. So it lowers its nice value (auditd (8) always runs so) while it is
 * behind, and takes it back when it has been in time for a while: who keeps up has no need of it.
 *
 * It needs CAP_SYS_NICE or RLIMIT_NICE; without it, and where somebody gave the thread another nice
 * value than 0, nothing is done.
 *
 * A value, owned by the thread whose it is and used by that one alone. Threads and processes that
 * it makes meanwhile inherit what it is, which is what claim_stop is for.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
    CLAIM_LATE_MS = 20, /* what was gathered on purpose is a millisecond old */
    CLAIM_STAY_S = 10,  /* falling behind again costs more than having claimed for longer */
};

struct claim {
    int boost;           /* what is taken off the nice value; 0: it cannot be, or is not to be */
    bool claims;         /* it is lower now */
    int late;            /* how often it was recently: up by some if so, down by one if not */
    uint64_t counted_ns; /* CLOCK_BOOTTIME: when it was counted last */
    uint64_t until_ns;   /* CLOCK_BOOTTIME: and then no longer, unless it is late again */
};

/* `boost`: 0 to 20. */
void claim_init(struct claim *claim, unsigned boost);

/* The thread reads at `now_ns` what happened `late_ns` before. 0: there was nothing to read. */
void claim_update(struct claim *claim, uint64_t late_ns, uint64_t now_ns);

void claim_stop(struct claim *claim);

#endif
