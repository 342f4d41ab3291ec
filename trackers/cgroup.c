/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tracker `cgroup`: one cgroup v2 directory per block, `b-<id>`, and below it one per part of a
 * sub-scope, `s-<part>`. The ids' alphabet is safe in file names, so the names are the ids, one to
 * one, and a later start finds them. The prefixes keep them apart from interface files and from
 * cgroups that members make for themselves.
 */

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
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/assignable.h"
#include "trackers/cgroupfs.h"
#include "trackers/probe.h"
#include "trackers/tracker_impl.h"

#define BLOCK_PREFIX "b-"
#define SCOPE_PREFIX "s-"

enum {
    PREFIX = 2,
    REMOVE_PATIENCE_MS = 1000,
    ASSIGN_ROUNDS = 64,
    KILL_WAIT_MS = 8,
    SIGNAL_ROUNDS = 64,
    FREEZE_WAIT_MS = 100
};

struct cgroup_tracker {
    struct tracker tracker;
    char *root_in_hierarchy; /* the root's path as /proc/PID/cgroup tells it */
    char *home;              /* directory of the cgroup that we were in at the beginning */
};

/* ---- names ---- */

/* Directory of a block, or of a sub-scope where `scope` is not "". */
static int directory_of(const struct tracker *tracker, const char *block, const char *scope,
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
    int r = directory_of(tracker, block, "", path);
    return r < 0 ? r : cgroupfs_cpu_us(path, ret_cpu_us);
}

static bool cgroup_procs_path(const struct tracker *tracker, const char *block, const char *scope,
                              char *path)
{
    if (directory_of(tracker, block, scope, path) < 0)
        return false;
    size_t size = strlen(path);
    return snprintf(path + size, TRACKER_PATH_MAX - size, "/cgroup.procs") <
           (int)(TRACKER_PATH_MAX - size);
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

static bool cgroup_locate(const struct tracker *tracker, const char *path, char *block, char *scope)
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

static int make_directory(const char *path, struct wps_error *error)
{
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return wps_error_system(error, -errno, "cannot make the cgroup %s", path);
    return 0;
}

static uint64_t place_of(const char *path)
{
    struct stat stat;
    return lstat(path, &stat) < 0 ? 0 : stat.st_ino; /* kernfs: the inode number is the id */
}

/* Attributes of the user are there since Linux 5.7; trusted ones, for root, before. A kernel that
 * has neither forgets. */
static const char *const mark_attributes[] = {"user.proctrack.on_exit",
                                              "trusted.proctrack.on_exit"};
static const char *const mark_words[] = {
    [TRACKER_MARK_KILL] = "kill",
    [TRACKER_MARK_KEEP] = "keep",
};

static void write_mark(const char *path, enum tracker_mark mark)
{
    for (size_t i = 0; i < sizeof mark_attributes / sizeof *mark_attributes; i++)
        if (setxattr(path, mark_attributes[i], mark_words[mark], strlen(mark_words[mark]), 0) == 0)
            return;
}

static enum tracker_mark read_mark(const char *path)
{
    char word[8];
    for (size_t i = 0; i < sizeof mark_attributes / sizeof *mark_attributes; i++) {
        ssize_t size = getxattr(path, mark_attributes[i], word, sizeof word);
        for (int mark = TRACKER_MARK_KILL; mark <= TRACKER_MARK_KEEP; mark++)
            if (size == (ssize_t)strlen(mark_words[mark]) &&
                memcmp(word, mark_words[mark], (size_t)size) == 0)
                return (enum tracker_mark)mark;
    }
    return TRACKER_UNMARKED;
}

static int create(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX], part[TRACKER_SCOPE_MAX + 1];
    int r = directory_of(tracker, op->block, "", path);
    r = r < 0 ? r : make_directory(path, &op->error);
    if (r < 0)
        return r;
    op->block_place = place_of(path);
    if (op->mark)
        write_mark(path, op->mark);
    else
        op->mark = read_mark(path);
    if (strlen(path) + sizeof "/cgroup.events" <= sizeof path) {
        strcat(path, "/cgroup.events");
        op->watch_fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (op->watch_fd < 0)
        return wps_error_system(&op->error, -errno, "cannot open %s", path);
    int level = 0;
    for (size_t end = 0; op->scope[end] && level < TRACKER_LEVELS; level++) {
        end += strcspn(op->scope + end + (op->scope[end] == '/'), "/") + (op->scope[end] == '/');
        memcpy(part, op->scope, end);
        part[end] = '\0';
        r = directory_of(tracker, op->block, part, path);
        r = r < 0 ? r : make_directory(path, &op->error);
        if (r < 0)
            return r;
        op->scope_place[level] = place_of(path);
    }
    return 0;
}

struct scan {
    struct tracker_op *op;
    char base[TRACKER_PATH_MAX]; /* of the block or sub-scope, as /proc/PID/cgroup tells it */
};

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
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_member(context, path, pids[i]);
    return r;
}

