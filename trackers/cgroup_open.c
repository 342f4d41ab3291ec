/* SPDX-License-Identifier: Apache-2.0 */

/* The tracker `cgroup`: where its blocks can be, and whether all of it works there. */

#include "trackers/cgroup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/probe.h"
#include "trackers/procfs.h"

static int find_root(struct cgroup_tracker *cgroup, const struct tracker_options *options,
                     struct wps_error *error)
{
    _cleanup_free_ char *directory = NULL, *path = NULL;
    int r = cgroupfs_own(&directory, &path, error);
    if (r < 0)
        return r;
    /* Where the root is elsewhere, its path in the hierarchy is learned from the trial child. */
    const char *where =
        options->cgroup_root && *options->cgroup_root ? options->cgroup_root : directory;
    char name[TRACKER_ROOT_NAME];
    tracker_root_name(name, options->instance);
    if (snprintf(cgroup->tracker.root_path, sizeof cgroup->tracker.root_path, "%s/%s", where,
                 name) >= (int)sizeof cgroup->tracker.root_path)
        return wps_error_set(error, -ENAMETOOLONG, "the cgroup root's path is too long");
    r = cgroup_make(cgroup->tracker.root_path, error);
    if (r == -EACCES || r == -EPERM || r == -EROFS)
        return wps_error_set(error, r,
                             "may not make cgroups in %s: run as root, or in a cgroup that is "
                             "delegated (systemd: Delegate=yes), or set cgroup-root",
                             where);
    if (r < 0)
        return r;
    cgroup->tracker.root_fd = open(cgroup->tracker.root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cgroup->tracker.root_fd < 0)
        return wps_error_system(error, -errno, "cannot open %s", cgroup->tracker.root_path);
    bool inside =
        strncmp(directory, cgroup->tracker.root_path, strlen(cgroup->tracker.root_path)) == 0;
    cgroup->beside = strdup(where);
    cgroup->home = inside ? strdup(where) : take_ptr(directory);
    return cgroup->home && cgroup->beside ? 0 : wps_error_set(error, -ENOMEM, "out of memory");
}

/* Learns the root's path in the hierarchy from where a child in `directory` says it is. */
static int learn_path(struct cgroup_tracker *cgroup, uint32_t pid, const char *name,
                      struct wps_error *error)
{
    _cleanup_free_ char *path = NULL;
    int r = proc_cgroup_read(&path, pid);
    if (r < 0)
        return wps_error_system(error, r, "cannot read the cgroup of a trial child");
    size_t size = strlen(path), tail = strlen(name);
    if (size <= tail || strcmp(path + size - tail, name) != 0)
        return wps_error_set(error, -EXDEV,
                             "a trial child is in %s and not in the cgroup it was "
                             "put into",
                             path);
    path[size - tail - 1] = '\0';
    free(cgroup->root_in_hierarchy);
    cgroup->root_in_hierarchy = take_ptr(path);
    return 0;
}

/* Puts a child in, sees it there, ends it. */
static int try_child(struct cgroup_tracker *cgroup, const char *directory, const char *name,
                     struct wps_error *error)
{
    struct probe probe = {0};
    _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return wps_error_system(error, -errno, "cannot open %s", directory);
    int r = probe_start(&probe, fd, cgroup->mover, error);
    if (r < 0)
        return r;
    r = learn_path(cgroup, (uint32_t)probe.pid, name, error);
    if (r == 0 && (r = cgroupfs_kill(directory)) < 0)
        wps_error_system(error, r, "cannot kill through %s", directory);
    if (r < 0) {
        probe_end(&probe);
        return r;
    }
    int status = 0;
    while (waitpid(probe.pid, &status, __WALL) < 0 && errno == EINTR)
        ;
    close(probe.go);
    close(probe.pidfd);
    if (!WIFSIGNALED(status))
        return wps_error_set(error, -EBADMSG, "a trial child was not ended by its cgroup");
    return 0;
}

static int try_it(struct cgroup_tracker *cgroup, struct wps_error *error)
{
    char directory[TRACKER_PATH_MAX + 32], name[32];
    snprintf(name, sizeof name, "trial-%d", (int)gettid());
    snprintf(directory, sizeof directory, "%s/%s", cgroup->tracker.root_path, name);
    int r = cgroup_make(directory, error);
    if (r < 0)
        return r;
    r = try_child(cgroup, directory, name, error);
    int removed = cgroupfs_remove(directory, CGROUP_REMOVE_PATIENCE_MS);
    if (r == 0 && removed < 0)
        return wps_error_system(error, removed, "cannot remove the cgroup %s", directory);
    return r;
}

void cgroup_close(struct tracker *tracker)
{
    struct cgroup_tracker *cgroup = (struct cgroup_tracker *)tracker;
    if (tracker->root_fd >= 0) {
        close(tracker->root_fd);
        rmdir(tracker->root_path); /* stays where blocks are kept for the next start */
    }
    free(cgroup->root_in_hierarchy);
    free(cgroup->home);
    free(cgroup->beside);
    free(cgroup);
}

int cgroup_open(const struct tracker_options *options, struct tracker **ret,
                struct wps_error *error)
{
    struct cgroup_tracker *cgroup = calloc(1, sizeof *cgroup);
    if (!cgroup)
        return wps_error_set(error, -ENOMEM, "out of memory");
    cgroup->tracker.class = &tracker_cgroup;
    cgroup->tracker.root_fd = -1;
    cgroup->mover = options->mover;
    int r = find_root(cgroup, options, error);
    r = r < 0 ? r : try_it(cgroup, error);
    if (r < 0) {
        cgroup_close(&cgroup->tracker);
        return r;
    }
    *ret = &cgroup->tracker;
    return 0;
}
