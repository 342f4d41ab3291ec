/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_LOOK_H
#define TRACKERS_LOOK_H

/*
 * A look at all processes in /proc, for what no cgroup tells: who is whose child (lineage_find.h),
 * and the tags PROCTRACK_BLOCK, PROCTRACK_SCOPE and WPS_RUNTIME_DIR that a process was started
 * with. It is not one moment: who forks and ends while it goes on may be missed. In a worker's
 * thread.
 */

#include "base/text.h"
#include "trackers/lineage_find.h"
#include "trackers/tracker.h"

struct look {
    struct lineage_row *rows; /* by pid; owned */
    size_t n;
};

/* Those that need no look, as somebody knows already whose they are. Sorted. */
struct look_without {
    uint32_t *pids; /* owned by whoever made the list; other numbers among them do not matter */
    size_t n;
};

/* All processes that run, without some (null: none of them). Barred are kernel threads, init,
 * ourselves and our helper; those above us are there, and their tags are void. `progress` grows
 * with each that was read, for a thread that looks on; it may be null. On success the caller owns
 * what is returned. -ENOMEM, or what /proc says. */
int look_read(struct look *ret, const struct tracker *tracker, const struct look_without *without,
              unsigned *progress);

/* Frees what it holds. A zeroed one is fine. */
void look_clear(struct look *look);

/* What the environment says that a process was given when its program began. */
struct look_tag {
    struct text block; /* `at` is null: no tag, or it may not be read */
    struct text scope; /* `at` is null: none is named */
    bool is_ours;      /* it names no broker, or us */
};

/* Reads it into a buffer of PROC_ENVIRON_MAX bytes, which the texts point into. It can hang as
 * cmdline can; of a process that hangs another reader (held.h) nothing is known. */
struct look_tag look_tag_read(const struct tracker *tracker, const struct lineage_row *row,
                              char *buffer);

#endif
