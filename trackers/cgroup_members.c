/* SPDX-License-Identifier: Apache-2.0 */

/* The tracker `cgroup`: who is in its blocks. */

#include "trackers/cgroup_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- of one block, with facts ---- */

struct scan {
    struct tracker_op *op;
    const struct tracker *tracker;
    char base[TRACKER_PATH_MAX]; /* of the block or sub-scope, as /proc/PID/cgroup tells it */
};

enum { NOWHERE = -1 };

/* The sub-scope in what is known that a cgroup below the base is. */
static int64_t known_place_of(const struct scan *scan, const char *path)
{
    const struct known *known = scan->op->known;
    char whole[2 * TRACKER_PATH_MAX], block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1];
    snprintf(whole, sizeof whole, "%s%s", scan->base, path);
    if (!known || !cgroup_locate(scan->tracker, whole, block, scope))
        return NOWHERE;
    for (size_t i = 0; i < known->n_places; i++)
        if (strcmp(known->places[i].scope, scope) == 0)
            return (int64_t)i;
    return NOWHERE;
}

/* True where it is told by its pid alone. */
static bool is_unmoved(struct tracker_op *op, int64_t place, uint32_t pid)
{
    if (place == NOWHERE)
        return false;
    const struct known_member *member = known_member(op->known->members, op->known->n_members, pid);
    if (!member || member->place != place || op->n_pids == op->known->n_members)
        return false;
    op->pids[op->n_pids++] = pid;
    return true;
}

static int add_member(struct scan *scan, const char *path, uint32_t pid)
{
    struct process_facts facts;
    int r = facts_read(&facts, pid, FACTS_ARGV);
    if (r == -ESRCH)
        return 0;
    if (r < 0)
        return r;
    if (asprintf(&facts.cgroup, "%s%s", scan->base, path) < 0) {
        facts.cgroup = NULL;
        facts_clear(&facts);
        return -ENOMEM;
    }
    return facts_list_add(&scan->op->facts, &facts);
}

static int add_members(void *context, const char *path, const uint32_t *pids, size_t n)
{
    struct scan *scan = context;
    int64_t place = known_place_of(scan, path);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        if (!is_unmoved(scan->op, place, pids[i]))
            r = add_member(scan, path, pids[i]);
    return r;
}

/* A process is where its list says that it is: that costs nothing more to know. */
int cgroup_scan(struct tracker *tracker, struct tracker_op *op)
{
    const struct cgroup_tracker *cgroup = (const struct cgroup_tracker *)tracker;
    struct scan scan = {.op = op, .tracker = tracker};
    char path[TRACKER_PATH_MAX];
    if (op->known && !(op->pids = calloc(op->known->n_members + 1, sizeof *op->pids)))
        return wps_error_set(&op->error, -ENOMEM, "out of memory");
    int r = cgroup_directory(tracker, op->block, op->scope, path);
    if (r == 0 && snprintf(scan.base, sizeof scan.base, "%s%s", cgroup->root_in_hierarchy,
                           path + strlen(tracker->root_path)) >= (int)sizeof scan.base)
        r = -ENAMETOOLONG;
    r = r < 0 ? r : cgroupfs_walk(path, add_members, &scan);
    return r < 0 ? wps_error_system(&op->error, r, "cannot read the members of block %s", op->block)
                 : 0;
}

/* ---- of all blocks ---- */

struct census {
    const struct cgroup_tracker *cgroup;
    unsigned *progress;
};

/* What lies beside blocks, below our root, is nobody's block. */
static bool is_of_a_block(void *context, const char *path)
{
    const struct census *census = context;
    char whole[2 * TRACKER_PATH_MAX], block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1];
    __atomic_add_fetch(census->progress, 1, __ATOMIC_RELAXED);
    snprintf(whole, sizeof whole, "%s%s", census->cgroup->root_in_hierarchy, path);
    return cgroup_locate(&census->cgroup->tracker, whole, block, scope);
}

int cgroup_threads(const struct tracker *tracker, unsigned *progress, uint32_t **ret_tids,
                   size_t *ret_n)
{
    struct census census = {(const struct cgroup_tracker *)tracker, progress};
    return cgroupfs_threads(tracker->root_path, is_of_a_block, &census, ret_tids, ret_n);
}
