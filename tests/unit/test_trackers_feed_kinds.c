/* SPDX-License-Identifier: Apache-2.0 */

/* What one feed can and others cannot: bpf tells places, moves, arguments and lineage; poll tells
 * when to scan, and the ends of whom it was told to watch. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test_trackers_witness.h"
#include "trackers/procfs.h"

/* ---- poll ---- */

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

/* The pid of an odd, with a start that is not its own: while it lives, and when it is gone. */
static void assert_another_life_is_not_watched(void)
{
    odd = odd_start(NULL, "hold", NULL);
    odd_told(odd, "ready");
    cr_assert_eq(feed_watch(feed, (uint32_t)odd->pid, 1), -ESRCH);
    odd_release(odd);
    odd_end(odd);
    cr_assert_eq(feed_watch(feed, (uint32_t)odd->pid, 1), -ESRCH);
}

Test(feed_poll, another_life_of_the_pid_is_not_watched, .fini = close_all, .timeout = 120)
{
    open_feed("poll", 0);
    assert_another_life_is_not_watched();
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
        if (strcmp(odd->truths[i].what, "ready") != 0)
            continue;
        cr_assert_eq(proc_stat_read(&stat, odd->truths[i].pid), 0);
        r = feed_watch(feed, odd->truths[i].pid,
                       stat.start_ticks * (1000000000 / clock.ticks_per_second));
        watched += r == 0;
    }
    cr_assert_eq(r, -EMFILE);
    cr_assert_eq(watched, 50);
}

/* ---- bpf: places and moves ---- */

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

Test(feed_bpf, without_a_cgroup_it_tells_of_who_is_watched_and_of_their_descendants,
     .fini = close_all, .timeout = 120)
{
    open_by_lineage();
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
    open_by_lineage();
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
    open_by_lineage();
    assert_another_life_is_not_watched();
    drain(0);
    cr_assert_null(find((uint32_t)odd->pid));
}

Test(feed_bpf, who_cannot_be_looked_at_is_not_watched_until_it_can, .fini = close_all,
     .timeout = 120)
{
    struct rlimit limit, none;
    open_by_lineage();
    odd = odd_start(NULL, "hold", NULL);
    odd_told(odd, "ready");
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    struct proc_stat stat;
    cr_assert_eq(proc_stat_read(&stat, (uint32_t)odd->pid), 0);
    struct proc_clock clock = proc_clock_now();
    uint64_t start_ns = stat.start_ticks * (1000000000 / clock.ticks_per_second);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    int r = feed_watch(feed, (uint32_t)odd->pid, start_ns);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(r, -EMFILE);
    cr_assert_eq(feed_watch(feed, (uint32_t)odd->pid, start_ns), 0);
    odd_release(odd);
    uint32_t pid = (uint32_t)odd->pid;
    cr_assert(soon(has_ended, &pid));
    odd_end(odd);
}

/* ---- a reader that dozes ---- */

/* A shell that makes this many children, one after the other, for each line that it gets, and then
 * tells `done`. All that was before is taken in. */
static void start_forker(unsigned n)
{
    struct wps_error error;
    char script[256];
    snprintf(script, sizeof script,
             "echo '{\"what\":\"ready\"}'; while read line; do i=0; while [ $i -lt %u ]; do (:); "
             "i=$((i + 1)); done; echo '{\"what\":\"done\"}'; done",
             n);
    char *const argv[] = {"/bin/sh", "-c", script, NULL};
    find_ground();
    const struct feed_options options = {.root_fd = ground_fd};
    if (ground_fd < 0)
        skip("there is no cgroup to watch");
    if (feed_open("bpf", &options, &feed, &error) < 0)
        skip(error.message);
    odd = program_start(block_directory(), argv);
    odd_told(odd, "ready");
    drain(0);
}

static unsigned ended_children(uint32_t pid)
{
    unsigned n = 0;
    struct seen *life, *next;
    HASH_ITER (hh, seen, life, next)
        n += life->parent == pid && life->births == 1 && life->ends == 1;
    return n;
}

static int epoll_of(int fd, uint32_t events)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = events};
    cr_assert(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    return epoll;
}

static bool is_told(int epoll, int ms)
{
    struct epoll_event event;
    return epoll_wait(epoll, &event, 1, ms) == 1;
}

Test(feed_bpf, who_dozes_is_not_woken_and_finds_what_came, .fini = close_all, .timeout = 120)
{
    uint32_t pid;
    start_forker(1);
    pid = (uint32_t)odd->pid;
    _cleanup_close_ int wakes = epoll_of(feed_fd(feed), EPOLLIN | EPOLLET);
    while (is_told(wakes, 0)) /* told of what is there already, not of a wake-up */
        ;
    odd_say(odd);
    odd_told(odd, "done");
    cr_assert(is_told(wakes, PATIENCE_MS), "a birth woke nobody");
    drain(0);
    cr_assert_eq(ended_children(pid), 1);
    feed_doze(feed, true);
    while (is_told(wakes, 0)) /* its end, behind its birth */
        ;
    odd_say(odd);
    odd_told_times(odd, "done", 2);
    cr_assert_not(is_told(wakes, 0), "a birth woke one who dozes");
    feed_doze(feed, false);
    drain(0);
    cr_assert_eq(ended_children(pid), 2);
    odd_say(odd);
    cr_assert(is_told(wakes, PATIENCE_MS), "a birth woke nobody any more");
}

Test(feed_bpf, who_dozes_between_drains_misses_no_wake_up, .fini = close_all, .timeout = 120)
{
    enum { CHILDREN = 1000 };
    start_forker(CHILDREN);
    uint32_t pid = (uint32_t)odd->pid;
    _cleanup_close_ int loop = epoll_of(feed_fd(feed), EPOLLIN);
    odd_say(odd);
    while (ended_children(pid) < CHILDREN) {
        uint64_t before = feed_received(feed);
        cr_assert(is_told(loop, PATIENCE_MS), "what was sent while it dozed woke nobody");
        drain(0);
        if (feed_received(feed) == before)
            continue;
        feed_doze(feed, true);
        for (unsigned turn = 0; turn < feed_received(feed) % 64 * 16; turn++)
            __asm__ volatile(""); /* longer or shorter, so that it ends beside all that is sent */
        feed_doze(feed, false);
    }
}
