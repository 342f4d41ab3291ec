/* SPDX-License-Identifier: Apache-2.0 */

/* Reading and parsing /proc. */

#include "trackers/procfs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

enum { ARGV_LOOKS = 4, CLOCK_TRIES = 8 };

int proc_open(uint32_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%" PRIu32, pid);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : errno == ENOENT ? -ESRCH : -errno;
}

static int open_proc(int directory, const char *path)
{
    int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : errno == ENOENT ? -ESRCH : -errno;
}

static ssize_t read_some(int fd, char *buffer, size_t room)
{
    ssize_t got = TEMP_FAILURE_RETRY(read(fd, buffer, room));
    return got < 0 ? -errno : got;
}

/* Reads a file that the kernel makes in one piece (stat, cmdline, cgroup), up to `room` bytes. A
 * process that is gone is -ESRCH, however the kernel says it. */
static ssize_t read_piece(int directory, const char *path, char *buffer, size_t room)
{
    _cleanup_close_ int fd = open_proc(directory, path);
    return fd < 0 ? fd : read_some(fd, buffer, room);
}

/* Reads one that may come in several, whole, up to `room` bytes. */
static ssize_t read_of_process(uint32_t pid, const char *file, char *buffer, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/%s", pid, file);
    _cleanup_close_ int fd = open_proc(AT_FDCWD, path);
    if (fd < 0)
        return fd;
    size_t size = 0;
    while (size < room) {
        ssize_t got = read_some(fd, buffer + size, room - size);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        size += (size_t)got;
    }
    return (ssize_t)size;
}

/* ---- stat ---- */

/* Takes one number from `*at`; fields are parted by single spaces. */
static bool take_number(const char **at, const char *end, uint64_t *ret)
{
    const char *p = *at;
    bool negative = p < end && *p == '-';
    uint64_t value = 0;
    if (negative)
        p++;
    const char *digits = p;
    for (; p < end && isdigit((unsigned char)*p); p++)
        value = value * 10 + (uint64_t)(*p - '0');
    if (p == digits)
        return false;
    if (p < end && (*p == ' ' || *p == '\n'))
        p++;
    *at = p;
    *ret = negative ? 0 - value : value;
    return true;
}

int proc_stat_parse(struct proc_stat *ret, struct text text)
{
    enum {
        FIRST = 4,
        PPID = 4,
        SESSION = 6,
        FLAGS = 9,
        UTIME = 14,
        STIME = 15,
        THREADS = 20,
        START = 22,
        RSS = 24,
        STATUS = 52
    };
    const char *end = text.at + text.size;
    const char *open = text.size ? memchr(text.at, '(', text.size) : NULL;
    const char *close = text.size ? memrchr(text.at, ')', text.size) : NULL;
    if (!open || !close || close < open || end - close < 4 || close[1] != ' ' || close[3] != ' ')
        return -EBADMSG;

    uint64_t field[STATUS + 1] = {0};
    const char *at = text.at;
    if (!take_number(&at, open, &field[1]))
        return -EBADMSG;
    at = close + 4;
    int seen = FIRST;
    while (seen <= STATUS && take_number(&at, end, &field[seen]))
        seen++;
    if (seen <= RSS)
        return -EBADMSG;

    struct proc_stat stat = {
        .pid = (uint32_t)field[1],
        .state = close[2],
        .ppid = (uint32_t)field[PPID],
        .session = (uint32_t)field[SESSION],
        .flags = field[FLAGS],
        .cpu_ticks = field[UTIME] + field[STIME],
        .threads = field[THREADS],
        .start_ticks = field[START],
        .rss_pages = field[RSS],
        .status = (int)field[STATUS],
    };
    size_t size = (size_t)(close - open - 1);
    if (size >= sizeof stat.comm)
        size = sizeof stat.comm - 1;
    memcpy(stat.comm, open + 1, size);
    *ret = stat;
    return 0;
}

static int read_stat(struct proc_stat *ret, int directory, const char *path)
{
    char buffer[1024];
    ssize_t size = read_piece(directory, path, buffer, sizeof buffer);
    if (size < 0)
        return (int)size;
    return proc_stat_parse(ret, (struct text){buffer, (size_t)size});
}

int proc_stat_read(struct proc_stat *ret, uint32_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/stat", pid);
    return read_stat(ret, AT_FDCWD, path);
}

