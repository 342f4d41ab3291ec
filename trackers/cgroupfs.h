/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_CGROUPFS_H
#define TRACKERS_CGROUPFS_H

/*
 * The files of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst), as far as they need no
 * controller. Nothing here knows of blocks. All of it can wait for the kernel; no state, any
 * thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

/* Where the unified hierarchy is mounted, by /proc/self/mountinfo: the directory in which the
 * cgroup of this process is, and that cgroup's path as /proc/PID/cgroup tells it. Both owned by the
 * caller. -ENOENT: it is not mounted, or our cgroup is not visible in it. */
int cgroupfs_own(char **ret_directory, char **ret_path, struct wps_error *error);

/* The directory of a cgroup by its path as /proc/PID/cgroup tells it; owned by the caller. -ENOENT:
 * it is not visible in any mount. */
int cgroupfs_directory_of(const char *path, char **ret_directory);

/* The same by the text of a mountinfo. (For tests.) */
int cgroupfs_find_mount(FILE *mountinfo, const char *path, char **ret_directory);

/* Moves a process. A thin file write: -EACCES, -ESRCH, -EOPNOTSUPP and so on. */
int cgroupfs_move(const char *directory, uint32_t pid);

/* All processes that have a thread in a cgroup or below it, sorted, each once. Owned by the caller.
 * A directory that is gone is empty. */
int cgroupfs_members(const char *directory, uint32_t **ret_pids, size_t *ret_n);

/* The same, one cgroup at a time: `take` gets each that has processes, with its path below
 * `directory` ("" for itself, else beginning with '/'), parents first. It returns 0 to go on, or a
 * negative errno, which ends the walk and is returned. The pids are sorted, each once, and live
 * until it returns; one that moves while the walk goes on may be told of twice, or not. */
typedef int cgroupfs_take(void *context, const char *path, const uint32_t *pids, size_t n);
int cgroupfs_walk(const char *directory, cgroupfs_take *take, void *context);

/* All threads that run in those cgroups at `directory` and below whose path `wants` (null: in all),
 * sorted, each once; a thread's number is its process's pid where it is the first. Owned by the
 * caller. It is the quickest account of many cgroups. */
int cgroupfs_threads(const char *directory, bool (*wants)(void *context, const char *path),
                     void *context, uint32_t **ret_tids, size_t *ret_n);

/* SIGKILL to everything in it and below, frozen or not: cgroup.kill (Linux 5.14), else as below.
 * Once: on kernels before early 2025 a fork may slip through, so look and repeat. A directory that
 * is gone is fine. */
int cgroupfs_kill(const char *directory);

/* The same by hand: freeze, SIGKILL to each process, thaw. It also ends what cgroup.kill does not:
 * a process whose leader left while other threads run on (the kernel signals the leader alone, or
 * where it was moved behind that, nobody; seen on Linux 6.18). */
int cgroupfs_kill_each(const char *directory);

/* Freezes or thaws all of it; waits for up to `patience_ms` until the kernel says that it is so
 * (what is in state D freezes later). A directory that is gone is fine. -EOPNOTSUPP, -EACCES. */
int cgroupfs_freeze(const char *directory, bool frozen, unsigned patience_ms);

/* True where nobody is in it or below; also where it is gone. */
bool cgroupfs_is_empty(const char *directory);

/* CPU time in microseconds of all that ever was in it and below, by its cpu.stat, which needs no
 * controller. -ENOENT: it is gone; -ENODATA: this kernel does not count it. */
int cgroupfs_cpu_us(const char *directory, uint64_t *ret_us);

/* Removes the directory and all below it, deepest first. While something that just ended is still
 * being put away by the kernel (-EBUSY) it is tried again for up to `patience_ms`. */
int cgroupfs_remove(const char *directory, unsigned patience_ms);

#endif
