/* SPDX-License-Identifier: Apache-2.0 */

/* The tracker `cgroup` on the real kernel: killing, removing and assigning, whatever members have
 * done to get away. Each test works on ground of its own that is cleared behind it. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test_trackers_blocks.h"

TestSuite(cgroup_members, .init = begin_blocks, .fini = end_blocks, .timeout = 240);

/* ---- killing ---- */

Test(cgroup_members, a_kill_ends_whatever_has_been_done_to_get_away)
{
    create("one", "main");
    create("next-door", "main");
    struct odd *canary = hold_in("next-door", "main");
    static const char *const lives[] = {"ignore-term", "double-fork", "setsid-child", "orphan",
                                        "comm-odd"};
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
        struct odd *odd = keep(odd_start(directory_of("one", "main"), lives[i], NULL));
        odd_told(odd, "ready");
    }
    kill_until_empty("one");
    struct tracker_op *op = operate(TRACKER_SCAN, "one", "", 0, NULL);
    cr_assert_eq(op->facts.n, 0);
    tracker_op_free(op);
    cr_assert(is_process((uint32_t)canary->pid), "the canary next door lives");
}

Test(cgroup_members, a_process_whose_leader_left_is_killed_too)
{
    create("one", "main");
    struct odd *odd =
        keep(odd_start(directory_of("one", "main"), "leader-leaves", "exit_group", "0", NULL));
    odd_told(odd, "ready");
    kill_until_empty("one");
    cr_assert_eq(odd_end(odd) & 0x7f, SIGKILL);
}

Test(cgroup_members, what_is_frozen_is_killed_too)
{
    char path[TRACKER_PATH_MAX + 16];
    create("one", "main");
    struct odd *odd = hold_in("one", "main");
    snprintf(path, sizeof path, "%s/cgroup.freeze", directory_of("one", "main"));
    _cleanup_close_ int freeze = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(write(freeze, "1", 1), 1);
    kill_until_empty("one");
    cr_assert_eq(odd_end(odd), SIGKILL);
}

Test(cgroup_members, a_storm_of_forks_is_ended)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(directory_of("one", "main"), "storm", "6", "4", NULL));
    odd_told_times(odd, "born", 20);
    kill_until_empty("one");
}

Test(cgroup_members, a_kill_of_a_sub_scope_spares_the_others)
{
    create("one", "main");
    create("one", "bg");
    create("one", "bg/7");
    struct odd *main_one = hold_in("one", "main");
    struct odd *bg = hold_in("one", "bg");
    struct odd *below = hold_in("one", "bg/7");
    cr_assert_eq(result_of(TRACKER_KILL, "one", "bg", 0), 0);
    cr_assert_eq(odd_end(bg), SIGKILL);
    cr_assert_eq(odd_end(below), SIGKILL);
    cr_assert(is_process((uint32_t)main_one->pid));
}

Test(cgroup_members, a_kill_of_nobody_is_fine)
{
    create("one", "main");
    cr_assert_eq(result_of(TRACKER_KILL, "one", "", 0), 0);
    cr_assert_eq(result_of(TRACKER_KILL, "never-made", "", 0), 0);
    cr_assert_eq(result_of(TRACKER_KILL, "one", "never-made", 0), 0);
}

/* ---- removing ---- */

Test(cgroup_members, a_block_that_is_not_empty_is_not_removed)
{
    create("one", "main");
    struct odd *odd = hold_in("one", "main");
    cr_assert_eq(result_of(TRACKER_REMOVE, "one", "", 0), -EBUSY);
    cr_assert(is_process((uint32_t)odd->pid));
    cr_assert(is_in((uint32_t)odd->pid, "one", "main"));
}

Test(cgroup_members, a_block_is_removed_with_all_that_members_made_in_it)
{
    char own[TRACKER_PATH_MAX + 32];
    create("one", "main");
    create("one", "bg/7/deep");
    const char *made[] = {"own", "own/deeper", "s-fake", "own/deeper/b-one"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(own, sizeof own, "%s/%s", directory_of("one", "main"), made[i]);
        cr_assert_eq(mkdir(own, 0755), 0, "%s", own);
    }
    struct odd *odd = keep(odd_start(own, "hold", NULL));
    odd_told(odd, "ready");
    kill_until_empty("one");
    odd_end(odd);
    cr_assert_eq(result_of(TRACKER_REMOVE, "one", "", 0), 0);
    snprintf(own, sizeof own, "%s/b-one", tracker_root_path(tracker));
    cr_assert_lt(access(own, F_OK), 0);
    cr_assert_eq(result_of(TRACKER_REMOVE, "one", "", 0), 0, "who is gone is gone");
}

