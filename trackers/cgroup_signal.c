/* SPDX-License-Identifier: Apache-2.0 */

/* The tracker `cgroup`: ending, signalling and freezing who is in a block. */

#include "trackers/cgroup_impl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/procfs.h"

enum {
    LOOK_MS = 8,       /* between two looks whether they are gone, at most */
    COUNT_MS = 16,     /* after so long they are counted; then after twice as long, and so on */
    DIE_OUT_MS = 1000, /* no longer, whatever they do */
    SIGNAL_ROUNDS = 64,
    FREEZE_WAIT_MS = 100,
};

/* Waits while they become fewer: thousands take their time to die, and do it best undisturbed. True
 * where none is left. */
static bool die_out(const char *path)
{
    size_t left = SIZE_MAX;
    for (int ms = 0, step = 1, count_at = COUNT_MS; ms < DIE_OUT_MS;
         step = MIN(2 * step, LOOK_MS)) {
        if (cgroupfs_is_empty(path))
            return true;
        poll(NULL, 0, step);
        ms += step;
        if (ms < count_at)
            continue;
        _cleanup_free_ uint32_t *pids = NULL;
        size_t n = 0;
        if (cgroupfs_members(path, &pids, &n) < 0 || n >= left)
            break;
        left = n;
        count_at *= 2;
    }
    return cgroupfs_is_empty(path);
}

/* A fork can race the kill on kernels before early 2025, and a process whose leader left is not
 * reached, so who does not die of it is ended one by one. What is left then (in state D, say) is
 * the caller's to wait for. */
static int kill_thoroughly(const char *path)
{
    int r = cgroupfs_kill(path);
    return r < 0 || die_out(path) ? r : cgroupfs_kill_each(path);
}

/* Anybody who may write there can put us into a block: we go back to where we were, or beside
 * the root where that is not permitted, so as not to end with it. False: we are in this block, and
 * stay. */
static bool step_aside(const struct cgroup_tracker *cgroup, const char *block)
{
    _cleanup_free_ char *own = NULL;
    char own_block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1];
    if (proc_cgroup_read(&own, (uint32_t)getpid()) < 0 ||
        !cgroup_locate(&cgroup->tracker, own, own_block, scope) || strcmp(own_block, block) != 0)
        return true;
    const uint32_t us = (uint32_t)getpid();
    return cgroupfs_move(cgroup->home, us) == 0 || cgroupfs_move(cgroup->beside, us) == 0;
}

int cgroup_kill(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    int r = cgroup_directory(tracker, op->block, op->scope, path);
    if (r == 0)
        r = step_aside((struct cgroup_tracker *)tracker, op->block) ? kill_thoroughly(path)
                                                                    : cgroupfs_kill_each(path);
    return r < 0
               ? wps_error_system(&op->error, r, "cannot kill the processes of block %s", op->block)
               : 0;
}

/* The descriptor is taken first, then it is looked whether what it stands for is in there, so that
 * nobody else is signalled. */
static int signal_one(struct tracker *tracker, struct tracker_op *op, uint32_t pid)
{
    _cleanup_free_ char *path = NULL;
    char block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1];
    if (pid <= 1 || pid == (uint32_t)getpid() || tracker_has_pid(op, pid))
        return 0;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0 && (errno == ENOSYS || errno == EPERM))
        return -errno; /* no kernel before 5.3, no seccomp filter lets us signal for certain */
    if (pidfd < 0 || facts_place_read(&path, pid) < 0 ||
        !cgroup_locate(tracker, path, block, scope) || strcmp(block, op->block) != 0 ||
        !tracker_covers(op->scope, text_of(scope)) ||
        syscall(SYS_pidfd_send_signal, pidfd, op->signal, NULL, 0) < 0)
        return 0;
    return tracker_add_pid(op, pid);
}

/* Rounds until one finds nobody new: who was born meanwhile is signalled too. */
static int signal_rounds(struct tracker *tracker, struct tracker_op *op, const char *path)
{
    for (int round = 0; round < SIGNAL_ROUNDS; round++) {
        _cleanup_free_ uint32_t *pids = NULL;
        size_t n = 0, before = op->n_pids;
        int r = cgroupfs_members(path, &pids, &n);
        for (size_t i = 0; r == 0 && i < n; i++)
            r = signal_one(tracker, op, pids[i]);
        if (r < 0 || op->n_pids == before)
            return r;
    }
    return 0;
}

int cgroup_signal(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    int r = cgroup_directory(tracker, op->block, op->scope, path);
    r = r < 0 ? r : signal_rounds(tracker, op, path);
    if (r == 0 && op->thaws)
        r = cgroupfs_freeze(path, false, 0);
    return r < 0 ? wps_error_system(&op->error, r, "cannot signal the processes of block %s",
                                    op->block)
                 : 0;
}

int cgroup_freeze(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    bool frozen = op->kind == TRACKER_FREEZE;
    int r = cgroup_directory(tracker, op->block, op->scope, path);
    r = r < 0 ? r : cgroupfs_freeze(path, frozen, FREEZE_WAIT_MS);
    return r < 0 ? wps_error_system(&op->error, r, "cannot %s block %s", frozen ? "freeze" : "thaw",
                                    op->block)
                 : 0;
}
