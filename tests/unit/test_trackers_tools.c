/* SPDX-License-Identifier: Apache-2.0 */

/* Real processes and real cgroups for tests. */

#include "test_trackers_tools.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/cgroupfs.h"
#include "trackers/procfs.h"

/* ---- time ---- */

uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool soon(bool (*condition)(void *context), void *context)
{
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    while (!condition(context)) {
        if (clock_ms() > deadline)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}

bool is_process(uint32_t pid)
{
    struct proc_stat stat;
    return proc_stat_read(&stat, pid) == 0 && !proc_has_ended(&stat);
}

bool is_gone(void *pid)
{
    return !is_process(*(uint32_t *)pid);
}

/* ---- odd programs ---- */

_Noreturn static void be_odd(const char *cgroup, int in, int out, char *const argv[])
{
    if (cgroup && cgroupfs_move(cgroup, (uint32_t)getpid()) < 0) {
        fprintf(stderr, "cannot join %s: %s\n", cgroup, strerror(errno));
        _exit(126);
    }
    signal(SIGCHLD, SIG_DFL);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    execv(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

struct odd *program_start(const char *cgroup, char *const argv[])
{
    int in[2], out[2];
    struct odd *odd = calloc(1, sizeof *odd);
    cr_assert(odd);
    odd->truths = calloc(TRUTHS, sizeof *odd->truths);
    cr_assert(odd->truths);
    cr_assert_eq(pipe2(in, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
    odd->pid = fork();
    cr_assert_geq(odd->pid, 0);
    if (odd->pid == 0)
        be_odd(cgroup, in[0], out[1], argv);
    close(in[0]);
    close(out[1]);
    odd->in = in[1];
    odd->out = out[0];
    return odd;
}

struct odd *odd_start(const char *cgroup, const char *argument, ...)
{
    char *argv[16] = {ODD};
    size_t n = 1;
    va_list arguments;
    va_start(arguments, argument);
    for (const char *next = argument; next && n < 15; next = va_arg(arguments, const char *))
        argv[n++] = (char *)next;
    va_end(arguments);
    return program_start(cgroup, argv);
}

/* The value behind `"key":`. */
static const char *value_of(const char *line, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(line, quoted);
    return at ? at + strlen(quoted) : NULL;
}

static void take_line(struct odd *odd, const char *line)
{
    const char *value;
    cr_assert_lt(odd->n_truths, TRUTHS);
    struct truth *truth = &odd->truths[odd->n_truths];
    *truth = (struct truth){0};
    if (!(value = value_of(line, "what")) || sscanf(value, "\"%15[^\"]", truth->what) != 1)
        return; /* of another program */
    if ((value = value_of(line, "pid")))
        truth->pid = (uint32_t)atoi(value);
    if ((value = value_of(line, "ppid")))
        truth->ppid = (uint32_t)atoi(value);
    if ((value = value_of(line, "status")))
        truth->status = atoi(value);
    if ((value = value_of(line, "command")))
        sscanf(value, "\"%255[^\"]", truth->command);
    odd->n_truths++;
}

/* Takes what it says now; false at the end. */
static bool listen_to(struct odd *odd, uint64_t deadline)
{
    struct pollfd pollfd = {.fd = odd->out, .events = POLLIN};
    cr_assert_lt(clock_ms(), deadline, "odd %d says nothing more", (int)odd->pid);
    if (poll(&pollfd, 1, 100) <= 0)
        return true;
    ssize_t size =
        read(odd->out, odd->line + odd->line_size, sizeof odd->line - 1 - odd->line_size);
    if (size <= 0)
        return size < 0 && errno == EINTR;
    odd->line_size += (size_t)size;
    char *begin = odd->line, *end;
    while ((end = memchr(begin, '\n', odd->line_size - (size_t)(begin - odd->line)))) {
        *end = '\0';
        take_line(odd, begin);
        begin = end + 1;
    }
    odd->line_size -= (size_t)(begin - odd->line);
    memmove(odd->line, begin, odd->line_size);
    return true;
}

static size_t count(const struct odd *odd, const char *what, const struct truth **ret_last)
{
    size_t n = 0;
    for (size_t i = 0; i < odd->n_truths; i++)
        if (strcmp(odd->truths[i].what, what) == 0) {
            *ret_last = &odd->truths[i];
            n++;
        }
    return n;
}

void odd_told_times(struct odd *odd, const char *what, size_t n)
{
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    const struct truth *last;
    while (count(odd, what, &last) < n)
        cr_assert(listen_to(odd, deadline), "odd %d ended before it told '%s' %zu times",
                  (int)odd->pid, what, n);
}

const struct truth *odd_told(struct odd *odd, const char *what)
{
    const struct truth *last = NULL;
    odd_told_times(odd, what, 1);
    count(odd, what, &last);
    return last;
}

void odd_told_all(struct odd *odd)
{
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    while (listen_to(odd, deadline))
        ;
}

void odd_say(struct odd *odd)
{
    cr_assert_eq(write(odd->in, "\n", 1), 1);
}

void odd_release(struct odd *odd)
{
    if (odd->in >= 0)
        close(odd->in);
    odd->in = -1;
}

int odd_end(struct odd *odd)
{
    if (odd->ended)
        return odd->status;
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, odd->pid, 0);
    struct pollfd pollfds[] = {{.fd = pidfd, .events = POLLIN}, {.fd = odd->out, .events = POLLIN}};
    while (poll(pollfds, 2, 1000) >= 0 && !(pollfds[0].revents & POLLIN)) {
        if (pollfds[1].revents && !listen_to(odd, deadline))
            pollfds[1].fd = -1;
        cr_assert_lt(clock_ms(), deadline, "odd %d does not end", (int)odd->pid);
    }
    cr_assert_eq(waitpid(odd->pid, &odd->status, 0), odd->pid);
    odd->ended = true;
    return odd->status;
}

void odd_free(struct odd **odd_p)
{
    struct odd *odd = *odd_p;
    *odd_p = NULL;
    if (!odd)
        return;
    odd_release(odd);
    if (!odd->ended) {
        kill(odd->pid, SIGKILL);
        waitpid(odd->pid, NULL, 0);
    }
    close(odd->out);
    free(odd->truths);
    free(odd);
}

/* ---- ground ---- */

#define GROUND "proctrack-units-"

static char root[4096];
static char directories[16][4200];
static size_t n_directories;

static void clear(const char *directory)
{
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    while (!cgroupfs_is_empty(directory) && clock_ms() < deadline) {
        cgroupfs_kill(directory);
        cgroupfs_kill_each(directory);
        poll(NULL, 0, 1);
        while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
            ;
    }
    int r = cgroupfs_remove(directory, 5000);
    if (r < 0 && r != -ENOENT)
        fprintf(stderr, "cannot remove %s: %s\n", directory, strerror(-r));
}

/* Ground of tests whose process is no more. */
static void clear_old(const char *parent)
{
    _cleanup_closedir_ DIR *directory = opendir(parent);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char path[4400];
        int pid = 0, used = 0;
        if (sscanf(entry->d_name, GROUND "%d%n", &pid, &used) != 1 || entry->d_name[used] ||
            is_process((uint32_t)pid))
            continue;
        snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
        clear(path);
    }
}

const char *ground_try(struct wps_error *why)
{
    _cleanup_free_ char *directory = NULL, *path = NULL;
    n_directories = 0;
    if (cgroupfs_own(&directory, &path, why) < 0)
        return NULL;
    clear_old(directory);
    snprintf(root, sizeof root, "%s/" GROUND "%d", directory, (int)getpid());
    if (mkdir(root, 0755) == 0)
        return root;
    wps_error_system(why, -errno, "cannot make a cgroup in %s (run as root, or in a delegated one)",
                     directory);
    root[0] = '\0';
    return NULL;
}

const char *ground_make(void)
{
    struct wps_error why;
    const char *ground = ground_try(&why);
    if (!ground)
        cr_skip_test("%s", why.message);
    return ground;
}

const char *ground_directory(const char *name)
{
    cr_assert_lt(n_directories, sizeof directories / sizeof *directories);
    char *directory = directories[n_directories++];
    snprintf(directory, sizeof directories[0], "%s/%s", root, name);
    cr_assert_eq(mkdir(directory, 0755), 0, "%s: %s", directory, strerror(errno));
    return directory;
}

void ground_clear(void)
{
    if (*root)
        clear(root);
    root[0] = '\0';
}
