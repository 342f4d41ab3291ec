/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_CGROUP_MARKS_H
#define TRACKERS_CGROUP_MARKS_H

/*
 * What the next broker is to know of a block that it adopts, as extended attributes of the block's
 * cgroup: they live as long as the cgroup does, whatever becomes of us. `path` is its directory.
 * All of it is for a worker's thread; any one.
 */

#include "trackers/tracker.h"

/* What is to become of the block: `user.proctrack.on_exit` and `user.proctrack.on_crash`. A kernel
 * that keeps no attributes forgets it. TRACKER_UNMARKED: takes it away, there is none. */
void cgroup_mark(const char *path, enum tracker_fate fate, enum tracker_mark mark);
enum tracker_mark cgroup_read_mark(const char *path, enum tracker_fate fate);

/* Of the root of all blocks: `user.proctrack.boot_ms`, the clocks as the first broker of those that
 * handed its blocks on read them. False: it is not there. */
void cgroup_mark_boot(const char *path, int64_t boot_ms);
bool cgroup_read_boot(const char *path, int64_t *ret_boot_ms);

/* This life is a root: `user.proctrack.root.PID`, its start in clock ticks as the value. Where the
 * kernel has no room for one more, those of the dead are taken away. Negative errno: it is not
 * kept; -ENOSPC: too many roots live, -EOPNOTSUPP: a kernel before Linux 5.7. */
int cgroup_mark_root(const char *path, uint32_t pid, uint64_t start_ticks);

/* This pid is none any more; fine where it was none. */
void cgroup_unmark_root(const char *path, uint32_t pid);

/* All of them, the dead too; the caller frees `*ret`. A kernel that keeps none has none. -ENOMEM.
 */
int cgroup_read_roots(const char *path, struct root_mark **ret, size_t *ret_n);

#endif