Test(cgroup_members, the_blocks_that_are_there_are_listed_and_their_sub_scopes)
{
    char path[TRACKER_PATH_MAX];
    create("one", "main");
    create("a.b", "bg/7");
    snprintf(path, sizeof path, "%s/something-else", tracker_root_path(tracker));
    cr_assert_eq(mkdir(path, 0755), 0);
    struct tracker_op *op = operate(TRACKER_LIST, "", "", 0, NULL);
    cr_assert_eq(op->result, 0);
    bool one_first = strcmp(op->names[0], "one") == 0;
    cr_assert_str_eq(op->names[!one_first], "one");
    cr_assert_str_eq(op->names[one_first], "a.b");
    cr_assert_null(op->names[2]);
    tracker_op_free(op);
    op = operate(TRACKER_LIST, "a.b", "", 0, NULL);
    cr_assert_eq(op->result, 0);
    cr_assert_str_eq(op->names[0], "bg");
    cr_assert_str_eq(op->names[1], "bg/7");
    cr_assert_null(op->names[2]);
    tracker_op_free(op);
}

/* ---- who is in any of them ---- */

static bool is_counted(const struct odd *odd)
{
    _cleanup_free_ uint32_t *tids = NULL;
    size_t n = 0;
    unsigned progress = 0;
    bool is_there = false;
    cr_assert_eq(tracker_threads(tracker, &progress, &tids, &n), 0);
    for (size_t i = 0; i < n; i++) {
        cr_assert(i == 0 || tids[i - 1] < tids[i], "sorted, each once");
        is_there |= tids[i] == (uint32_t)odd->pid;
    }
    cr_assert_eq(n > 0, progress > 0);
    return is_there;
}

static struct odd *ready_in(const char *directory, const char *const *life)
{
    struct odd *odd = keep(odd_start(directory, life[0], life[1], life[2], NULL));
    odd_told(odd, "ready");
    return odd;
}

Test(cgroup_members, whoever_is_in_a_block_is_counted_and_nobody_else)
{
    static const char *const hold[] = {"hold", NULL, NULL};
    static const char *const leader_leaves[] = {"leader-leaves", "exit_group", "0"};
    char own[TRACKER_PATH_MAX + 32], beside[TRACKER_PATH_MAX + 32];
    create("one", "main");
    create("two", "bg/7");
    snprintf(own, sizeof own, "%s/own", directory_of("one", "main"));
    snprintf(beside, sizeof beside, "%s/something-else", tracker_root_path(tracker));
    cr_assert(mkdir(own, 0755) == 0 && mkdir(beside, 0755) == 0);
    cr_assert(is_counted(hold_in("one", "main")));
    cr_assert(is_counted(hold_in("two", "bg/7")));
    cr_assert(is_counted(ready_in(own, hold)), "in a cgroup that a member made");
    cr_assert_not(is_counted(ready_in(beside, hold)), "beside the blocks");
    cr_assert_not(is_counted(ready_in(NULL, hold)), "elsewhere");

    struct odd *leaderless = ready_in(directory_of("one", "main"), leader_leaves);
    cr_assert_not(is_counted(leaderless), "its dead leader may be elsewhere than its threads");
}

/* ---- assigning ---- */

Test(cgroup_members, a_process_is_assigned_with_the_descendants_it_has)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "comm-odd", NULL));
    odd_told(odd, "ready");
    uint32_t child = odd_told(odd, "born")->pid;
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, NULL);
    cr_assert_eq(op->result, 0, "%s", op->error.message);
    cr_assert_eq(op->facts.n, 2);
    cr_assert_eq(op->facts.items[0].pid, (uint32_t)odd->pid, "itself first");
    cr_assert_eq(op->facts.items[1].pid, child);
    cr_assert(op->facts.items[0].moved && op->facts.items[1].moved);
    cr_assert_str_eq(op->facts.items[0].stat.comm, "a) R 1 (b");
    cr_assert(is_in((uint32_t)odd->pid, "one", "main"));
    cr_assert(is_in(child, "one", "main"));
    tracker_op_free(op);
}

Test(cgroup_members, who_is_there_already_is_not_moved)
{
    create("one", "main");
    struct odd *odd = hold_in("one", "main");
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, NULL);
    cr_assert_eq(op->result, 0);
    for (size_t i = 0; i < op->facts.n; i++)
        cr_assert_not(op->facts.items[i].moved);
    tracker_op_free(op);
}

Test(cgroup_members, a_member_is_assigned_to_another_sub_scope_and_to_another_block)
{
    create("one", "main");
    create("one", "bg/7");
    create("two", "main");
    struct odd *odd = hold_in("one", "main");
    cr_assert_eq(result_of(TRACKER_ASSIGN, "one", "bg/7", (uint32_t)odd->pid), 0);
    cr_assert(is_in((uint32_t)odd->pid, "one", "bg/7"));
    cr_assert_eq(result_of(TRACKER_ASSIGN, "two", "main", (uint32_t)odd->pid), 0);
    cr_assert(is_in((uint32_t)odd->pid, "two", "main"));
}