int proc_stat_read_in(struct proc_stat *ret, int directory)
{
    return read_stat(ret, directory, "stat");
}

bool proc_has_ended(const struct proc_stat *stat)
{
    return stat->state == 'X' || (stat->state == 'Z' && stat->threads <= 1);
}

bool proc_is_exiting(const struct proc_stat *stat)
{
    return stat->flags & PF_EXITING && stat->state != 'Z' && stat->state != 'X';
}

bool proc_is_kernel_thread(const struct proc_stat *stat)
{
    return stat->flags & PF_KTHREAD;
}

uint64_t proc_rss_bytes(uint32_t pid)
{
    char buffer[128];
    uint64_t pages;
    ssize_t size = read_of_process(pid, "statm", buffer, sizeof buffer);
    const char *at = buffer;
    if (size <= 0 || !take_number(&at, buffer + size, &pages) ||
        !take_number(&at, buffer + size, &pages))
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t proc_rss_counted_bytes(uint32_t pid)
{
    static const char title[] = "\nRss:";
    char buffer[512]; /* it is the second line of some twenty */
    ssize_t size = read_of_process(pid, "smaps_rollup", buffer, sizeof buffer);
    const char *line = size > 0 ? memmem(buffer, (size_t)size, title, sizeof title - 1) : NULL;
    if (!line)
        return 0;
    const char *at = line + sizeof title - 1;
    while (at < buffer + size && *at == ' ')
        at++;
    uint64_t kib;
    return take_number(&at, buffer + size, &kib) ? kib * 1024 : 0;
}

/* ---- argv, cgroup, uid ---- */

static ssize_t read_argv(char *argv, size_t room, int directory, const char *path, bool *ret_cut)
{
    enum { PADDING = 3 }; /* so many NULs at the end are no empty arguments any more */
    char more;
    ssize_t size = read_piece(directory, path, argv, room);
    if (size < 0)
        return size;
    *ret_cut = false;
    if ((size_t)size == room) {
        _cleanup_close_ int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
        *ret_cut = fd >= 0 && pread(fd, &more, 1, (off_t)room) == 1;
    }
    ssize_t used = size;
    while (used > 0 && argv[used - 1] == '\0')
        used--;
    return size - used >= PADDING ? used : size;
}

ssize_t proc_argv_read(char *argv, size_t room, uint32_t pid, bool *ret_cut)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/cmdline", pid);
    return read_argv(argv, room, AT_FDCWD, path, ret_cut);
}

ssize_t proc_argv_read_in(char *argv, size_t room, int directory, bool *ret_cut)
{
    return read_argv(argv, room, directory, "cmdline", ret_cut);
}

ssize_t proc_argv_read_patiently(char *argv, size_t room, uint32_t pid, bool *ret_cut)
{
    ssize_t size = proc_argv_read(argv, room, pid, ret_cut);
    for (int look = 0; size == 0 && look < ARGV_LOOKS; look++) {
        poll(NULL, 0, 1);
        size = proc_argv_read(argv, room, pid, ret_cut);
    }
    return size;
}

ssize_t proc_argv_read_by_threads(char argv[static PROC_ARGV_MAX], uint32_t pid, bool *ret_cut)
{
    ssize_t size = 0;
    _cleanup_closedir_ DIR *threads = proc_threads(pid);
    for (uint32_t tid; size <= 0 && (tid = proc_next_thread(threads));)
        if (tid != pid)
            size = proc_argv_read(argv, PROC_ARGV_MAX, tid, ret_cut);
    return size > 0 ? size : 0;
}

struct text proc_cgroup_parse(struct text text, bool *ret_deleted)
{
    static const char deleted[] = " (deleted)";
    const size_t tail = sizeof deleted - 1;
    const char *end = text.at + text.size;
    for (const char *line = text.at; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t size = (size_t)((stop ? stop : end) - line);
        if (size >= 3 && memcmp(line, "0::", 3) == 0) {
            struct text path = {line + 3, size - 3};
            *ret_deleted =
                path.size > tail && memcmp(path.at + path.size - tail, deleted, tail) == 0;
            if (*ret_deleted)
                path.size -= tail;
            return path;
        }
        line += size + 1;
    }
    *ret_deleted = false;
    return (struct text){NULL, 0};
}

