/* SPDX-License-Identifier: Apache-2.0 */

/* Reading and writing cgroup v2 files. */

#include "trackers/cgroupfs.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/procfs.h"

/* ---- where it is mounted ---- */

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* mountinfo writes space, tab, newline and backslash as a backslash and three octal digits. */
static void unescape(char *text)
{
    char *to = text;
    for (char *from = text; *from; to++) {
        if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) && is_octal(from[3])) {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* A line of mountinfo: id parent major:minor root mount-point options ... - type source options. */
static bool parse_mount(char *line, char **ret_root, char **ret_point)
{
    char *rest = strstr(line, " - ");
    if (!rest || strncmp(rest + 3, "cgroup2 ", 8) != 0)
        return false;
    *rest = '\0';
    char *save = NULL, *field[5];
    for (int i = 0; i < 5; i++)
        if (!(field[i] = strtok_r(i ? NULL : line, " ", &save)))
            return false;
    *ret_root = field[3];
    *ret_point = field[4];
    unescape(*ret_root);
    unescape(*ret_point);
    return true;
}

/* The part of `path` below `root`, or null where it is not below. */
static const char *below(const char *path, const char *root)
{
    size_t size = strlen(root);
    if (strcmp(root, "/") == 0)
        return strcmp(path, "/") == 0 ? "" : path;
    if (strncmp(path, root, size) != 0 || (path[size] != '/' && path[size] != '\0'))
        return NULL;
    return path + size;
}

int cgroupfs_find_mount(FILE *mountinfo, const char *path, char **ret_directory)
{
    _cleanup_free_ char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, mountinfo) > 0) {
        char *root, *point;
        if (!parse_mount(line, &root, &point))
            continue;
        const char *rest = below(path, root);
        if (!rest)
            continue;
        _cleanup_free_ char *directory = NULL;
        if (asprintf(&directory, "%s%s", point, rest) < 0) {
            directory = NULL;
            return -ENOMEM;
        }
        if (access(directory, F_OK) < 0)
            continue; /* another mount lies over it */
        *ret_directory = take_ptr(directory);
        return 0;
    }
    return -ENOENT;
}

int cgroupfs_directory_of(const char *path, char **ret_directory)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
    return file ? cgroupfs_find_mount(file, path, ret_directory) : -errno;
}

int cgroupfs_own(char **ret_directory, char **ret_path, struct wps_error *error)
{
    _cleanup_free_ char *own = NULL;
    char *directory = NULL;
    int r = proc_cgroup_read(&own, (uint32_t)getpid());
    if (r < 0)
        return wps_error_system(error, r, "this process is in no cgroup of the unified hierarchy");
    r = cgroupfs_directory_of(own, &directory);
    if (r == -ENOENT)
        return wps_error_set(error, r,
                             "no cgroup2 file system is mounted that shows our cgroup %s (mount -t "
                             "cgroup2 none /sys/fs/cgroup)",
                             own);
    if (r < 0)
        return wps_error_system(error, r, "cannot read /proc/self/mountinfo");
    *ret_directory = directory;
    *ret_path = take_ptr(own);
    return 0;
}

/* ---- one file ---- */

static int write_file(const char *directory, const char *name, const char *text)
{
    char path[4200];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return -ENAMETOOLONG;
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n;
    do
        n = write(fd, text, strlen(text));
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int cgroupfs_move(const char *directory, uint32_t pid)
{
    char text[16];
    snprintf(text, sizeof text, "%" PRIu32, pid);
    return write_file(directory, "cgroup.procs", text);
}

/* True where cgroup.events has this line, or is gone. */
static bool says(const char *directory, const char *wanted)
{
    char path[4200], line[64];
    snprintf(path, sizeof path, "%s/cgroup.events", directory);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT || errno == ENODEV;
    while (fgets(line, sizeof line, file))
        if (strcmp(line, wanted) == 0)
            return true;
    return ferror(file) && errno == ENODEV;
}

bool cgroupfs_is_empty(const char *directory)
{
    return says(directory, "populated 0\n");
}

int cgroupfs_freeze(const char *directory, bool frozen, unsigned patience_ms)
{
    int r = write_file(directory, "cgroup.freeze", frozen ? "1" : "0");
    if (r < 0)
        return (r == -ENOENT && access(directory, F_OK) < 0) || r == -ENODEV ? 0 : r;
    for (unsigned ms = 1; ms <= patience_ms; ms *= 2) {
        if (says(directory, frozen ? "frozen 1\n" : "frozen 0\n"))
            return 0;
        poll(NULL, 0, (int)ms);
    }
    return 0;
}

int cgroupfs_cpu_us(const char *directory, uint64_t *ret_us)
{
    char path[4200], line[128];
    if (snprintf(path, sizeof path, "%s/cpu.stat", directory) >= (int)sizeof path)
        return -ENAMETOOLONG;
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "usage_usec %" SCNu64, ret_us) == 1)
            return 0;
    return -ENODATA;
}