Test(cgroup_members, descendants_that_fork_on_are_all_caught)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "storm", "5", "4", NULL));
    odd_told_times(odd, "born", 5);
    int r = result_of(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid);
    if (r == -ESRCH)
        return; /* it was over already */
    cr_assert_eq(r, 0);
    cr_assert(is_in((uint32_t)odd->pid, "one", "main") || is_gone(&(uint32_t){(uint32_t)odd->pid}));
    kill_until_empty("one");
    odd_end(odd); /* nobody that held its output was left outside */
    odd_told_all(odd);
}

static void assert_refused(uint32_t pid, int result, const char *says)
{
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", pid, NULL);
    cr_assert_eq(op->result, result, "%u: %d, %s", pid, op->result, op->error.message);
    cr_assert(strstr(op->error.message, says), "'%s' does not say '%s'", op->error.message, says);
    cr_assert_eq(op->facts.n, 0);
    tracker_op_free(op);
}

Test(cgroup_members, who_must_not_be_moved_is_refused)
{
    create("one", "main");
    struct proc_stat stat;
    assert_refused(0, -ESRCH, "no process 0");
    assert_refused(1, -EPERM, "init");
    assert_refused((uint32_t)getpid(), -EPERM, "the broker itself");
    if (proc_stat_read(&stat, 2) == 0 && proc_is_kernel_thread(&stat))
        assert_refused(2, -EPERM, "kernel thread");
    assert_refused(4194304 + 7, -ESRCH, "no process");
}

Test(cgroup_members, a_thread_is_no_process_to_be_assigned)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "threads", "1", NULL));
    odd_told(odd, "ready");
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)odd->pid);
    _cleanup_closedir_ DIR *tasks = opendir(path);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        uint32_t tid = (uint32_t)atoi(entry->d_name);
        if (tid && tid != (uint32_t)odd->pid)
            assert_refused(tid, -ESRCH, "no process");
    }
    cr_assert_not(is_in((uint32_t)odd->pid, "one", "main"));
}

Test(cgroup_members, who_has_ended_is_refused)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "zombie", NULL));
    odd_told(odd, "ready");
    assert_refused(odd_told(odd, "born")->pid, -ESRCH, "has ended");
}

Test(cgroup_members, another_life_of_the_pid_is_refused)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "hold", NULL));
    odd_told(odd, "ready");
    struct proc_stat stat;
    cr_assert_eq(proc_stat_read(&stat, (uint32_t)odd->pid), 0);
    struct tracker_op more = {.start_ticks = stat.start_ticks + 1};
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, &more);
    cr_assert_eq(op->result, -ESRCH);
    cr_assert(strstr(op->error.message, "data.started_at_ms"), "%s", op->error.message);
    tracker_op_free(op);
    more.start_ticks = stat.start_ticks;
    op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, &more);
    cr_assert_eq(op->result, 0, "%s", op->error.message);
    tracker_op_free(op);
}

Test(cgroup_members, another_users_process_is_refused_unless_root_asks)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "hold", NULL));
    odd_told(odd, "ready");
    struct tracker_op more = {.client_uid = getuid() + 1};
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, &more);
    cr_assert_eq(op->result, -EPERM);
    cr_assert(strstr(op->error.message, "another user"), "%s", op->error.message);
    tracker_op_free(op);
    cr_assert_not(is_in((uint32_t)odd->pid, "one", "main"));
}

Test(cgroup_members, an_assignment_to_what_was_not_made_fails_and_moves_nobody)
{
    struct odd *odd = keep(odd_start(NULL, "hold", NULL));
    odd_told(odd, "ready");
    cr_assert_lt(result_of(TRACKER_ASSIGN, "never-made", "main", (uint32_t)odd->pid), 0);
    cr_assert_not(is_in((uint32_t)odd->pid, "never-made", "main"));
}

/* ---- what the next broker is to know of roots ---- */

/* The directory of block "one", where attributes can be kept; else the test is skipped. */
static const char *block_with_attributes(void)
{
    static char path[TRACKER_PATH_MAX];
    create("one", "main");
    snprintf(path, sizeof path, "%s/b-one", tracker_root_path(tracker));
    if (setxattr(path, "user.a_try", "", 0, 0) < 0)
        cr_skip_test("this kernel keeps no attributes of a cgroup (Linux 5.7 does)");
    cr_assert_eq(removexattr(path, "user.a_try"), 0);
    return path;
}

static struct odd *assign_root(bool *ret_unmarked)
{
    const struct tracker_op more = {.root = true};
    struct odd *odd = keep(odd_start(NULL, "hold", NULL));
    odd_told(odd, "ready");
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, &more);
    cr_assert_eq(op->result, 0, "%s", op->error.message);
    *ret_unmarked = op->root_unmarked;
    tracker_op_free(op);
    return odd;
}

