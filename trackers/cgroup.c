/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tracker `cgroup`: one cgroup v2 directory per block, `b-<id>`, and below it one per part of a
 * sub-scope, `s-<part>`. The ids' alphabet is safe in file names, so the names are the ids, one to
 * one, and a later start finds them. The prefixes keep them apart from interface files and from
 * cgroups that members make for themselves.
 */

#include "trackers/cgroup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd_budget.h"
#include "trackers/assignable.h"
#include "trackers/cgroup_marks.h"

#define BLOCK_PREFIX "b-"
#define SCOPE_PREFIX "s-"

enum { PREFIX = 2, ASSIGN_ROUNDS = 64 };

/* ---- names ---- */

int cgroup_directory(const struct tracker *tracker, const char *block, const char *scope,
                     char path[static TRACKER_PATH_MAX])
{
    int used = snprintf(path, TRACKER_PATH_MAX, "%s/" BLOCK_PREFIX "%s", tracker->root_path, block);
    for (const char *part = scope; *part && used < TRACKER_PATH_MAX;) {
        size_t size = strcspn(part, "/");
        used += snprintf(path + used, (size_t)(TRACKER_PATH_MAX - used), "/" SCOPE_PREFIX "%.*s",
                         (int)size, part);
        part += size + (part[size] == '/');
    }
    return used < TRACKER_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int cgroup_cpu_us(const struct tracker *tracker, const char *block, uint64_t *ret_cpu_us)
{
    char path[TRACKER_PATH_MAX];
    int r = cgroup_directory(tracker, block, "", path);
    return r < 0 ? r : cgroupfs_cpu_us(path, ret_cpu_us);
}

static bool cgroup_procs_path(const struct tracker *tracker, const char *block, const char *scope,
                              char *path)
{
    if (cgroup_directory(tracker, block, scope, path) < 0)
        return false;
    size_t size = strlen(path);
    return snprintf(path + size, TRACKER_PATH_MAX - size, "/cgroup.procs") <
           (int)(TRACKER_PATH_MAX - size);
}

static bool cgroup_is_there(const struct tracker *tracker, const char *block, const char *scope)
{
    char path[TRACKER_PATH_MAX];
    return cgroup_directory(tracker, block, scope, path) < 0 || access(path, F_OK) == 0 ||
           errno != ENOENT;
}

static bool cgroup_read_clock(const struct tracker *tracker, int64_t *ret_boot_ms)
{
    return cgroup_read_boot(tracker->root_path, ret_boot_ms);
}

static void cgroup_mark_clock(const struct tracker *tracker, int64_t boot_ms)
{
    cgroup_mark_boot(tracker->root_path, boot_ms);
}

static void cgroup_unmark(const struct tracker *tracker, const char *block, enum tracker_fate fate)
{
    char path[TRACKER_PATH_MAX];
    if (cgroup_directory(tracker, block, "", path) == 0)
        cgroup_mark(path, fate, TRACKER_UNMARKED);
}

/* Members may make cgroups of any name: only what can be an id is one. */
static bool is_id(const char *part, size_t size)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    return part[0] != '.' && part[0] != '-' && strspn(part, alphabet) >= size;
}

/* Takes the next part of a path if it begins with `prefix`; null: it does not. */
static const char *take_part(const char **path, const char *prefix, size_t max, size_t *ret_size)
{
    if (**path != '/' || strncmp(*path + 1, prefix, PREFIX) != 0)
        return NULL;
    const char *part = *path + 1 + PREFIX;
    *ret_size = strcspn(part, "/");
    if (*ret_size == 0 || *ret_size > max || !is_id(part, *ret_size))
        return NULL;
    *path = part + *ret_size;
    return part;
}

bool cgroup_locate(const struct tracker *tracker, const char *path, char *block, char *scope)
{
    const char *root = ((const struct cgroup_tracker *)tracker)->root_in_hierarchy;
    size_t size = strlen(root), used = 0;
    if (strncmp(path, root, size) != 0)
        return false;
    path += size;
    const char *part = take_part(&path, BLOCK_PREFIX, TRACKER_BLOCK_MAX, &size);
    if (!part)
        return false;
    memcpy(block, part, size);
    block[size] = '\0';
    /* What follows the sub-scope was made by members themselves and belongs to it. */
    for (int level = 0; level < TRACKER_LEVELS; level++) {
        part = take_part(&path, SCOPE_PREFIX, TRACKER_BLOCK_MAX, &size);
        if (!part)
            break;
        if (used)
            scope[used++] = '/';
        memcpy(scope + used, part, size);
        used += size;
    }
    scope[used] = '\0';
    return true;
}

