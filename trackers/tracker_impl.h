/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_TRACKER_IMPL_H
#define TRACKERS_TRACKER_IMPL_H

/* What a tracker is made of: for the files of this folder alone. Each tracker's own struct begins
 * with a `struct tracker`. */

#include "trackers/tracker.h"

struct tracker_class {
    const char *name;
    unsigned traits;
    int (*open)(const struct tracker_options *options, struct tracker **ret,
                struct wps_error *error);
    void (*close)(struct tracker *tracker); /* frees the struct too */
    bool (*locate)(const struct tracker *tracker, const char *path, char *block, char *scope);
    bool (*procs_path)(const struct tracker *tracker, const char *block, const char *scope,
                       char *path);
    bool (*is_there)(const struct tracker *tracker, const char *block, const char *scope);
    bool (*read_clock)(const struct tracker *tracker, int64_t *ret_boot_ms);
    void (*mark_clock)(const struct tracker *tracker, int64_t boot_ms);
    void (*unmark)(const struct tracker *tracker, const char *block, enum tracker_fate fate);
    int (*cpu_us)(const struct tracker *tracker, const char *block, uint64_t *ret_cpu_us);
    int (*threads)(const struct tracker *tracker, unsigned *progress, uint32_t **ret_tids,
                   size_t *ret_n);
    /* In a worker's thread: returns 0 or a negative errno with a sentence in op->error. */
    int (*run)(struct tracker *tracker, struct tracker_op *op);
};

struct tracker {
    const struct tracker_class *class;
    int root_fd;
    uint32_t spared[TRACKER_HELPERS]; /* atomic: workers read them */
    char *instance; /* the broker's runtime directory, without a slash at its end; "": unknown */
    char root_path[TRACKER_PATH_MAX];
};

/* True where that is a helper of ours. */
bool tracker_spares(const struct tracker *tracker, uint32_t pid);

/* True where the sub-scope is `tree` or below it; "" is the whole block. */
bool tracker_covers(const char *tree, struct text scope);

/* Who was signalled: once each. -ENOMEM. */
int tracker_add_pid(struct tracker_op *op, uint32_t pid);
bool tracker_has_pid(const struct tracker_op *op, uint32_t pid);

extern const struct tracker_class tracker_cgroup;
extern const struct tracker_class tracker_lineage;
extern const struct tracker_class tracker_none;

#endif