/* A process is where its list says that it is: that costs nothing more to know. */
static int scan(struct tracker *tracker, struct tracker_op *op)
{
    const struct cgroup_tracker *cgroup = (const struct cgroup_tracker *)tracker;
    struct scan scan = {.op = op};
    char path[TRACKER_PATH_MAX];
    int r = directory_of(tracker, op->block, op->scope, path);
    if (r == 0 && snprintf(scan.base, sizeof scan.base, "%s%s", cgroup->root_in_hierarchy,
                           path + strlen(tracker->root_path)) >= (int)sizeof scan.base)
        r = -ENAMETOOLONG;
    r = r < 0 ? r : cgroupfs_walk(path, add_members, &scan);
    return r < 0 ? wps_error_system(&op->error, r, "cannot read the members of block %s", op->block)
                 : 0;
}

/* A fork can race the kill on kernels before early 2025, and a process whose leader left is not
 * reached, so after as long as a kill commonly takes the rest is ended one by one. What is left
 * then (in state D, say) is the caller's to wait for. */
static int kill_thoroughly(const char *path)
{
    int r = cgroupfs_kill(path);
    for (int ms = 1; r == 0 && ms <= KILL_WAIT_MS; ms *= 2) {
        if (cgroupfs_is_empty(path))
            return 0;
        poll(NULL, 0, ms);
    }
    return r < 0 || cgroupfs_is_empty(path) ? r : cgroupfs_kill_each(path);
}

/* Anybody who may write there can put us into a block: we go back to where we were, so as not to
 * end with it. False: we are in this block, and stay. */
static bool step_aside(const struct cgroup_tracker *cgroup, const char *block)
{
    _cleanup_free_ char *own = NULL;
    char own_block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1];
    if (proc_cgroup_read(&own, (uint32_t)getpid()) < 0 ||
        !cgroup_locate(&cgroup->tracker, own, own_block, scope) || strcmp(own_block, block) != 0)
        return true;
    return cgroupfs_move(cgroup->home, (uint32_t)getpid()) == 0;
}