/* ---- create, scan, remove, list ---- */

int cgroup_make(const char *path, struct wps_error *error)
{
    if (mkdir(path, 0755) == 0)
        return 1;
    return errno == EEXIST ? 0 : wps_error_system(error, -errno, "cannot make the cgroup %s", path);
}

static uint64_t place_of(const char *path)
{
    struct stat stat;
    return lstat(path, &stat) < 0 ? 0 : stat.st_ino; /* kernfs: the inode number is the id */
}

/* `path` is the cgroup's, and is lengthened. */
static int open_events(struct tracker_op *op, char path[static TRACKER_PATH_MAX])
{
    if (strlen(path) + sizeof "/cgroup.events" > TRACKER_PATH_MAX)
        return wps_error_system(&op->error, -ENAMETOOLONG, "cannot watch block %s", op->block);
    strcat(path, "/cgroup.events");
    op->watch_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (op->watch_fd < 0)
        return wps_error_system(&op->error, -errno, "cannot open %s", path);
    int r = fd_budget_take(&op->watch_fd, op->fd_end);
    return r < 0 ? wps_error_system(&op->error, r, "cannot watch block %s", op->block) : 0;
}

static int create_scopes(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX], part[TRACKER_SCOPE_MAX + 1];
    int level = 0;
    for (size_t end = 0; op->scope[end] && level < TRACKER_LEVELS; level++) {
        end += strcspn(op->scope + end + (op->scope[end] == '/'), "/") + (op->scope[end] == '/');
        memcpy(part, op->scope, end);
        part[end] = '\0';
        int r = cgroup_directory(tracker, op->block, part, path);
        r = r < 0 ? r : cgroup_make(path, &op->error);
        if (r < 0)
            return r;
        op->scope_place[level] = place_of(path);
    }
    return 0;
}

/* From the sub-scope up to the block, just made. It takes no descriptor: there may be none. */
static void unmake(const struct tracker *tracker, const struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX], scope[TRACKER_SCOPE_MAX + 1];
    strcpy(scope, op->scope);
    for (bool more = true; more;) {
        more = *scope;
        if (cgroup_directory(tracker, op->block, scope, path) == 0)
            rmdir(path);
        char *slash = strrchr(scope, '/');
        *(slash ? slash : scope) = '\0';
    }
}

/* One that was just made has none. */
static void write_or_read_marks(struct tracker_op *op, const char *path, bool is_new)
{
    for (enum tracker_fate fate = 0; fate < TRACKER_FATES; fate++)
        if (op->marks[fate])
            cgroup_mark(path, fate, op->marks[fate]);
        else if (!is_new)
            op->marks[fate] = cgroup_read_mark(path, fate);
}

static int create(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    int r = cgroup_directory(tracker, op->block, "", path);
    r = r < 0 ? r : cgroup_make(path, &op->error);
    if (r < 0)
        return r;
    bool is_new = r > 0;
    op->block_place = place_of(path);
    write_or_read_marks(op, path, is_new);
    r = op->wants_roots ? cgroup_read_roots(path, &op->roots, &op->n_roots) : 0;
    if (r < 0)
        return wps_error_system(&op->error, r, "cannot read the roots of block %s", op->block);
    r = op->is_watched ? 0 : open_events(op, path);
    r = r < 0 ? r : create_scopes(tracker, op);
    if (r < 0 && is_new)
        unmake(tracker, op); /* who was refused a block leaves none */
    return r;
}

static int watch(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    int r = cgroup_directory(tracker, op->block, op->scope, path);
    return r < 0 ? wps_error_system(&op->error, r, "cannot watch block %s", op->block)
                 : open_events(op, path);
}

static int remove_block(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    int r = cgroup_directory(tracker, op->block, op->scope, path);
    r = r < 0 ? r : cgroupfs_remove(path, CGROUP_REMOVE_PATIENCE_MS);
    return r < 0 && r != -ENOENT
               ? wps_error_system(&op->error, r, "cannot remove the cgroup %s", path)
               : 0;
}