/* ---- a tree ---- */

struct pid_list {
    uint32_t *pids;
    size_t n, room;
};

static int add_number(struct pid_list *list, uint32_t pid)
{
    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        uint32_t *pids = realloc(list->pids, room * sizeof *pids);
        if (!pids)
            return -ENOMEM;
        list->pids = pids;
        list->room = room;
    }
    list->pids[list->n++] = pid;
    return 0;
}

static void sort_unique(struct pid_list *list)
{
    size_t unique = 0;
    if (list->n)
        qsort(list->pids, list->n, sizeof *list->pids, proc_by_number);
    for (size_t i = 0; i < list->n; i++)
        if (i == 0 || list->pids[i] != list->pids[i - 1])
            list->pids[unique++] = list->pids[i];
    list->n = unique;
}

/* Where it is, or null. */
static uint32_t *find_number(const struct pid_list *list, uint32_t pid)
{
    return list->n ? bsearch(&pid, list->pids, list->n, sizeof pid, proc_by_number) : NULL;
}

/* The numbers in one file, sorted, each once. -EOPNOTSUPP: a threaded cgroup has no list of its
 * own: its processes are in the one above. */
static int read_numbers(const char *directory, const char *name, struct pid_list *list)
{
    char path[4200];
    list->n = 0;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? 0 : -errno;
    int r = 0;
    for (uint32_t pid; r == 0 && fscanf(file, "%" SCNu32, &pid) == 1;)
        if (pid != 0) /* else of another pid namespace: it has no number here */
            r = add_number(list, pid);
    sort_unique(list);
    return r == 0 && ferror(file) && errno != ENODEV ? -errno : r;
}

/* ---- processes whose leader left ----
 *
 * A thread that has ended is not moved with the others. So where a leader had left when its process
 * was moved, cgroup.procs has the process where the leader was, and does not where its threads are;
 * and cgroup.kill goes by the same list. A process is where a thread of it runs. */

static bool has_thread_in(uint32_t pid, const struct pid_list *threads)
{
    bool has = false;
    _cleanup_closedir_ DIR *tasks = proc_threads(pid);
    for (uint32_t tid; !has && (tid = proc_next_thread(tasks));)
        has = find_number(threads, tid);
    return has;
}

static void drop_who_moved(struct pid_list *procs, const struct pid_list *threads)
{
    size_t n = 0;
    for (size_t i = 0; i < procs->n; i++) {
        struct proc_stat stat;
        uint32_t pid = procs->pids[i];
        bool moved = !find_number(threads, pid) && proc_stat_read(&stat, pid) == 0 &&
                     stat.state == 'Z' && !has_thread_in(pid, threads);
        if (!moved)
            procs->pids[n++] = pid;
    }
    procs->n = n;
}

/* All threads of the process are accounted for. */
static void tick_off(uint32_t pid, const struct pid_list *threads, bool *done)
{
    _cleanup_closedir_ DIR *tasks = proc_threads(pid);
    for (uint32_t tid; (tid = proc_next_thread(tasks));) {
        const uint32_t *at = find_number(threads, tid);
        if (at)
            done[at - threads->pids] = true;
    }
}

static int add_who_came(struct pid_list *procs, const struct pid_list *threads)
{
    const size_t n_listed = procs->n;
    _cleanup_free_ bool *done = calloc(threads->n + 1, sizeof *done);
    int r = done ? 0 : -ENOMEM;
    for (size_t i = 0; i < threads->n && r == 0; i++) {
        uint32_t pid, tid = threads->pids[i];
        const struct pid_list listed = {procs->pids, n_listed, 0};
        if (done[i] || find_number(&listed, tid) || proc_tgid_read(&pid, tid) < 0)
            continue;
        tick_off(pid, threads, done);
        if (!find_number(&listed, pid))
            r = add_number(procs, pid);
    }
    sort_unique(procs);
    return r;
}

/* The processes in one cgroup; `threads` is room to work in. */
static int read_procs(const char *directory, struct pid_list *procs, struct pid_list *threads)
{
    int r = read_numbers(directory, "cgroup.procs", procs);
    if (r < 0)
        return r == -EOPNOTSUPP ? 0 : r;
    r = read_numbers(directory, "cgroup.threads", threads);
    if (r < 0)
        return r;
    drop_who_moved(procs, threads);
    return add_who_came(procs, threads);
}

/* ---- walking it ---- */

static void close_walk(FTS **walk)
{
    if (*walk)
        fts_close(*walk);
}

static FTS *open_walk(const char *directory)
{
    char *const roots[] = {(char *)directory, NULL};
    /* Without NOSTAT each file of each cgroup is asked what it is. With it fts_statp is none. */
    return fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR | FTS_NOSTAT, NULL);
}

/* A directory that cannot be read is no empty one; one that is gone meanwhile is. */
static int unread(const FTSENT *entry)
{
    bool failed =
        entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS || entry->fts_info == FTS_ERR;
    return failed && entry->fts_errno != ENOENT && entry->fts_errno != ENODEV ? -entry->fts_errno
                                                                              : 0;
}