static int read_cgroup(char **ret_path, int directory, const char *path)
{
    char buffer[16 * 1024]; /* a path is at most 4096 bytes, in each of a dozen hierarchies */
    ssize_t size = read_piece(directory, path, buffer, sizeof buffer);
    if (size < 0)
        return (int)size;
    bool deleted;
    struct text place = proc_cgroup_parse((struct text){buffer, (size_t)size}, &deleted);
    if (!place.at)
        return -ENOENT;
    char *copy = strndup(place.at, place.size);
    if (!copy)
        return -ENOMEM;
    *ret_path = copy;
    return 0;
}

int proc_cgroup_read(char **ret_path, uint32_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/cgroup", pid);
    return read_cgroup(ret_path, AT_FDCWD, path);
}

int proc_cgroup_read_in(char **ret_path, int directory)
{
    return read_cgroup(ret_path, directory, "cgroup");
}

ssize_t proc_environ_read(char *buffer, size_t room, uint32_t pid)
{
    return read_of_process(pid, "environ", buffer, room);
}

ssize_t proc_environ_read_by_threads(char *buffer, size_t room, uint32_t pid)
{
    ssize_t size = 0;
    _cleanup_closedir_ DIR *threads = proc_threads(pid);
    for (uint32_t tid; size <= 0 && (tid = proc_next_thread(threads));)
        if (tid != pid)
            size = proc_environ_read(buffer, room, tid);
    return size > 0 ? size : 0;
}

struct text proc_environ_value(struct text environment, const char *name)
{
    const size_t size = strlen(name);
    const char *end = environment.at + environment.size;
    for (const char *at = environment.at; at < end;) {
        size_t length = strnlen(at, (size_t)(end - at));
        if (length > size && memcmp(at, name, size) == 0 && at[size] == '=')
            return (struct text){at + size + 1, length - size - 1};
        at += length + 1;
    }
    return (struct text){NULL, 0};
}

/* The first number of a line of /proc/PID/status; `key` is "\nUid:\t" and the like. */
static int read_status(uint32_t pid, const char *key, uint64_t *ret)
{
    char buffer[4096];
    ssize_t size = read_of_process(pid, "status", buffer, sizeof buffer - 1);
    if (size < 0)
        return (int)size;
    buffer[size] = '\0';
    const char *line = strstr(buffer, key);
    if (!line)
        return -EBADMSG;
    const char *at = line + strlen(key);
    return take_number(&at, buffer + size, ret) ? 0 : -EBADMSG;
}

int proc_uid_read(uid_t *ret_uid, uint32_t pid)
{
    uint64_t uid;
    int r = read_status(pid, "\nUid:\t", &uid);
    if (r == 0)
        *ret_uid = (uid_t)uid;
    return r;
}

int proc_tgid_read(uint32_t *ret_pid, uint32_t tid)
{
    uint64_t tgid;
    int r = read_status(tid, "\nTgid:\t", &tgid);
    if (r == 0)
        *ret_pid = (uint32_t)tgid;
    return r;
}

bool proc_is_process(uint32_t pid)
{
    uint32_t tgid;
    return proc_tgid_read(&tgid, pid) == 0 && tgid == pid;
}

/* ---- lists of processes ---- */

static int append(uint32_t **pids_p, size_t *n_p, size_t *room_p, uint32_t pid)
{
    if (*n_p == *room_p) {
        size_t room = *room_p ? *room_p * 2 : 64;
        uint32_t *pids = realloc(*pids_p, room * sizeof *pids);
        if (!pids)
            return -ENOMEM;
        *pids_p = pids;
        *room_p = room;
    }
    (*pids_p)[(*n_p)++] = pid;
    return 0;
}

bool proc_is_runnable(uint32_t tid)
{
    struct proc_stat stat;
    return proc_stat_read(&stat, tid) == 0 && stat.state == 'R';
}

int proc_list(uint32_t **ret_pids, size_t *ret_n)
{
    _cleanup_free_ uint32_t *pids = NULL;
    size_t n = 0, room = 0;
    _cleanup_closedir_ DIR *directory = opendir("/proc");
    if (!directory)
        return -errno;
    for (struct dirent *entry; (entry = readdir(directory));) {
        const char *at = entry->d_name;
        uint64_t pid;
        if (!take_number(&at, at + strlen(at), &pid) || *at)
            continue;
        int r = append(&pids, &n, &room, (uint32_t)pid);
        if (r < 0)
            return r;
    }
    *ret_pids = take_ptr(pids);
    *ret_n = n;
    return 0;
}