static int add_name(struct tracker_op *op, size_t *n, const char *name)
{
    char **names = realloc(op->names, (*n + 2) * sizeof *names);
    if (!names)
        return -ENOMEM;
    op->names = names;
    names[*n] = strdup(name);
    names[*n + 1] = NULL;
    return names[(*n)++] ? 0 : -ENOMEM;
}

static int list_blocks(struct tracker *tracker, struct tracker_op *op)
{
    _cleanup_closedir_ DIR *directory = opendir(tracker->root_path);
    size_t n = 0;
    int r = 0;
    if (!directory)
        return wps_error_system(&op->error, -errno, "cannot read %s", tracker->root_path);
    for (struct dirent *entry; r == 0 && (entry = readdir(directory));)
        if (entry->d_type == DT_DIR && strncmp(entry->d_name, BLOCK_PREFIX, PREFIX) == 0)
            r = add_name(op, &n, entry->d_name + PREFIX);
    return r;
}

/* Sub-scopes below one that is known; `scope` has its name and is the place to make theirs in. */
static int list_scopes_in(struct tracker *tracker, struct tracker_op *op, char *scope, int level,
                          size_t *n)
{
    char path[TRACKER_PATH_MAX];
    size_t size = strlen(scope);
    if (level == TRACKER_LEVELS)
        return 0;
    int r = cgroup_directory(tracker, op->block, scope, path);
    if (r < 0)
        return r;
    _cleanup_closedir_ DIR *directory = opendir(path);
    if (!directory)
        return errno == ENOENT ? 0 : -errno;
    for (struct dirent *entry; r == 0 && (entry = readdir(directory));) {
        const char *part = entry->d_name + PREFIX;
        if (entry->d_type != DT_DIR || strncmp(entry->d_name, SCOPE_PREFIX, PREFIX) != 0 ||
            strlen(part) > TRACKER_BLOCK_MAX || !is_id(part, strlen(part)))
            continue;
        sprintf(scope + size, "%s%s", size ? "/" : "", part);
        r = add_name(op, n, scope);
        r = r < 0 ? r : list_scopes_in(tracker, op, scope, level + 1, n);
        scope[size] = '\0';
    }
    return r;
}

static int list(struct tracker *tracker, struct tracker_op *op)
{
    char scope[TRACKER_SCOPE_MAX + 1] = "";
    size_t n = 0;
    return op->block[0] ? list_scopes_in(tracker, op, scope, 0, &n) : list_blocks(tracker, op);
}

/* ---- assign ---- */

/* Moves one process, if it is not where it is to be; tells its facts either way. Returns whether it
 * was moved. `why` is set where a mover could not. */
static int assign_one(struct cgroup_tracker *cgroup, struct tracker_op *op, const char *directory,
                      uint32_t pid, struct wps_error *why)
{
    struct process_facts facts;
    char block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1];
    int r = facts_read(&facts, pid, FACTS_ARGV | FACTS_CGROUP);
    if (r < 0)
        return r;
    bool in_block = facts.cgroup && cgroup_locate(&cgroup->tracker, facts.cgroup, block, scope) &&
                    strcmp(block, op->block) == 0;
    /* The one that was asked for goes to its sub-scope; its descendants stay in theirs. */
    bool there = in_block && (pid != op->pid || strcmp(scope, op->scope) == 0);
    r = there ? 0 : mover_move(cgroup->mover, directory, pid, why);
    if (r < 0) {
        facts_clear(&facts);
        return r;
    }
    facts.moved = !there;
    if (facts.moved) { /* what was read before is not true any more */
        free(facts.cgroup);
        facts.cgroup = NULL;
    }
    r = facts_list_add(&op->facts, &facts);
    return r < 0 ? r : !there;
}

static bool is_listed(const struct tracker_op *op, uint32_t pid)
{
    for (size_t i = 0; i < op->facts.n; i++)
        if (op->facts.items[i].pid == pid)
            return true;
    return false;
}

/* The descendants it has, as still linked by parent. What was moved before it forks again has its
 * children inside; so this ends when a round finds nobody outside. */
