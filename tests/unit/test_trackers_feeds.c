/* SPDX-License-Identifier: Apache-2.0 */

/* Each feed on the real kernel: odd programs run on ground of the test's own, and what the feed
 * tells is held against what they tell themselves. */

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uthash.h>

#include "base/cleanup.h"
#include "test_trackers_tools.h"
#include "trackers/feed.h"
#include "trackers/procfs.h"

enum { POLL_MS = 50, ATTEMPTS = 20 };

/* What a feed told of one process. */
struct seen {
    UT_hash_handle hh;
    uint32_t pid, parent, creator;
    unsigned births, execs, ends, moves, threads;
    bool has_status;
    int status;
    uint64_t start_ns, born_ns, end_ns, place[FEED_PLACES], max_rss_bytes;
    char command[256], path[256];
};

static const char *ground; /* null: we may not make cgroups */
static int ground_fd = -1;
static struct feed *feed;
static const char *feed_in_use;
static struct seen *seen; /* by pid: the newest life of each */
static unsigned n_scans_due;
static struct odd *odd;

/* ---- begin and end ---- */

static void close_all(void)
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
static void skip(const char *why)
{
    char sentence[600];
    snprintf(sentence, sizeof sentence, "%s", why);
    close_all();
    cr_skip_test("%s", sentence);
}