int proc_by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

DIR *proc_threads(uint32_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/task", pid);
    return opendir(path);
}

uint32_t proc_next_thread(DIR *threads)
{
    for (struct dirent *entry; threads && (entry = readdir(threads));)
        if (isdigit((unsigned char)entry->d_name[0]))
            return (uint32_t)strtoul(entry->d_name, NULL, 10);
    return 0;
}

/* A task's list of children has no end that is known beforehand. */
static int children_of_task(const char *path, uint32_t **pids_p, size_t *n_p, size_t *room_p)
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    for (uint32_t pid; fscanf(file, "%" SCNu32, &pid) == 1;) {
        int r = append(pids_p, n_p, room_p, pid);
        if (r < 0)
            return r;
    }
    return 0;
}

int proc_children(uint32_t pid, uint32_t **pids_p, size_t *n_p, size_t *room_p)
{
    char path[64];
    _cleanup_closedir_ DIR *threads = proc_threads(pid);
    if (!threads)
        return errno == ENOENT || errno == ESRCH ? 0 : -errno;
    for (uint32_t tid; (tid = proc_next_thread(threads));) {
        snprintf(path, sizeof path, "/proc/%" PRIu32 "/task/%" PRIu32 "/children", pid, tid);
        int r = children_of_task(path, pids_p, n_p, room_p);
        if (r == -ENOENT && access("/proc/thread-self/children", F_OK) < 0)
            return -ENOSYS;
        if (r < 0 && r != -ENOENT && r != -ESRCH)
            return r;
    }
    return 0;
}

/* ---- time ---- */

static int64_t clock_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

uint64_t boottime_ns(void)
{
    return (uint64_t)clock_ns(CLOCK_BOOTTIME);
}

/* The two clocks cannot be read at once, and between two reads a thread may lose its processor. Of
 * a few tries the quickest is right, so that every start finds the same. */
static int64_t boot_time_ns(void)
{
    int64_t quickest = INT64_MAX, found = 0;
    for (int i = 0; i < CLOCK_TRIES; i++) {
        int64_t before = clock_ns(CLOCK_BOOTTIME), real = clock_ns(CLOCK_REALTIME);
        int64_t after = clock_ns(CLOCK_BOOTTIME);
        if (after - before >= quickest)
            continue;
        quickest = after - before;
        found = real - before - quickest / 2;
    }
    return found;
}

bool proc_is_ours(void)
{
    char own[16], told[16];
    int size = snprintf(own, sizeof own, "%d", (int)getpid());
    return readlink("/proc/self", told, sizeof told) == size &&
           memcmp(own, told, (size_t)size) == 0;
}

uint32_t proc_pid_namespace(void)
{
    const ino_t first = 0xEFFFFFFC; /* linux/proc_ns.h */
    struct stat status;
    if (stat("/proc/self/ns/pid", &status) < 0 || status.st_ino == first)
        return 0;
    return (uint32_t)status.st_ino;
}

struct proc_clock proc_clock_now(void)
{
    struct proc_clock clock = {.ticks_per_second = (uint64_t)sysconf(_SC_CLK_TCK)};
    int64_t tick_ms = 1000 / (int64_t)clock.ticks_per_second;
    int64_t boot_ms = boot_time_ns() / 1000000;
    clock.boot_ms = tick_ms > 1 ? boot_ms / tick_ms * tick_ms : boot_ms;
    return clock;
}

uint64_t proc_clock_ticks(const struct proc_clock *clock, uint64_t ns)
{
    return ns / (UINT64_C(1000000000) / clock->ticks_per_second);
}

uint64_t proc_clock_ms(const struct proc_clock *clock, uint64_t ticks)
{
    return (uint64_t)(clock->boot_ms + (int64_t)(ticks * 1000 / clock->ticks_per_second));
}

uint64_t proc_clock_ticks_of(const struct proc_clock *clock, uint64_t ms)
{
    int64_t since_boot;
    if (ms > INT64_MAX || __builtin_sub_overflow((int64_t)ms, clock->boot_ms, &since_boot) ||
        since_boot < 0 || since_boot > INT64_MAX / 1000)
        return UINT64_MAX;
    uint64_t ticks = (uint64_t)since_boot * clock->ticks_per_second / 1000;
    return proc_clock_ms(clock, ticks) == ms ? ticks : UINT64_MAX;
}
