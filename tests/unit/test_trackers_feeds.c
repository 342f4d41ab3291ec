/* SPDX-License-Identifier: Apache-2.0 */

/* Each feed on the real kernel: what opening and closing leave, and the odd lives that every feed
 * which sees births has to tell as they are. */

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "test_trackers_witness.h"
#include "trackers/procfs.h"

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
