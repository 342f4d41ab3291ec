/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_ASSIGNABLE_H
#define TRACKERS_ASSIGNABLE_H

/* Who may be put into a block, and who comes along: the same for every tracker. Reads /proc only;
 * any thread, no state. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Refuses 0, 1, kernel threads, our own process and `spared` (a helper; 0: none), threads that are
 * no process, another life than `start_ticks` (0: whichever has the pid), one that has ended, and a
 * process of another user than `client_uid` unless that is 0. -ESRCH or -EPERM with a sentence. */
int assignable_check(uint32_t pid, uint64_t start_ticks, uint32_t client_uid, uint32_t spared,
                     struct wps_error *error);

/* The descendants that the kernel links to a process now, parents before children; owned by the
 * caller. Our own process, `spared`, and what is below them are left out. What forks meanwhile may
 * be missing: look again. -ENOMEM; -ENOSYS: this kernel tells of no children. */
int assignable_descendants(uint32_t pid, uint32_t spared, uint32_t **ret_pids, size_t *ret_n);

#endif