static int assign_descendants(struct cgroup_tracker *cgroup, struct tracker_op *op,
                              const char *directory, struct wps_error *why)
{
    for (int round = 0; round < ASSIGN_ROUNDS; round++) {
        _cleanup_free_ uint32_t *pids = NULL;
        size_t n = 0;
        bool moved = false;
        int r = assignable_descendants(&cgroup->tracker, op->pid, &pids, &n);
        if (r < 0)
            return r;
        for (size_t i = 0; i < n; i++) {
            if (is_listed(op, pids[i]))
                continue;
            r = assign_one(cgroup, op, directory, pids[i], why);
            if (r < 0 && r != -ESRCH)
                return r;
            moved = moved || r == 1;
        }
        if (!moved)
            return 0;
    }
    return -ELOOP;
}

/* `why` is the mover's sentence, if it said one. */
static int say_unmoved(struct tracker_op *op, int r, const char *what, const char *directory,
                       const struct wps_error *why)
{
    if (why->message[0])
        return wps_error_set(&op->error, r, "cannot move %s %u into its block: %.400s", what,
                             op->pid, why->message);
    return wps_error_system(&op->error, r, "cannot move %s %u into its block (%s)", what, op->pid,
                            directory);
}

/* For the next broker. `facts` are of the one that was asked for. */
static void mark_root(struct tracker *tracker, struct tracker_op *op,
                      const struct process_facts *facts)
{
    char path[TRACKER_PATH_MAX];
    int r = cgroup_directory(tracker, op->block, "", path);
    if (r == 0 && op->root)
        r = cgroup_mark_root(path, facts->pid, facts->stat.start_ticks);
    else if (r == 0)
        cgroup_unmark_root(path, facts->pid); /* it may have been one, left, and is back */
    op->root_unmarked = r < 0;
}

static int assign(struct tracker *tracker, struct tracker_op *op)
{
    struct cgroup_tracker *cgroup = (struct cgroup_tracker *)tracker;
    char directory[TRACKER_PATH_MAX];
    int r = cgroup_directory(tracker, op->block, op->scope, directory);
    if (r < 0)
        return wps_error_system(&op->error, r, "data.scope");
    r = assignable_check(tracker, op->pid, op->start_ticks, op->client_uid, &op->error);
    if (r < 0)
        return r;
    struct wps_error why = {""};
    r = assign_one(cgroup, op, directory, op->pid, &why);
    if (r < 0)
        return say_unmoved(op, r, "process", directory, &why);
    mark_root(tracker, op, &op->facts.items[0]);
    r = assign_descendants(cgroup, op, directory, &why);
    return r < 0 ? say_unmoved(op, r, "all descendants of process", directory, &why) : 0;
}

static int cgroup_run(struct tracker *tracker, struct tracker_op *op)
{
    switch (op->kind) {
    case TRACKER_CREATE:
        return create(tracker, op);
    case TRACKER_ASSIGN:
        return assign(tracker, op);
    case TRACKER_SCAN:
        return cgroup_scan(tracker, op);
    case TRACKER_KILL:
        return cgroup_kill(tracker, op);
    case TRACKER_SIGNAL:
        return cgroup_signal(tracker, op);
    case TRACKER_FREEZE:
    case TRACKER_THAW:
        return cgroup_freeze(tracker, op);
    case TRACKER_WATCH:
        return watch(tracker, op);
    case TRACKER_REMOVE:
        return remove_block(tracker, op);
    case TRACKER_LIST:
        return list(tracker, op);
    case TRACKER_FACTS:
        break; /* the same for all trackers: tracker.c */
    }
    return -ENOTSUP;
}

const struct tracker_class tracker_cgroup = {
    .name = "cgroup",
    .traits = TRACKER_OWNS | TRACKER_HAS_PLACES | TRACKER_TRACKS,
    .open = cgroup_open,
    .close = cgroup_close,
    .locate = cgroup_locate,
    .procs_path = cgroup_procs_path,
    .is_there = cgroup_is_there,
    .read_clock = cgroup_read_clock,
    .mark_clock = cgroup_mark_clock,
    .unmark = cgroup_unmark,
    .cpu_us = cgroup_cpu_us,
    .threads = cgroup_threads,
    .run = cgroup_run,
};
