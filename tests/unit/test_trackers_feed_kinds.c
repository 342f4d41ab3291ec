/* SPDX-License-Identifier: Apache-2.0 */

/* What one feed can and others cannot: bpf tells places, moves, arguments and lineage; poll tells
 * when to scan, and the ends of whom it was told to watch. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
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

/* ---- births that wake nobody ---- */

static bool is_readable(int ms)
{
    struct pollfd pollfd = {.fd = feed_fd(feed), .events = POLLIN};
    return poll(&pollfd, 1, ms) == 1;
}

static bool has_child(void *context)
{
    char path[64], children[64] = "";
    const struct odd *parent = context;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent->pid, parent->pid);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    return file && fgets(children, sizeof children, file);
}

static const struct seen *child_of(uint32_t pid)
{
    struct seen *life, *next;
    HASH_ITER (hh, seen, life, next)
        if (life->parent == pid && life->births)
            return life;
    cr_assert_fail("no child of %u was told", pid);
    return NULL;
}

/* A shell that forks at a line, and whose child replaces its program at the next one. All that was
 * before is taken in. */
static void start_forker(unsigned birth_delay_ms)
{
    struct wps_error error;
    char *const argv[] = {
        "/bin/sh", "-c",
        "exec 3<&0; echo '{\"what\":\"ready\"}'; read a; (read b <&3; exec true) & wait", NULL};
    find_ground();
    const struct feed_options options = {.root_fd = ground_fd, .birth_delay_ms = birth_delay_ms};
    if (ground_fd < 0)
        skip("births wake nobody only where there is a cgroup to watch");
    if (feed_open("bpf", &options, &feed, &error) < 0)
        skip(error.message);
    odd = program_start(block_directory(), argv);
    odd_told(odd, "ready");
    while (is_readable(0))
        drain(0);
}

Test(feed_bpf, a_birth_that_nothing_follows_is_told_after_its_delay, .fini = close_all,
     .timeout = 120)
{
    start_forker(20);
    odd_say(odd);
    cr_assert(is_readable(PATIENCE_MS), "nobody was woken");
    drain(0);
    cr_assert_eq(child_of((uint32_t)odd->pid)->execs, 0);
}

Test(feed_bpf, what_follows_a_birth_wakes_its_reader_and_tells_both, .fini = close_all,
     .timeout = 120)
{
    start_forker(3600 * 1000);
    odd_say(odd);
    cr_assert(soon(has_child, odd));
    if (is_readable(0)) {
        drain(0);
        skip("this kernel has no timers for BPF programs: each birth wakes its reader");
    }
    odd_say(odd);
    cr_assert(is_readable(PATIENCE_MS), "nobody was woken");
    drain(0);
    cr_assert_eq(child_of((uint32_t)odd->pid)->births, 1);
}