static int kill_all(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    int r = directory_of(tracker, op->block, op->scope, path);
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
    if (pidfd < 0 || proc_cgroup_read(&path, pid) < 0 ||
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

static int signal_all(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    int r = directory_of(tracker, op->block, op->scope, path);
    r = r < 0 ? r : signal_rounds(tracker, op, path);
    if (r == 0 && op->thaws)
        r = cgroupfs_freeze(path, false, 0);
    return r < 0 ? wps_error_system(&op->error, r, "cannot signal the processes of block %s",
                                    op->block)
                 : 0;
}

static int freeze(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    bool frozen = op->kind == TRACKER_FREEZE;
    int r = directory_of(tracker, op->block, op->scope, path);
    r = r < 0 ? r : cgroupfs_freeze(path, frozen, FREEZE_WAIT_MS);
    return r < 0 ? wps_error_system(&op->error, r, "cannot %s block %s", frozen ? "freeze" : "thaw",
                                    op->block)
                 : 0;
}

static int watch(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    int r = directory_of(tracker, op->block, op->scope, path);
    if (r == 0 && strlen(path) + sizeof "/cgroup.events" > sizeof path)
        r = -ENAMETOOLONG;
    if (r < 0)
        return wps_error_system(&op->error, r, "cannot watch block %s", op->block);
    strcat(path, "/cgroup.events");
    op->watch_fd = open(path, O_RDONLY | O_CLOEXEC);
    return op->watch_fd < 0 ? wps_error_system(&op->error, -errno, "cannot open %s", path) : 0;
}

static int remove_block(struct tracker *tracker, struct tracker_op *op)
{
    char path[TRACKER_PATH_MAX];
    int r = directory_of(tracker, op->block, op->scope, path);
    r = r < 0 ? r : cgroupfs_remove(path, REMOVE_PATIENCE_MS);
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
    int r = directory_of(tracker, op->block, scope, path);
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
 * was moved. */
static int assign_one(struct cgroup_tracker *cgroup, struct tracker_op *op, const char *directory,
                      uint32_t pid)
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
    r = there ? 0 : cgroupfs_move(directory, pid);
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
                              const char *directory)
{
    uint32_t spared = __atomic_load_n(&cgroup->tracker.spared, __ATOMIC_RELAXED);
    for (int round = 0; round < ASSIGN_ROUNDS; round++) {
        _cleanup_free_ uint32_t *pids = NULL;
        size_t n = 0;
        bool moved = false;
        int r = assignable_descendants(op->pid, spared, &pids, &n);
        if (r < 0)
            return r;
        for (size_t i = 0; i < n; i++) {
            if (is_listed(op, pids[i]))
                continue;
            r = assign_one(cgroup, op, directory, pids[i]);
            if (r < 0 && r != -ESRCH)
                return r;
            moved = moved || r == 1;
        }
        if (!moved)
            return 0;
    }
    return -ELOOP;
}

static int assign(struct tracker *tracker, struct tracker_op *op)
{
    struct cgroup_tracker *cgroup = (struct cgroup_tracker *)tracker;
    char directory[TRACKER_PATH_MAX];
    int r = directory_of(tracker, op->block, op->scope, directory);
    if (r < 0)
        return wps_error_system(&op->error, r, "data.scope");
    r = assignable_check(op->pid, op->start_ticks, op->client_uid,
                         __atomic_load_n(&tracker->spared, __ATOMIC_RELAXED), &op->error);
    if (r < 0)
        return r;
    r = assign_one(cgroup, op, directory, op->pid);
    if (r < 0)
        return wps_error_system(&op->error, r, "cannot move process %u into its block (%s)",
                                op->pid, directory);
    r = assign_descendants(cgroup, op, directory);
    if (r < 0)
        return wps_error_system(&op->error, r, "cannot move all descendants of process %u",
                                op->pid);
    return 0;
}

static int cgroup_run(struct tracker *tracker, struct tracker_op *op)
{
    switch (op->kind) {
    case TRACKER_CREATE:
        return create(tracker, op);
    case TRACKER_ASSIGN:
        return assign(tracker, op);
    case TRACKER_SCAN:
        return scan(tracker, op);
    case TRACKER_KILL:
        return kill_all(tracker, op);
    case TRACKER_SIGNAL:
        return signal_all(tracker, op);
    case TRACKER_FREEZE:
    case TRACKER_THAW:
        return freeze(tracker, op);
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

/* ---- opening ---- */

/* One name per instance, so that brokers side by side do not meet, and the same one again after a
 * restart (FNV-1a, for spreading only). */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

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
    if (snprintf(cgroup->tracker.root_path, sizeof cgroup->tracker.root_path,
                 "%s/proctrack-%016llx", where, (unsigned long long)hash_of(options->instance)) >=
        (int)sizeof cgroup->tracker.root_path)
        return wps_error_set(error, -ENAMETOOLONG, "the cgroup root's path is too long");
    r = make_directory(cgroup->tracker.root_path, error);
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
    cgroup->home = inside ? strdup(where) : take_ptr(directory);
    return cgroup->home ? 0 : wps_error_set(error, -ENOMEM, "out of memory");
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
    int r = probe_start(&probe, fd, error);
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
    int r = make_directory(directory, error);
    if (r < 0)
        return r;
    r = try_child(cgroup, directory, name, error);
    int removed = cgroupfs_remove(directory, REMOVE_PATIENCE_MS);
    if (r == 0 && removed < 0)
        return wps_error_system(error, removed, "cannot remove the cgroup %s", directory);
    return r;
}

static void cgroup_close(struct tracker *tracker)
{
    struct cgroup_tracker *cgroup = (struct cgroup_tracker *)tracker;
    if (tracker->root_fd >= 0) {
        close(tracker->root_fd);
        rmdir(tracker->root_path); /* stays where blocks are kept for the next start */
    }
    free(cgroup->root_in_hierarchy);
    free(cgroup->home);
    free(cgroup);
}

static int cgroup_open(const struct tracker_options *options, struct tracker **ret,
                       struct wps_error *error)
{
    struct cgroup_tracker *cgroup = calloc(1, sizeof *cgroup);
    if (!cgroup)
        return wps_error_set(error, -ENOMEM, "out of memory");
    cgroup->tracker.class = &tracker_cgroup;
    cgroup->tracker.root_fd = -1;
    int r = find_root(cgroup, options, error);
    r = r < 0 ? r : try_it(cgroup, error);
    if (r < 0) {
        cgroup_close(&cgroup->tracker);
        return r;
    }
    *ret = &cgroup->tracker;
    return 0;
}

const struct tracker_class tracker_cgroup = {
    .name = "cgroup",
    .traits = TRACKER_OWNS | TRACKER_HAS_PLACES | TRACKER_TRACKS,
    .open = cgroup_open,
    .close = cgroup_close,
    .locate = cgroup_locate,
    .procs_path = cgroup_procs_path,
    .cpu_us = cgroup_cpu_us,
    .run = cgroup_run,
};