/* kernfs counts the directories in one: where there are none, its files need not be read through.
 */
static void skip_if_leaf(FTS *walk, FTSENT *entry)
{
    struct stat stat;
    if (lstat(entry->fts_path, &stat) == 0 && stat.st_nlink == 2)
        fts_set(walk, entry, FTS_SKIP);
}

static int walk_by(const char *directory, bool threads_alone, cgroupfs_take *take, void *context)
{
    struct pid_list list = {0}, threads = {0};
    int r = 0;
    FTS *walk cleanup(close_walk) = open_walk(directory);
    if (!walk)
        return -errno;
    for (FTSENT *entry; r == 0 && (entry = fts_read(walk));) {
        r = unread(entry);
        if (r < 0 || entry->fts_info != FTS_D)
            continue;
        r = threads_alone ? read_numbers(entry->fts_path, "cgroup.threads", &list)
                          : read_procs(entry->fts_path, &list, &threads);
        skip_if_leaf(walk, entry); /* behind that: who moves down meanwhile is told of */
        if (r == 0 && list.n > 0)
            r = take(context, entry->fts_path + strlen(directory), list.pids, list.n);
    }
    free(list.pids);
    free(threads.pids);
    return r;
}

int cgroupfs_walk(const char *directory, cgroupfs_take *take, void *context)
{
    return walk_by(directory, false, take, context);
}

struct gathering {
    struct pid_list all;
    bool (*wants)(void *context, const char *path);
    void *context;
};

static int gather(void *context, const char *path, const uint32_t *pids, size_t n)
{
    struct gathering *gathering = context;
    struct pid_list *all = &gathering->all;
    if (gathering->wants && !gathering->wants(gathering->context, path))
        return 0;
    if (all->n + n > all->room) {
        size_t room = 2 * all->room + n;
        uint32_t *grown = realloc(all->pids, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        all->pids = grown;
        all->room = room;
    }
    memcpy(all->pids + all->n, pids, n * sizeof *pids);
    all->n += n;
    return 0;
}

static int gather_all(const char *directory, bool threads_alone, struct gathering *gathering,
                      uint32_t **ret_pids, size_t *ret_n)
{
    int r = walk_by(directory, threads_alone, gather, gathering);
    if (r < 0) {
        free(gathering->all.pids);
        return r;
    }
    sort_unique(&gathering->all);
    *ret_pids = gathering->all.pids;
    *ret_n = gathering->all.n;
    return 0;
}

int cgroupfs_members(const char *directory, uint32_t **ret_pids, size_t *ret_n)
{
    struct gathering gathering = {.wants = NULL};
    return gather_all(directory, false, &gathering, ret_pids, ret_n);
}

int cgroupfs_threads(const char *directory, bool (*wants)(void *context, const char *path),
                     void *context, uint32_t **ret_tids, size_t *ret_n)
{
    struct gathering gathering = {.wants = wants, .context = context};
    return gather_all(directory, true, &gathering, ret_tids, ret_n);
}

/* Nothing can fork while it is frozen, and SIGKILL is taken when it thaws. */
int cgroupfs_kill_each(const char *directory)
{
    _cleanup_free_ uint32_t *pids = NULL;
    size_t n = 0;
    int frozen = write_file(directory, "cgroup.freeze", "1");
    int r = cgroupfs_members(directory, &pids, &n);
    for (size_t i = 0; i < n; i++) {
        if (pids[i] <= 1 || pids[i] == (uint32_t)getpid())
            continue;
        _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pids[i], 0);
        if (pidfd >= 0)
            syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    }
    if (frozen == 0)
        write_file(directory, "cgroup.freeze", "0");
    return r;
}

int cgroupfs_kill(const char *directory)
{
    int r = write_file(directory, "cgroup.kill", "1");
    if (r == -ENOENT && access(directory, F_OK) == 0)
        r = cgroupfs_kill_each(directory);
    return r == -ENOENT || r == -ENODEV ? 0 : r;
}

static int remove_once(const char *directory)
{
    int r = 0;
    FTS *walk cleanup(close_walk) = open_walk(directory);
    if (!walk)
        return -errno;
    for (FTSENT *entry; (entry = fts_read(walk));)
        if (unread(entry) < 0)
            r = unread(entry);
        else if (entry->fts_info == FTS_DP && rmdir(entry->fts_accpath) < 0 && errno != ENOENT &&
                 r == 0)
            r = -errno;
    return r;
}

int cgroupfs_remove(const char *directory, unsigned patience_ms)
{
    for (unsigned waited = 0;; waited++) {
        int r = remove_once(directory);
        if (r != -EBUSY || waited >= patience_ms)
            return r;
        poll(NULL, 0, 1); /* there is nothing to wait on: the kernel tells nobody */
    }
}
