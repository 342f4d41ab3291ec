/* SPDX-License-Identifier: Apache-2.0 */

/* A child to try things on. */

#include "trackers/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Copies the process as fork does. libc knows nothing of it, so the child may only make system
 * calls. */
static pid_t clone_plain(uint64_t flags, int cgroup_fd, int *pidfd)
{
    struct clone_args args = {
        .flags = CLONE_PIDFD | flags,
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = 0,
        .cgroup = (uint64_t)(cgroup_fd < 0 ? 0 : cgroup_fd),
    };
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* For kernels and sandboxes without clone3. */
static pid_t clone_older(int *pidfd)
{
    return (pid_t)syscall(SYS_clone, (unsigned long)CLONE_PIDFD, NULL, pidfd, NULL, 0);
}

/* Plain system calls: a sanitizer's own _exit would take care of threads that are not here. */
_Noreturn static void child_body(int go)
{
    char byte;
    while (syscall(SYS_read, go, &byte, 1) < 0 && errno == EINTR)
        ;
    for (;;)
        syscall(SYS_exit_group, PROBE_EXIT);
}

/* By its path, as a mover wants it. */
static int move_into(int cgroup_fd, pid_t pid, const struct mover *mover, struct wps_error *error)
{
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", cgroup_fd);
    ssize_t size = readlink(link, path, sizeof path);
    int r = size < 0 ? -errno : size == sizeof path ? -ENAMETOOLONG : 0;
    if (r == 0)
        path[size] = '\0';
    struct wps_error why = {""};
    r = r < 0 ? r : mover_move(mover, path, (uint32_t)pid, &why);
    if (r < 0 && why.message[0])
        return wps_error_set(error, r, "cannot move a trial child into its cgroup: %.400s",
                             why.message);
    return r < 0 ? wps_error_system(error, r, "cannot move a trial child into its cgroup") : 0;
}

int probe_start(struct probe *ret, int cgroup_fd, const struct mover *mover,
                struct wps_error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return wps_error_system(error, -errno, "pipe for a trial child");
    _cleanup_close_ int read_end = ends[0];
    _cleanup_close_ int write_end = ends[1];

    int pidfd = -1;
    pid_t pid = -1;
    bool born_there = cgroup_fd >= 0;
    if (born_there)
        pid = clone_plain(CLONE_INTO_CGROUP, cgroup_fd, &pidfd);
    if (pid < 0) {
        born_there = false;
        pid = clone_plain(0, -1, &pidfd);
    }
    if (pid < 0 && (errno == ENOSYS || errno == EPERM))
        pid = clone_older(&pidfd);
    if (pid < 0)
        return wps_error_system(error, -errno, "cannot make a trial child");
    if (pid == 0) {
        syscall(SYS_close, write_end);
        child_body(read_end);
    }

    struct probe probe = {.pid = pid, .pidfd = pidfd, .go = take_fd(&write_end)};
    if (cgroup_fd >= 0 && !born_there) {
        int r = move_into(cgroup_fd, pid, mover, error);
        if (r < 0) {
            probe_end(&probe);
            return r;
        }
    }
    *ret = probe;
    return 0;
}

void probe_release(struct probe *probe)
{
    cleanup_close(&probe->go);
    probe->go = -1;
}

int probe_end(struct probe *probe)
{
    if (probe->pid <= 0)
        return 0;
    if (probe->go >= 0) {
        syscall(SYS_pidfd_send_signal, probe->pidfd, SIGKILL, NULL, 0);
        probe_release(probe);
    }
    int status = -ECHILD, r;
    while ((r = waitpid(probe->pid, &status, __WALL)) < 0 && errno == EINTR)
        ;
    close(probe->pidfd);
    probe->pid = 0;
    return r < 0 ? -ECHILD : status;
}
