/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_CGROUP_IMPL_H
#define TRACKERS_CGROUP_IMPL_H

/*
 * What the files of the tracker `cgroup` share: cgroup.c makes places, cgroup_members.c finds who
 * is in them, cgroup_signal.c ends and signals, cgroup_open.c finds where the blocks can be and
 * tries it. For them alone.
 */

#include "trackers/cgroupfs.h"
#include "trackers/tracker_impl.h"

struct cgroup_tracker {
    struct tracker tracker;
    char *root_in_hierarchy;   /* the root's path as /proc/PID/cgroup tells it */
    char *home;                /* directory of the cgroup that we were in at the beginning */
    char *beside;              /* directory that the root is in */
    const struct mover *mover; /* null: none */
};

enum { CGROUP_REMOVE_PATIENCE_MS = 1000 };

/* ---- cgroup.c ---- */

/* Directory of a block, or of a sub-scope where `scope` is not "". -ENAMETOOLONG. */
int cgroup_directory(const struct tracker *tracker, const char *block, const char *scope,
                     char path[static TRACKER_PATH_MAX]);
/* 1: it is new; 0: it was there already. */
int cgroup_make(const char *path, struct wps_error *error);
bool cgroup_locate(const struct tracker *tracker, const char *path, char *block, char *scope);

/* ---- cgroup_members.c ---- */

int cgroup_scan(struct tracker *tracker, struct tracker_op *op); /* an operation */
int cgroup_threads(const struct tracker *tracker, unsigned *progress, uint32_t **ret_tids,
                   size_t *ret_n);

/* ---- cgroup_signal.c: operations ---- */

int cgroup_kill(struct tracker *tracker, struct tracker_op *op);
int cgroup_signal(struct tracker *tracker, struct tracker_op *op);
int cgroup_freeze(struct tracker *tracker, struct tracker_op *op);

/* ---- cgroup_open.c ---- */

int cgroup_open(const struct tracker_options *options, struct tracker **ret,
                struct wps_error *error);
void cgroup_close(struct tracker *tracker);

#endif
