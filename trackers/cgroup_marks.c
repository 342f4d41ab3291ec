/* SPDX-License-Identifier: Apache-2.0 */

/* Extended attributes of a block's cgroup. Anyone who may write to the cgroup may have written
 * them: what does not read as one of ours is none. */

#include "trackers/cgroup_marks.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "trackers/procfs.h"

#define ROOT_PREFIX "user.proctrack.root."

enum {
    NAME_ROOM = sizeof ROOT_PREFIX + 10, /* and a pid */
    TICKS_ROOM = 24,
};

enum { KINDS = 2 };

/* ---- on_exit and on_crash ---- */

/* Attributes of the user are there since Linux 5.7; trusted ones, for root, before. A kernel that
 * has neither forgets. */
static const char *const mark_attributes[TRACKER_FATES][KINDS] = {
    [TRACKER_ON_EXIT] = {"user.proctrack.on_exit", "trusted.proctrack.on_exit"},
    [TRACKER_ON_CRASH] = {"user.proctrack.on_crash", "trusted.proctrack.on_crash"},
};
static const char *const boot_attributes[KINDS] = {"user.proctrack.boot_ms",
                                                   "trusted.proctrack.boot_ms"};
static const char *const mark_words[] = {
    [TRACKER_MARK_KILL] = "kill",
    [TRACKER_MARK_KEEP] = "keep",
};

static void unmark(const char *path, enum tracker_fate fate)
{
    for (size_t i = 0; i < KINDS; i++)
        removexattr(path, mark_attributes[fate][i]);
}

void cgroup_mark(const char *path, enum tracker_fate fate, enum tracker_mark mark)
{
    if (mark == TRACKER_UNMARKED) {
        unmark(path, fate);
        return;
    }
    for (size_t i = 0; i < KINDS; i++)
        if (setxattr(path, mark_attributes[fate][i], mark_words[mark], strlen(mark_words[mark]),
                     0) == 0)
            return;
}

enum tracker_mark cgroup_read_mark(const char *path, enum tracker_fate fate)
{
    char word[8];
    for (size_t i = 0; i < KINDS; i++) {
        ssize_t size = getxattr(path, mark_attributes[fate][i], word, sizeof word);
        for (int mark = TRACKER_MARK_KILL; mark <= TRACKER_MARK_KEEP; mark++)
            if (size == (ssize_t)strlen(mark_words[mark]) &&
                memcmp(word, mark_words[mark], (size_t)size) == 0)
                return (enum tracker_mark)mark;
    }
    return TRACKER_UNMARKED;
}

/* ---- the clocks ---- */

/* A whole string of digits. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
    if (!*text || text[strspn(text, "0123456789")])
        return false;
    errno = 0;
    *ret = strtoull(text, NULL, 10);
    return errno == 0 && *ret <= max;
}

void cgroup_mark_boot(const char *path, int64_t boot_ms)
{
    char text[24];
    size_t size = (size_t)snprintf(text, sizeof text, "%" PRId64, boot_ms);
    for (size_t i = 0; i < KINDS; i++)
        if (setxattr(path, boot_attributes[i], text, size, 0) == 0)
            return;
}

bool cgroup_read_boot(const char *path, int64_t *ret_boot_ms)
{
    char text[24];
    uint64_t boot_ms;
    for (size_t i = 0; i < KINDS; i++) {
        ssize_t size = getxattr(path, boot_attributes[i], text, sizeof text - 1);
        text[size < 0 ? 0 : size] = '\0';
        if (parse_number(text, INT64_MAX / 2, &boot_ms)) {
            *ret_boot_ms = (int64_t)boot_ms;
            return true;
        }
    }
    return false;
}

/* ---- roots ---- */

static void name_of(char name[static NAME_ROOM], uint32_t pid)
{
    snprintf(name, NAME_ROOM, ROOT_PREFIX "%" PRIu32, pid);
}

static bool read_root(const char *path, const char *name, struct root_mark *ret)
{
    char ticks[TICKS_ROOM];
    uint64_t pid, start_ticks;
    if (strncmp(name, ROOT_PREFIX, strlen(ROOT_PREFIX)) != 0 ||
        !parse_number(name + strlen(ROOT_PREFIX), UINT32_MAX, &pid))
        return false;
    ssize_t size = getxattr(path, name, ticks, sizeof ticks - 1);
    if (size < 0)
        return false;
    ticks[size] = '\0';
    if (!parse_number(ticks, UINT64_MAX, &start_ticks))
        return false;
    *ret = (struct root_mark){.pid = (uint32_t)pid, .start_ticks = start_ticks};
    return true;
}

int cgroup_read_roots(const char *path, struct root_mark **ret, size_t *ret_n)
{
    _cleanup_free_ char *names = malloc(XATTR_LIST_MAX);
    if (!names)
        return -ENOMEM;
    ssize_t size = listxattr(path, names, XATTR_LIST_MAX);
    size_t n = 0, room = 0;
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1)
        room++;
    struct root_mark *roots = calloc(room + 1, sizeof *roots);
    if (!roots)
        return -ENOMEM;
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1)
        n += read_root(path, names + at, &roots[n]);
    *ret = roots;
    *ret_n = n;
    return 0;
}

static void unmark_dead(const char *path)
{
    _cleanup_free_ struct root_mark *roots = NULL;
    size_t n = 0;
    if (cgroup_read_roots(path, &roots, &n) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        struct proc_stat stat;
        int r = proc_stat_read(&stat, roots[i].pid);
        if (r == -ESRCH || (r == 0 && stat.start_ticks != roots[i].start_ticks))
            cgroup_unmark_root(path, roots[i].pid);
    }
}

int cgroup_mark_root(const char *path, uint32_t pid, uint64_t start_ticks)
{
    char name[NAME_ROOM], ticks[TICKS_ROOM];
    name_of(name, pid);
    size_t size = (size_t)snprintf(ticks, sizeof ticks, "%" PRIu64, start_ticks);
    if (setxattr(path, name, ticks, size, 0) == 0)
        return 0;
    if (errno != ENOSPC)
        return -errno;
    unmark_dead(path);
    return setxattr(path, name, ticks, size, 0) == 0 ? 0 : -errno;
}

void cgroup_unmark_root(const char *path, uint32_t pid)
{
    char name[NAME_ROOM];
    name_of(name, pid);
    removexattr(path, name);
}
