/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_PROBE_H
#define TRACKERS_PROBE_H

/*
 * A child to try things on: it waits, and ends with a known status when it is let go or when its
 * maker dies. The process that we live in never learns of it: no SIGCHLD is sent, and a plain wait
 * of its own does not see it.
 */

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "trackers/mover.h"

enum { PROBE_EXIT = 42 };

struct probe {
    pid_t pid;
    int pidfd;
    int go; /* write end: closing it lets the child end */
};

/* Starts one; in the cgroup directory `cgroup_fd`, or where the maker is if that is -1. It is born
 * there, or, where the kernel does not take that, moved there, by `mover` (null: none) if need be.
 */
int probe_start(struct probe *ret, int cgroup_fd, const struct mover *mover,
                struct wps_error *error);

/* Lets it end by itself. It is reaped by probe_end. */
void probe_release(struct probe *probe);

/* Ends it if it still runs, reaps it, and returns its wait status; -ECHILD where it is not ours any
 * more. A zeroed probe (pid 0) is fine: 0. */
int probe_end(struct probe *probe);

#endif