static void find_ground(void)
{
    struct wps_error why;
    ground = ground_try(&why);
    if (ground)
        ground_fd = open(ground, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void open_feed(const char *name, unsigned ring_kib)
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

/* Each test once for each feed. */
#define FOR_FEED(feed_name, test)                                                                  \
    Test(feed_##feed_name, test, .fini = close_all, .timeout = 240)                                \
    {                                                                                              \
        test(#feed_name);                                                                          \
    }
#define FOR_EACH_FEED(test)                                                                        \
    static void test(const char *name);                                                            \
    FOR_FEED(bpf, test)                                                                            \
    FOR_FEED(netlink, test)                                                                        \
    FOR_FEED(poll, test)                                                                           \
    static void test(const char *name)
#define FOR_FEEDS_THAT_SEE_BIRTHS(test)                                                            \
    static void test(const char *name);                                                            \
    FOR_FEED(bpf, test)                                                                            \
    FOR_FEED(netlink, test)                                                                        \
    static void test(const char *name)

/* ---- what is seen ---- */

static struct seen *find(uint32_t pid)
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

static void drain(int ms)
{
    struct pollfd pollfd = {.fd = feed_fd(feed), .events = POLLIN};
    poll(&pollfd, 1, ms);
    int n = feed_drain(feed, 10000, take, NULL);
    cr_assert_geq(n, 0, "the feed died: %s", strerror(-n));
}

static bool has_ended(void *pid)
{
    const struct seen *life = find(*(uint32_t *)pid);
    if (life && life->ends)
        return true;
    drain(50);
    return false;
}

/* ---- odd programs ---- */

static const char *block_directory(void)
{
    static char path[4200];
    if (!ground)
        return NULL;
    snprintf(path, sizeof path, "%s/block", ground);
    mkdir(path, 0755);
    return path;
}

/* Runs it to its end, and drains until the feed told of its end, too. */
static void watch_odd(struct odd *started)
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

/* What the program told of itself is what the feed told. */
static void compare_truths(void)
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
        cr_assert_leq(life->ends, 1, "%u ends %u times", life->pid, life->ends);
}

/* ---- opening and closing ---- */

static unsigned count_entries(const char *path)
{
    unsigned n = 0;
    _cleanup_closedir_ DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        n += entry->d_name[0] != '.';
    return n;
}

static volatile sig_atomic_t sigchlds;

static void count_sigchld(int number)
{
    (void)number;
    sigchlds++;
}

static unsigned count_directories(const char *path)
{
    struct stat stat;
    return lstat(path, &stat) == 0 ? (unsigned)stat.st_nlink : 0;
}

FOR_EACH_FEED(opening_and_closing_leave_nothing_behind)
{
    open_feed(name, 0); /* what is made once for all, is made by the first */
    feed_close(&feed);
    cr_assert_null(feed);
    signal(SIGCHLD, count_sigchld);
    unsigned descriptors = count_entries("/proc/self/fd");
    unsigned threads = count_entries("/proc/self/task");
    for (int i = 0; i < 3; i++) {
        struct wps_error error;
        const struct feed_options options = {.root_fd = ground_fd, .poll_ms = POLL_MS};
        cr_assert_eq(feed_open(name, &options, &feed, &error), 0, "%s", error.message);
        cr_assert_eq(sigchlds, 0, "the process never learns of the trial child");
        cr_assert_lt(waitpid(-1, NULL, __WALL | WNOHANG), 0);
        cr_assert_eq(errno, ECHILD, "no child is left");
        if (ground)
            cr_assert_eq(count_directories(ground), 2, "no cgroup is left");
        feed_close(&feed);
    }
    cr_assert_eq(count_entries("/proc/self/fd"), descriptors);
    cr_assert_eq(count_entries("/proc/self/task"), threads);
}

FOR_EACH_FEED(it_says_what_it_is)
{
    open_feed(name, 0);
    cr_assert_str_eq(feed_name(feed), name);
    cr_assert_geq(feed_fd(feed), 0);
    unsigned traits = feed_traits(feed);
    bool births = traits & FEED_TELLS_BIRTHS, scans = traits & FEED_WANTS_SCANS;
    cr_assert_neq(births, scans, "births are told or found by scans");
    cr_assert_eq(feed_lost(feed), 0);
}

Test(feeds, there_are_three_and_each_works_or_says_why_not, .fini = close_all)
{
    const char *const *name = feed_names();
    find_ground();
    cr_assert_str_eq(name[0], "bpf");
    cr_assert_str_eq(name[1], "netlink");
    cr_assert_str_eq(name[2], "poll");
    cr_assert_null(name[3]);
    for (; *name; name++) {
        struct wps_error error = {""};
        const struct feed_options options = {.root_fd = ground_fd};
        int r = feed_open(*name, &options, &feed, &error);
        cr_assert_eq(r < 0, *error.message != '\0', "%s: %d %s", *name, r, error.message);
        feed_close(&feed);
    }
}

Test(feeds, one_that_is_not_there_is_named_in_the_refusal)
{
    struct wps_error error = {""};
    struct feed *none = NULL;
    const struct feed_options options = {.root_fd = -1};
    cr_assert_eq(feed_open("inotify", &options, &none, &error), -ENOSYS);
    cr_assert(strstr(error.message, "'inotify'"), "%s", error.message);
    cr_assert_null(none);
}

/* ---- lives ---- */

/* A member that holds, so that what it does afterwards is not its own birth. */
static void run_odd(const char *name, const char *life, const char *first, const char *second)
{
    open_feed(name, 0);
    watch_odd(odd_start(block_directory(), life, first, second, NULL));
    compare_truths();
    cr_assert_eq(feed_lost(feed), 0, "nothing was lost");
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_vfork_that_execs)
{
    run_odd(name, "vfork-exec", NULL, NULL);
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_posix_spawn)
{
    run_odd(name, "posix-spawn", NULL, NULL);
}

FOR_FEEDS_THAT_SEE_BIRTHS(an_exec_by_another_thread_is_one_process_with_one_life)
{
    run_odd(name, "thread-exec", NULL, NULL);
    const struct seen *life = find((uint32_t)odd->pid);
    cr_assert_eq(life->ends, 1);
    cr_assert_eq(life->execs, 2);
    cr_assert_eq(life->status, 3 << 8);
}

FOR_FEEDS_THAT_SEE_BIRTHS(an_exec_by_a_thread_whose_leader_is_gone)
{
    run_odd(name, "thread-exec", "--leader-gone", NULL);
    cr_assert_eq(find((uint32_t)odd->pid)->ends, 1);
    cr_assert_eq(find((uint32_t)odd->pid)->execs, 2);
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_leader_that_leaves_is_no_end_and_exit_group_is)
{
    run_odd(name, "leader-leaves", "exit_group", "7");
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_leader_that_leaves_is_no_end_and_the_last_thread_is)
{
    run_odd(name, "leader-leaves", "raw", "8");
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_leader_that_leaves_is_no_end_and_a_signal_is)
{
    run_odd(name, "leader-leaves", "signal", "15");
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_process_of_many_threads_ends_once)
{
    run_odd(name, "threads", "50", NULL);
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_program_after_another)
{
    run_odd(name, "exec-chain", "20", NULL);
    cr_assert_eq(find((uint32_t)odd->pid)->execs, 21);
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_chain_of_forks)
{
    run_odd(name, "fork-chain", "100", NULL);
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_storm_of_forks)
{
    run_odd(name, "storm", "5", "4");
    cr_assert_geq(HASH_COUNT(seen), 1 + 5 + 25 + 125 + 625);
}

FOR_FEEDS_THAT_SEE_BIRTHS(many_children_at_once)
{
    run_odd(name, "spawn", "300", NULL);
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_zombie_has_ended)
{
    open_feed(name, 0);
    odd = odd_start(block_directory(), "zombie", NULL);
    odd_told(odd, "ready");
    uint32_t pid = odd_told(odd, "born")->pid;
    cr_assert(soon(has_ended, &pid));
    cr_assert_eq(find(pid)->status, 4 << 8);
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_death_by_signal)
{
    run_odd(name, "signal", "11", NULL);
    cr_assert_eq(find((uint32_t)odd->pid)->status & 0x7f, 11);
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_sibling_by_clone_parent_has_its_makers_parent)
{
    run_odd(name, "clone-parent", "inside", NULL);
    const struct truth *sibling = NULL;
    for (size_t i = 0; i < odd->n_truths; i++)
        if (strcmp(odd->truths[i].what, "born") == 0 && odd->truths[i].ppid == (uint32_t)odd->pid)
            sibling = &odd->truths[i];
    cr_assert(sibling);
    cr_assert_eq(find(sibling->pid)->parent, (uint32_t)odd->pid);
}

/* Made, read and gone: the times of one life are in order. */
FOR_FEEDS_THAT_SEE_BIRTHS(times_are_those_of_the_clock_since_boot)
{
    open_feed(name, 0);
    uint64_t before = boottime_ns();
    watch_odd(odd_start(block_directory(), "vfork-exec", NULL));
    uint64_t after = boottime_ns();
    const struct truth *born = odd_told(odd, "born");
    const struct seen *life = find(born->pid);
    cr_assert_geq(life->born_ns, before);
    cr_assert_leq(life->born_ns, life->end_ns);
    cr_assert_leq(life->end_ns, after);
}

/* ---- poll ---- */

static void watch(uint32_t pid)
{
    struct proc_stat stat;
    struct proc_clock clock = proc_clock_now();
    cr_assert_eq(proc_stat_read(&stat, pid), 0);
    cr_assert_eq(feed_watch(feed, pid, stat.start_ticks * (1000000000 / clock.ticks_per_second)),
                 0);
}

Test(feed_poll, the_end_of_who_is_watched_is_told_at_once, .fini = close_all, .timeout = 120)
{
    open_feed("poll", 0);
    odd = odd_start(block_directory(), "hold", NULL);
    odd_told(odd, "ready");
    watch((uint32_t)odd->pid);
    odd_release(odd);
    uint32_t pid = (uint32_t)odd->pid;
    cr_assert(soon(has_ended, &pid)); /* a zombie: nobody has reaped it */
    if (geteuid() == 0) {
        cr_assert(find(pid)->has_status);
        cr_assert_eq(find(pid)->status, 0);
    }
    cr_assert_eq(odd_end(odd), 0);
}

Test(feed_poll, a_status_is_that_of_the_process, .fini = close_all, .timeout = 120)
{
    open_feed("poll", 0);
    odd = odd_start(block_directory(), "leader-leaves", "exit_group", "7", NULL);
    odd_told(odd, "ready");
    watch((uint32_t)odd->pid);
    drain(2 * POLL_MS);
    cr_assert_null(find((uint32_t)odd->pid), "the leader's end is not the process's");
    odd_release(odd);
    uint32_t pid = (uint32_t)odd->pid;
    cr_assert(soon(has_ended, &pid));
    if (find(pid)->has_status)
        cr_assert_eq(find(pid)->status, 7 << 8);
    cr_assert_eq(odd_end(odd), 7 << 8);
}

Test(feed_poll, who_is_reaped_at_once_has_a_status_where_the_kernel_can_tell, .fini = close_all,
     .timeout = 120)
{
    open_feed("poll", 0);
    odd = odd_start(block_directory(), "leader-leaves", "exit_group", "9", NULL);
    odd_told(odd, "ready");
    watch((uint32_t)odd->pid);
    odd_release(odd);
    cr_assert_eq(odd_end(odd), 9 << 8);
    uint32_t pid = (uint32_t)odd->pid;
    cr_assert(soon(has_ended, &pid));
    if (find(pid)->has_status)
        cr_assert_eq(find(pid)->status, 9 << 8);
}

static bool is_scan_due(void *n)
{
    drain(POLL_MS);
    return n_scans_due >= *(unsigned *)n;
}

Test(feed_poll, scans_are_due_at_their_interval, .fini = close_all, .timeout = 120)
{
    unsigned n = 4;
    open_feed("poll", 0);
    n_scans_due = 0;
    uint64_t began = clock_ms();
    cr_assert(soon(is_scan_due, &n));
    cr_assert_geq(clock_ms() - began, 2 * POLL_MS);
}

Test(feed_poll, another_life_of_the_pid_is_not_watched, .fini = close_all, .timeout = 120)
{
    open_feed("poll", 0);
    odd = odd_start(NULL, "hold", NULL);
    odd_told(odd, "ready");
    cr_assert_eq(feed_watch(feed, (uint32_t)odd->pid, 1), -ESRCH);
    odd_release(odd);
    odd_end(odd);
    cr_assert_eq(feed_watch(feed, (uint32_t)odd->pid, 1), -ESRCH);
}

Test(feed_poll, who_is_not_watched_any_more_is_not_told, .fini = close_all, .timeout = 120)
{
    unsigned n;
    open_feed("poll", 0);
    odd = odd_start(NULL, "hold", NULL);
    odd_told(odd, "ready");
    watch((uint32_t)odd->pid);
    watch((uint32_t)odd->pid); /* twice is once */
    feed_unwatch(feed, (uint32_t)odd->pid);
    feed_unwatch(feed, (uint32_t)odd->pid);
    odd_release(odd);
    odd_end(odd);
    n = n_scans_due + 2;
    cr_assert(soon(is_scan_due, &n));
    cr_assert_null(find((uint32_t)odd->pid));
}

Test(feed_poll, half_of_the_descriptors_are_left_to_others, .fini = close_all, .timeout = 120)
{
    struct rlimit limit = {100, 100};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    open_feed("poll", 0);
    odd = odd_start(NULL, "spawn", "60", ODD, "hold", NULL);
    odd_told_times(odd, "ready", 60);
    unsigned watched = 0;
    int r = 0;
    struct proc_clock clock = proc_clock_now();
    for (size_t i = 0; i < odd->n_truths && r == 0; i++) {
        struct proc_stat stat;
        cr_assert_eq(proc_stat_read(&stat, odd->truths[i].pid), 0);
        r = feed_watch(feed, odd->truths[i].pid,
                       stat.start_ticks * (1000000000 / clock.ticks_per_second));
        watched += r == 0;
    }
    cr_assert_eq(r, -EMFILE);
    cr_assert_eq(watched, 50);
}

/* ---- bpf: places and moves ---- */

static uint64_t inode_of(const char *path)
{
    struct stat stat;
    cr_assert_eq(lstat(path, &stat), 0, "%s", path);
    return stat.st_ino;
}

Test(feed_bpf, a_birth_tells_the_cgroups_it_is_in, .fini = close_all, .timeout = 120)
{
    char deep[4300];
    open_feed("bpf", 0);
    snprintf(deep, sizeof deep, "%s/deep", block_directory());
    cr_assert_eq(mkdir(deep, 0755), 0);
    watch_odd(odd_start(block_directory(), "into-cgroup", deep, ODD, "exit", "5", NULL));
    compare_truths();
    const struct seen *child = find(odd_told(odd, "born")->pid);
    cr_assert_eq(child->place[0], inode_of(block_directory()));
    cr_assert_eq(child->place[1], inode_of(deep));
    cr_assert_eq(child->place[2], 0);
    cr_assert_eq(child->status, 5 << 8);
}

Test(feed_bpf, a_move_tells_where_to, .fini = close_all, .timeout = 120)
{
    char other[4300], procs[4400];
    open_feed("bpf", 0);
    snprintf(other, sizeof other, "%s/other", ground);
    cr_assert_eq(mkdir(other, 0755), 0);
    snprintf(procs, sizeof procs, "%s/cgroup.procs", other);
    odd = odd_start(block_directory(), "move-cgroup", procs, NULL);
    odd_told(odd, "waiting");
    odd_say(odd);
    odd_told(odd, "moved");
    watch_odd(odd);
    const struct seen *life = find((uint32_t)odd->pid);
    cr_assert_eq(life->moves, 2, "into its block, and out of it");
    cr_assert_eq(life->place[0], inode_of(other));
    cr_assert(strstr(life->path, "/other"), "%s", life->path);
}

Test(feed_bpf, a_move_out_of_all_blocks_is_told_as_outside, .fini = close_all, .timeout = 120)
{
    char procs[4400];
    open_feed("bpf", 0);
    snprintf(procs, sizeof procs, "%s/../cgroup.procs", ground);
    odd = odd_start(block_directory(), "move-cgroup", procs, NULL);
    odd_told(odd, "waiting");
    odd_say(odd);
    odd_told(odd, "moved");
    drain(100);
    const struct seen *life = find((uint32_t)odd->pid);
    cr_assert_eq(life->moves, 2);
    cr_assert_eq(life->place[0], 0);
    odd_release(odd);
    odd_end(odd);
    drain(100);
    cr_assert_eq(life->ends, 0, "who is outside is nobody's business");
}

Test(feed_bpf, who_is_outside_is_not_told, .fini = close_all, .timeout = 120)
{
    open_feed("bpf", 0);
    odd = odd_start(NULL, "storm", "5", "2", NULL);
    odd_end(odd);
    struct odd *outside = odd;
    watch_odd(odd_start(block_directory(), "exit", "0", NULL));
    for (size_t i = 0; i < outside->n_truths; i++)
        cr_assert_null(find(outside->truths[i].pid), "%u", outside->truths[i].pid);
    odd_free(&outside);
}

Test(feed_bpf, an_exec_tells_its_arguments, .fini = close_all, .timeout = 120)
{
    open_feed("bpf", 0);
    watch_odd(odd_start(block_directory(), "vfork-exec", ODD, "exit", "6", NULL));
    const struct truth *exec = odd_told(odd, "exec");
    cr_assert_str_eq(find(exec->pid)->command, exec->command);
}

Test(feed_bpf, an_end_tells_what_was_used, .fini = close_all, .timeout = 120)
{
    open_feed("bpf", 0);
    watch_odd(odd_start(block_directory(), "threads", "20", NULL));
    cr_assert_gt(find((uint32_t)odd->pid)->max_rss_bytes, 4096);
}

/* ---- bpf without a cgroup: lineage ---- */

static void open_by_lineage(unsigned max_watched)
{
    struct wps_error error;
    const struct feed_options options = {.root_fd = -1, .max_watched = max_watched};
    feed_in_use = "bpf";
    if (feed_open("bpf", &options, &feed, &error) < 0)
        skip(error.message);
}

Test(feed_bpf, without_a_cgroup_it_tells_of_who_is_watched_and_of_their_descendants,
     .fini = close_all, .timeout = 120)
{
    open_by_lineage(0);
    cr_assert(feed_traits(feed) & FEED_WATCHES);
    cr_assert(feed_traits(feed) & FEED_TELLS_BIRTHS);
    struct odd *other = odd_start(NULL, "exec-later", ODD, "storm", "3", "2", NULL);
    odd = odd_start(NULL, "exec-later", ODD, "storm", "4", "3", NULL);
    odd_told(odd, "waiting");
    odd_told(other, "waiting");
    watch((uint32_t)odd->pid);
    odd_say(other);
    odd_end(other);
    odd_say(odd);
    watch_odd(odd);
    compare_truths();
    cr_assert_eq(HASH_COUNT(seen), 1 + 4 + 16 + 64);
    cr_assert_null(find((uint32_t)other->pid), "nobody asked for it");
    odd_free(&other);
}

Test(feed_bpf, who_is_adopted_by_init_is_still_a_descendant, .fini = close_all, .timeout = 120)
{
    open_by_lineage(0);
    odd = odd_start(NULL, "exec-later", ODD, "fork-chain", "30", NULL);
    odd_told(odd, "waiting");
    watch((uint32_t)odd->pid);
    odd_say(odd);
    watch_odd(odd);
    compare_truths();
    cr_assert_eq(HASH_COUNT(seen), 31);
}

Test(feed_bpf, who_is_gone_or_another_cannot_be_watched, .fini = close_all, .timeout = 120)
{
    open_by_lineage(0);
    odd = odd_start(NULL, "hold", NULL);
    odd_told(odd, "ready");
    cr_assert_eq(feed_watch(feed, (uint32_t)odd->pid, 1), -ESRCH);
    odd_release(odd);
    odd_end(odd);
    cr_assert_eq(feed_watch(feed, (uint32_t)odd->pid, 1), -ESRCH);
    drain(0);
    cr_assert_null(find((uint32_t)odd->pid));
}

/* ---- losses ---- */

/* A process lives and dies on each processor, so that each of them has something to tell. */
static void live_on_every_processor(void)
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
    }
    sched_setaffinity(0, sizeof before, &before);
}

static void ignore(void *context, const struct feed_event *event)
{
    (void)context, (void)event;
}

static void drain_all(struct feed *which)
{
    int n;
    do
        cr_assert_geq(n = feed_drain(which, 10000, ignore, NULL), 0);
    while (n > 0);
}

/* Nobody reads while it storms in a cgroup that is ended then. */
static void storm(void)
{
    odd = odd_start(block_directory(), "storm", "12", "3", NULL);
    odd_end(odd);
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_ring_that_is_too_small_loses_and_says_how_many)
{
    open_feed(name, 4);
    uint64_t before = feed_received(feed) + feed_lost(feed), lost_before = feed_lost(feed);
    storm();
    cr_assert_eq(feed_lost(feed), lost_before, "nothing is known of it before it is read");
    live_on_every_processor();
    drain_all(feed);
    live_on_every_processor();
    drain_all(feed);
    cr_assert_gt(feed_lost(feed) - lost_before, 100);
    /* A life is a birth and an end at the least. */
    cr_assert_geq(feed_received(feed) + feed_lost(feed) - before, 2 * (12 + 144 + 1728));
}

/* Others live on this machine: where the small ring lost something of theirs meanwhile, once more.
 */
FOR_FEEDS_THAT_SEE_BIRTHS(after_a_loss_the_feed_goes_on)
{
    open_feed(name, 64);
    storm();
    drain_all(feed);
    live_on_every_processor();
    drain_all(feed);
    cr_assert_gt(feed_lost(feed), 0);
    for (int i = 0; i < ATTEMPTS; i++) {
        uint64_t lost = feed_lost(feed);
        odd_free(&odd);
        odd = odd_start(block_directory(), "vfork-exec", NULL);
        odd_end(odd);
        odd_told_all(odd);
        live_on_every_processor();
        drain(0);
        if (feed_lost(feed) == lost) {
            compare_truths();
            return;
        }
    }
    skip("this machine is too busy: a ring of 64 KiB lost something each time");
}

/* Two readers of the same: what the one with the small ring got and what it says to have lost is
 * what the other one got. Others live on this machine too, and the two begin and end a little
 * apart. */
Test(feed_netlink, what_came_and_what_was_lost_is_all_there_was, .fini = close_all, .timeout = 240)
{
    struct wps_error error;
    struct feed *reference;
    open_feed("netlink", 4);
    const struct feed_options options = {.root_fd = -1, .ring_kib = 64 * 1024};
    cr_assert_eq(feed_open("netlink", &options, &reference, &error), 0, "%s", error.message);
    live_on_every_processor();
    drain_all(feed);
    drain_all(reference);
    uint64_t before = feed_received(feed) + feed_lost(feed);
    uint64_t reference_before = feed_received(reference);
    storm();
    live_on_every_processor();
    drain_all(feed);
    live_on_every_processor();
    drain_all(feed);
    drain_all(reference);
    uint64_t all = feed_received(feed) + feed_lost(feed) - before;
    uint64_t reference_all = feed_received(reference) - reference_before;
    if (feed_lost(reference) > 0) {
        feed_close(&reference);
        skip("the reader with the large buffer lost something, too: net.core.rmem_max is small");
    }
    feed_close(&reference);
    uint64_t apart = all > reference_all ? all - reference_all : reference_all - all;
    cr_assert_gt(feed_lost(feed), 100);
    cr_assert_lt(apart, 200, "%llu in all, and %llu", (unsigned long long)all,
                 (unsigned long long)reference_all);
}
