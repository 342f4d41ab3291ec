/* SPDX-License-Identifier: Apache-2.0 */

/* A feed on the real kernel and what it told. */

#include "test_trackers_witness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/procfs.h"

const char *ground;
int ground_fd = -1;
struct feed *feed;
struct seen *seen;
unsigned n_scans_due;
struct odd *odd;
static const char *feed_in_use;

/* ---- begin and end ---- */

void close_all(void)
{
    odd_free(&odd);
    feed_close(&feed);
    cleanup_close(&ground_fd);
    ground_fd = -1;
    ground_clear();
    struct seen *life, *next;
    HASH_ITER (hh, seen, life, next) {
        HASH_DEL(seen, life);
        free(life);
    }
}

/* A skip ends the test at once, without its end. */
void skip(const char *why)
{
    char sentence[600];
    snprintf(sentence, sizeof sentence, "%s", why);
    close_all();
    cr_skip_test("%s", sentence);
}

void find_ground(void)
{
    struct wps_error why;
    ground = ground_try(&why);
    if (ground)
        ground_fd = open(ground, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void open_feed(const char *name, unsigned ring_kib)
{
    struct wps_error error;
    feed_in_use = name;
    find_ground();
    const struct feed_options options = {
        .root_fd = ground_fd, .ring_kib = ring_kib, .poll_ms = POLL_MS};
    int r = feed_open(name, &options, &feed, &error);
    /* A small ring may lose the trial child among what else happens on this machine. */
    for (int i = 0; r == -ENODATA && ring_kib && i < ATTEMPTS; i++)
        r = feed_open(name, &options, &feed, &error);
    if (r < 0)
        skip(error.message);
}

void open_by_lineage(void)
{
    struct wps_error error;
    const struct feed_options options = {.root_fd = -1};
    feed_in_use = "bpf";
    if (feed_open("bpf", &options, &feed, &error) < 0)
        skip(error.message);
}

/* ---- what is seen ---- */

struct seen *find(uint32_t pid)
{
    struct seen *life;
    HASH_FIND(hh, seen, &pid, sizeof pid, life);
    return life;
}

/* A pid that ended and is born again is another life. */
static struct seen *life_of(const struct feed_event *event)
{
    struct seen *life = find(event->pid);
    if (life && life->ends && event->kind == FEED_FORK) {
        HASH_DEL(seen, life);
        free(life);
        life = NULL;
    }
    if (!life) {
        cr_assert(life = calloc(1, sizeof *life));
        life->pid = event->pid;
        life->threads = 1;
        HASH_ADD(hh, seen, pid, sizeof life->pid, life);
    }
    return life;
}

static void take_end(struct seen *life, const struct feed_event *event)
{
    life->ends++;
    life->has_status = event->has_status;
    life->status = event->status;
    life->end_ns = event->time_ns;
    life->max_rss_bytes = event->max_rss_bytes;
}

static void put_command(struct seen *life, const struct feed_event *event)
{
    size_t size =
        event->argv.size < sizeof life->command ? event->argv.size : sizeof life->command - 1;
    memset(life->command, 0, sizeof life->command);
    for (size_t i = 0; i < size; i++)
        life->command[i] = event->argv.at[i] ? event->argv.at[i] : ' ';
    if (size && life->command[size - 1] == ' ')
        life->command[size - 1] = '\0';
}

static void take(void *context, const struct feed_event *event)
{
    (void)context;
    if (event->kind == FEED_SCAN_DUE) {
        n_scans_due++;
        return;
    }
    struct seen *life = life_of(event);
    switch (event->kind) {
    case FEED_FORK:
        life->births++;
        life->parent = event->parent;
        life->creator = event->creator;
        life->start_ns = event->start_ns;
        life->born_ns = event->time_ns;
        memcpy(life->place, event->place, sizeof life->place);
        break;
    case FEED_EXEC:
        life->execs++;
        life->threads = 1;
        put_command(life, event);
        break;
    case FEED_THREAD:
        life->threads++;
        break;
    case FEED_THREAD_EXIT:
        if (--life->threads == 0)
            take_end(life, event);
        break;
    case FEED_EXIT:
        take_end(life, event);
        break;
    case FEED_MOVE:
        life->moves++;
        memcpy(life->place, event->place, sizeof life->place);
        snprintf(life->path, sizeof life->path, "%.*s", (int)event->path.size, event->path.at);
        break;
    case FEED_SCAN_DUE:
        break;
    }
}

void drain(int ms)
{
    struct pollfd pollfd = {.fd = feed_fd(feed), .events = POLLIN};
    poll(&pollfd, 1, ms);
    int n = feed_drain(feed, 10000, take, NULL);
    cr_assert_geq(n, 0, "the feed died: %s", strerror(-n));
}

bool has_ended(void *pid)
{
    const struct seen *life = find(*(uint32_t *)pid);
    if (life && life->ends)
        return true;
    drain(50);
    return false;
}

void watch(uint32_t pid)
{
    struct proc_stat stat;
    struct proc_clock clock = proc_clock_now();
    cr_assert_eq(proc_stat_read(&stat, pid), 0);
    cr_assert_eq(feed_watch(feed, pid, stat.start_ticks * (1000000000 / clock.ticks_per_second)),
                 0);
}

/* ---- odd programs ---- */

const char *block_directory(void)
{
    static char path[4200];
    if (!ground)
        return NULL;
    snprintf(path, sizeof path, "%s/block", ground);
    mkdir(path, 0755);
    return path;
}

void watch_odd(struct odd *started)
{
    odd = started;
    odd_release(odd);
    int status = odd_end(odd);
    odd_told_all(odd);
    uint32_t pid = (uint32_t)odd->pid;
    cr_assert(soon(has_ended, &pid), "%s did not tell of the end", feed_in_use);
    cr_assert(find(pid)->has_status);
    cr_assert_eq(find(pid)->status, status, "status %#x, the kernel says %#x",
                 (unsigned)find(pid)->status, (unsigned)status);
}

void compare_truths(void)
{
    for (size_t i = 0; i < odd->n_truths; i++) {
        struct truth truth = odd->truths[i];
        if (strcmp(truth.what, "ends") == 0)
            cr_assert(soon(has_ended, &truth.pid), "the end of %u was not told", truth.pid);
        const struct seen *life = find(truth.pid);
        cr_assert(life, "%u was not seen at all", truth.pid);
        if (strcmp(truth.what, "born") == 0) {
            cr_assert_eq(life->births, 1, "%u births of %u", life->births, truth.pid);
            cr_assert_eq(life->parent, truth.ppid, "parent of %u", truth.pid);
        } else if (strcmp(truth.what, "exec") == 0) {
            cr_assert_geq(life->execs, 1, "the exec of %u", truth.pid);
        } else if (strcmp(truth.what, "ends") == 0) {
            cr_assert_eq(life->ends, 1, "%u ends of %u", life->ends, truth.pid);
            cr_assert_eq(life->status, truth.status, "status of %u: %#x and not %#x", truth.pid,
                         (unsigned)life->status, (unsigned)truth.status);
        }
    }
    struct seen *life, *next;
    HASH_ITER (hh, seen, life, next)
        cr_assert(!life->births || life->ends <= 1, "%u ends %u times", life->pid, life->ends);
}

void live_on_every_processor(void (*between)(void))
{
    long n = sysconf(_SC_NPROCESSORS_CONF);
    cpu_set_t before, one;
    sched_getaffinity(0, sizeof before, &before);
    for (long cpu = 0; cpu < n; cpu++) {
        CPU_ZERO(&one);
        CPU_SET((size_t)cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) < 0)
            continue;
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
        if (between)
            between();
    }
    sched_setaffinity(0, sizeof before, &before);
}

uint64_t inode_of(const char *path)
{
    struct stat stat;
    cr_assert_eq(lstat(path, &stat), 0, "%s", path);
    return stat.st_ino;
}