static struct tracker_op *read_roots(void)
{
    const struct tracker_op more = {.wants_roots = true};
    struct tracker_op *op = operate(TRACKER_CREATE, "one", "main", 0, &more);
    cr_assert_eq(op->result, 0, "%s", op->error.message);
    return op;
}

static bool has_root(const struct tracker_op *op, const struct odd *odd)
{
    struct proc_stat stat;
    cr_assert_eq(proc_stat_read(&stat, (uint32_t)odd->pid), 0);
    for (size_t i = 0; i < op->n_roots; i++)
        if (op->roots[i].pid == stat.pid && op->roots[i].start_ticks == stat.start_ticks)
            return true;
    return false;
}

/* Sets attributes `name`1, `name`2 and so on until the kernel has no room left; how many. */
static unsigned fill(const char *path, const char *name, unsigned from)
{
    char attribute[64];
    unsigned n = 0;
    do
        snprintf(attribute, sizeof attribute, "user.%s%u", name, from + ++n);
    while (setxattr(path, attribute, "7", 1, 0) == 0);
    cr_assert_eq(errno, ENOSPC, "%s", strerror(errno));
    return n - 1;
}

Test(cgroup_members, who_was_assigned_as_a_root_is_kept_with_the_block_by_its_life)
{
    bool unmarked;
    block_with_attributes();
    struct odd *root = assign_root(&unmarked), *second = assign_root(&unmarked);
    struct odd *member = keep(odd_start(NULL, "hold", NULL));
    odd_told(member, "ready");
    cr_assert_eq(result_of(TRACKER_ASSIGN, "one", "main", (uint32_t)member->pid), 0);
    struct tracker_op *op = read_roots();
    cr_assert_eq(op->n_roots, 2);
    cr_assert(has_root(op, root) && has_root(op, second));
    tracker_op_free(op);
    cr_assert_eq(result_of(TRACKER_ASSIGN, "one", "main", (uint32_t)second->pid), 0);
    op = read_roots();
    cr_assert_eq(op->n_roots, 1, "put there as what is no root, it is none");
    cr_assert(has_root(op, root));
    tracker_op_free(op);
}

Test(cgroup_members, where_the_kernel_has_no_room_for_a_root_the_dead_give_theirs)
{
    bool unmarked = true;
    const char *path = block_with_attributes();
    struct odd *first = assign_root(&unmarked);
    /* Pids that no process can have: 2^22 is the most. */
    cr_assert_gt(fill(path, "proctrack.root.", 1u << 23), 1);
    struct odd *root = assign_root(&unmarked);
    cr_assert_not(unmarked);
    struct tracker_op *op = read_roots();
    cr_assert_eq(op->n_roots, 2, "%zu", op->n_roots);
    cr_assert(has_root(op, first) && has_root(op, root));
    tracker_op_free(op);
}

Test(cgroup_members, a_root_that_there_is_no_room_for_is_assigned_all_the_same_and_that_is_told)
{
    bool unmarked = false;
    fill(block_with_attributes(), "somebody-else.", 0);
    struct odd *root = assign_root(&unmarked);
    cr_assert(unmarked);
    cr_assert(is_in((uint32_t)root->pid, "one", "main"));
    struct tracker_op *op = read_roots();
    cr_assert_eq(op->n_roots, 0);
    tracker_op_free(op);
}

Test(cgroup_members, attributes_that_do_not_read_as_a_root_are_none)
{
    static const struct {
        const char *name, *value;
    } odd_ones[] = {
        {"user.proctrack.root.", "7"},
        {"user.proctrack.root.x", "7"},
        {"user.proctrack.root.-1", "7"},
        {"user.proctrack.root.4294967296", "7"},
        {"user.proctrack.root.99999999999999999999", "7"},
        {"user.proctrack.root.1", ""},
        {"user.proctrack.root.2", "7 "},
        {"user.proctrack.root.3", "99999999999999999999"},
        {"user.proctrack.root.4", "7777777777777777777777777777777777777777"},
        {"user.proctrack.rooted", "7"},
        {"user.else", "7"},
    };
    const char *path = block_with_attributes();
    for (size_t i = 0; i < sizeof odd_ones / sizeof *odd_ones; i++)
        cr_assert_eq(
            setxattr(path, odd_ones[i].name, odd_ones[i].value, strlen(odd_ones[i].value), 0), 0,
            "%s: %s", odd_ones[i].name, strerror(errno));
    struct tracker_op *op = read_roots();
    cr_assert_eq(op->n_roots, 0, "%u is said to be one", op->roots[0].pid);
    tracker_op_free(op);
}
