/* SPDX-License-Identifier: Apache-2.0 */

/* The lock is a flock on cgroup.kill, which nothing but an open for writing can reach. */

#include "keeper/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/cleanup.h"

static int open_file(const char *root)
{
    char path[4300];
    snprintf(path, sizeof path, "%s/cgroup.kill", root);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) { /* before Linux 5.14: others may hold this one too */
        snprintf(path, sizeof path, "%s/cgroup.procs", root);
        fd = open(path, O_WRONLY | O_CLOEXEC);
    }
    return fd < 0 ? -errno : fd;
}

int keeper_lock_hold(const char *root)
{
    _cleanup_close_ int fd = open_file(root);
    if (fd < 0)
        return fd;
    return flock(fd, LOCK_SH | LOCK_NB) < 0 ? -errno : take_fd(&fd);
}

int keeper_lock_wait(const char *root, unsigned patience_ms)
{
    _cleanup_close_ int fd = open_file(root);
    if (fd < 0)
        return fd;
    for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited++) {
        if (errno != EWOULDBLOCK)
            return -errno;
        if (waited >= patience_ms)
            return -ETIMEDOUT;
        poll(NULL, 0, 1); /* a lock cannot be waited for until a deadline */
    }
    return 0;
}
