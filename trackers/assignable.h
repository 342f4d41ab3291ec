/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_ASSIGNABLE_H
#define TRACKERS_ASSIGNABLE_H

/* Who may be put into a block, and who comes along: the same for every tracker. Reads /proc only;
 * any thread, no state. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "trackers/tracker.h"

/* Refuses 0, 1, kernel threads, our own process and its helpers (tracker_spare), threads that are
 * no process, another life than `start_ticks` (0: whichever has the pid), one that has ended, and a
 * process of another user than `client_uid` unless that is 0. -ESRCH or -EPERM with a sentence. */
int assignable_check(const struct tracker *tracker, uint32_t pid, uint64_t start_ticks,
                     uint32_t client_uid, struct wps_error *error);

/* The descendants that the kernel links to a process now, parents before children; owned by the
 * caller. Our own process, its helpers, and what is below them are left out. What forks meanwhile
 * may be missing: look again. -ENOMEM; -ENOSYS: this kernel tells of no children. */
int assignable_descendants(const struct tracker *tracker, uint32_t pid, uint32_t **ret_pids,
                           size_t *ret_n);

#endif
