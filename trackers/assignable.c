/* SPDX-License-Identifier: Apache-2.0 */

/* Who may be put into a block, and who comes along. */

#include "trackers/assignable.h"

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/procfs.h"
#include "trackers/tracker_impl.h"

static int check_life(const struct proc_stat *stat, uint32_t pid, uint64_t start_ticks,
                      struct wps_error *error)
{
    if (proc_is_kernel_thread(stat))
        return wps_error_set(error, -EPERM, "data.pid: %u is a kernel thread", pid);
    if (pid <= 1 || pid == (uint32_t)getpid())
        return wps_error_set(error, -EPERM, "data.pid: %u is %s and belongs to no block", pid,
                             pid == 1 ? "the init process" : "the broker itself");
    if (start_ticks && stat->start_ticks != start_ticks)
        return wps_error_set(error, -ESRCH,
                             "data.started_at_ms: process %u was created at another time: the one "
                             "that is meant has ended",
                             pid);
    return 0;
}

static int check_user(uint32_t pid, uint32_t client_uid, struct wps_error *error)
{
    uid_t uid;
    if (client_uid == 0)
        return 0;
    int r = proc_uid_read(&uid, pid);
    if (r < 0)
        return wps_error_system(error, r, "data.pid: cannot read process %u", pid);
    if (uid != client_uid)
        return wps_error_set(error, -EPERM, "data.pid: process %u belongs to another user", pid);
    return 0;
}

int assignable_check(const struct tracker *tracker, uint32_t pid, uint64_t start_ticks,
                     uint32_t client_uid, struct wps_error *error)
{
    struct proc_stat stat;
    if (tracker_spares(tracker, pid))
        return wps_error_set(error, -EPERM,
                             "data.pid: %u is a helper of the broker and belongs to no block", pid);
    int r = proc_stat_read(&stat, pid);
    if (r == 0 && !proc_is_process(pid))
        r = -ESRCH; /* /proc shows threads too, where they are asked for by number */
    if (r == -ESRCH)
        return wps_error_set(error, r, "data.pid: no process %u", pid);
    if (r < 0)
        return wps_error_system(error, r, "data.pid: cannot read process %u", pid);
    r = check_life(&stat, pid, start_ticks, error);
    r = r < 0 ? r : check_user(pid, client_uid, error);
    if (r < 0)
        return r;
    if (proc_has_ended(&stat))
        return wps_error_set(error, -ESRCH, "data.pid: process %u has ended", pid);
    return 0;
}

/* Takes our own process and our helpers out of what was found from `from` on, so that nobody below
 * them is found. */
static size_t without_us(const struct tracker *tracker, uint32_t *pids, size_t from, size_t n)
{
    const uint32_t us = (uint32_t)getpid();
    for (size_t i = from; i < n; i++)
        if (pids[i] == us || tracker_spares(tracker, pids[i]))
            pids[i--] = pids[--n];
    return n;
}

int assignable_descendants(const struct tracker *tracker, uint32_t pid, uint32_t **ret_pids,
                           size_t *ret_n)
{
    _cleanup_free_ uint32_t *pids = NULL;
    size_t n = 0, room = 0, before = 0;
    int r = proc_children(pid, &pids, &n, &room);
    n = without_us(tracker, pids, 0, n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        before = n;
        r = proc_children(pids[i], &pids, &n, &room);
        n = without_us(tracker, pids, before, n);
    }
    if (r < 0)
        return r;
    *ret_pids = take_ptr(pids);
    *ret_n = n;
    return 0;
}
