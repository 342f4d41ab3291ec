/* SPDX-License-Identifier: Apache-2.0 */

/* Lives under a feed that tells of threads and not of places: counting, looking up where somebody
 * is, and those who come in by themselves. */

#include "plugin/lives.h"
#include "plugin/scan.h"
#include "plugin/strangers.h"
#include "test_plugin_people.h"
#include <criterion/criterion.h>
#include <errno.h>

TestSuite(netlink_lives, .init = begin_netlink, .fini = end_bench);

/* ---- netlink: threads, places, strangers ---- */

/* A member that is known: it came in by itself and was asked about. */
static void stands(unsigned number, const char *words)
{
    starts[number] = now();
    shows(number, OUTSIDE, words);
    execs(number, words);
    bench_answer(bench);
    bench_story(bench);
}

static void thread(enum feed_event_kind kind, unsigned number, unsigned tid, int status)
{
    struct feed_event event = event_of(kind, number, 0, 0);
    event.tid = pid_of(tid);
    event.has_status = kind == FEED_THREAD_EXIT;
    event.status = status;
    bench_event(bench, &event);
}

Test(netlink_lives, a_process_ends_with_its_last_thread)
{
    stands(1, "threads");
    thread(FEED_THREAD, 1, 40, 0);
    thread(FEED_THREAD, 1, 41, 0);
    thread(FEED_THREAD_EXIT, 1, 1, 0x6300); /* the leader leaves */
    thread(FEED_THREAD_EXIT, 1, 40, 0x100);
    shows_nothing(1);
    assert_story(bench, "");
    thread(FEED_THREAD_EXIT, 1, 41, 0x800);
    assert_story(bench, "exited 1 0x800");
}

Test(netlink_lives, an_exec_leaves_one_thread)
{
    stands(1, "threads");
    thread(FEED_THREAD, 1, 40, 0);
    thread(FEED_THREAD, 1, 41, 0);
    thread(FEED_THREAD_EXIT, 1, 41, 0);
    thread(FEED_THREAD_EXIT, 1, 1, 0); /* the old leader: the thread takes its place */
    shows(1, OUTSIDE, "new one");
    execs(1, "new one");
    bench_answer(bench);
    shows_nothing(1);
    thread(FEED_THREAD_EXIT, 1, 1, 0x300);
    assert_story(bench, "exec 1 new one; exited 1 0x300");
}

/* Order holds per processor only. */
Test(netlink_lives, an_end_of_a_thread_that_is_told_behind_the_exec_is_no_end)
{
    stands(1, "threads");
    thread(FEED_THREAD, 1, 40, 0);
    shows(1, OUTSIDE, "new one");
    execs(1, "new one");
    thread(FEED_THREAD_EXIT, 1, 1, 0);
    bench_answer(bench);
    assert_story(bench, "exec 1 new one");
    shows_nothing(1);
    exits(1, 0);
    assert_story(bench, "exited 1 0");
}

Test(netlink_lives, threads_that_were_there_before_are_no_end)
{
    stands(1, "threads");
    thread(FEED_THREAD_EXIT, 1, 50, 0);
    thread(FEED_THREAD_EXIT, 1, 51, 0);
    assert_story(bench, "");
    shows_zombie(1, OUTSIDE, 1);
    thread(FEED_THREAD_EXIT, 1, 1, 0x500);
    assert_story(bench, "exited 1 0x500");
}

/* What was assigned with threads ends them, execs, forks and is gone before any of it is read. */
Test(netlink_lives, a_thread_that_was_not_counted_does_not_end_a_process_before_its_exec)
{
    stands(1, "threads");
    shows_nothing(1);
    thread(FEED_THREAD_EXIT, 1, 50, 0);
    thread(FEED_THREAD_EXIT, 1, 51, 0);
    assert_story(bench, "");
    execs(1, "new one");
    born(2, 1);
    thread(FEED_THREAD_EXIT, 1, 1, 0x300);
    thread(FEED_THREAD_EXIT, 2, 2, 0);
    bench_settle(bench);
    bench_answer(bench);
    /* Nobody can find out what the parent was: it counts as one that was gone. */
    assert_story(bench,
                 "exec 1 [unknown]; exited 1 0x300; added 2 [unknown] [started]; exited 2 0");
}

Test(netlink_lives, a_child_is_looked_up_before_it_is_told)
{
    stands(1, "parent");
    born(2, 1);
    shows(2, 1, "parent");
    bench_settle(bench);
    assert_story(bench, "");
    bench_answer(bench);
    assert_story(bench, "added 2 parent");
}

Test(netlink_lives, a_child_that_was_born_into_another_block_is_told_there)
{
    stands(1, "parent");
    born(2, 1);
    shows_in(2, 1, "elsewhere", "/root/b-two/s-main");
    execs(2, "elsewhere");
    bench_answer(bench);
    assert_story(bench, "two:added 2 elsewhere");
}

Test(netlink_lives, a_child_that_was_born_into_no_block_is_not_told)
{
    stands(1, "parent");
    born(2, 1);
    shows_in(2, 1, "elsewhere", "/user.slice");
    execs(2, "elsewhere");
    bench_answer(bench);
    assert_story(bench, "");
    cr_assert_null(bench_process(bench, pid_of(2)));
}

/* Until the end of fork a child is in the root cgroup. */
Test(netlink_lives, a_child_that_was_read_too_early_is_read_again)
{
    stands(1, "parent");
    born(2, 1);
    shows_in(2, 1, "parent", "/");
    for (int i = 0; i < 3; i++) {
        bench_settle(bench);
        bench_answer(bench);
        assert_story(bench, "");
    }
    shows(2, 1, "parent");
    bench_settle(bench);
    bench_answer(bench);
    assert_story(bench, "added 2 parent");
}

Test(netlink_lives, a_child_that_stays_in_the_root_is_none_of_ours)
{
    stands(1, "parent");
    born(2, 1);
    shows_in(2, 1, "parent", "/");
    for (int i = 0; i < 20; i++) {
        bench_settle(bench);
        bench_answer(bench);
    }
    assert_story(bench, "");
    cr_assert_null(bench_process(bench, pid_of(2)));
}

Test(netlink_lives, a_told_member_that_is_found_elsewhere_has_escaped)
{
    stands(1, "mover");
    shows_in(1, OUTSIDE, "mover", "/user.slice");
    execs(1, "mover");
    bench_answer(bench);
    assert_story(bench, "escaped 1 moved /user.slice");
}

Test(netlink_lives, a_stranger_that_execs_in_no_block_is_not_told)
{
    starts[1] = now();
    shows_in(1, OUTSIDE, "somebody", "/user.slice");
    execs(1, "somebody");
    bench_answer(bench);
    exits(1, 0);
    assert_story(bench, "");
}

/* When all questions are answered: so many were added, and one of them ended so. */
static void assert_in_the_end(unsigned added, int status)
{
    bench_answer(bench);
    bench_settle(bench);
    bench_answer(bench);
    cr_assert_eq(bench_count(bench, "added"), added);
    cr_assert_eq(bench_count(bench, "exited"), 1);
    cr_assert_eq(bench_last(bench, "exited")->status, status);
}

/* Strangers are asked about again at once, whatever pause there is to be. */
static void asks_again(void)
{
    bench->module.strangers_due_ns = 0;
    strangers_go_on(&bench->module);
}

Test(netlink_lives, nothing_of_a_stranger_is_missed_while_it_is_looked_up)
{
    starts[1] = now();
    shows(1, OUTSIDE, "stranger");
    execs(1, "stranger");
    born(2, 1);
    shows(2, 1, "child");
    execs(2, "child");
    born(3, 2);
    exits(3, 0x100);
    assert_in_the_end(3, 0x100);
}

/* Where there are no descriptors: with the answer comes all that happened before it. */
Test(netlink_lives, a_stranger_that_cannot_be_looked_up_for_now_is_looked_up_later)
{
    struct module *module = &bench->module;
    starts[1] = now();
    shows(1, OUTSIDE, "stranger");
    proc_refuse(pid_of(1), -EMFILE);
    execs(1, "stranger");
    bench_answer(bench);
    born(2, 1);
    exits(2, 0x100);
    strangers_go_on(module);
    cr_assert_eq(workers_pending(module->workers), 0, "it is not asked about without a pause");
    assert_story(bench, "");
    shows(1, OUTSIDE, "stranger");
    asks_again();
    assert_in_the_end(2, 0x100);
}

/* Its parent is asked about too, and that question may fail. */
Test(netlink_lives, a_strangers_parent_that_cannot_be_looked_up_for_now_is_looked_up_later)
{
    starts[1] = starts[2] = now();
    shows(1, OUTSIDE, "parent");
    shows(2, 1, "child");
    proc_refuse(pid_of(1), -ENFILE);
    execs(2, "child");
    bench_answer(bench);
    assert_story(bench, "");
    shows(1, OUTSIDE, "parent");
    asks_again();
    bench_answer(bench);
    assert_story(bench, "added 1 parent; added 2 child");
}

Test(netlink_lives, a_stranger_that_may_not_be_looked_up_is_let_be)
{
    starts[1] = now();
    shows(1, OUTSIDE, "stranger");
    proc_refuse(pid_of(1), -EACCES);
    execs(1, "stranger");
    bench_answer(bench);
    cr_assert_null(bench->module.strangers);
}

Test(netlink_lives, a_stranger_that_is_gone_before_it_is_looked_up_is_not_told)
{
    starts[1] = now();
    execs(1, "stranger");
    exits(1, 0);
    bench_answer(bench);
    assert_story(bench, "");
    cr_assert_null(bench->module.strangers);
    cr_assert_null(bench->module.relatives);
}

/* A question takes a kilobyte, and answers wait for the loop. */
Test(netlink_lives, of_many_strangers_some_are_asked_about_at_a_time)
{
    enum { STRANGERS = PEOPLE - 1, AT_A_TIME = 64 };
    for (unsigned i = 1; i <= STRANGERS; i++) {
        starts[i] = now();
        shows(i, OUTSIDE, "stranger");
        execs(i, "stranger");
        cr_assert_leq(workers_pending(bench->module.workers), AT_A_TIME);
    }
    for (int i = 0; i < STRANGERS && bench->module.strangers; i++)
        bench_answer(bench);
    cr_assert_eq(bench_count(bench, "added"), STRANGERS);
    cr_assert_null(bench->module.strangers);
}

/* In a storm questions wait until all that is there is taken in: who is reaped by then is not asked
 * about, and what it did is taken in as the worker that finds nobody would have it. */
Test(netlink_lives, a_stranger_that_is_reaped_before_it_is_asked_about_costs_no_question)
{
    struct module *module = &bench->module;
    module->gather.saturated = true;
    module->gather.rate = 0;
    starts[1] = starts[2] = now();
    struct feed_event exec = event_of(FEED_EXEC, 1, 0, 0);
    struct feed_event other = event_of(FEED_EXEC, 2, 0, 0);
    struct feed_event end = event_of(FEED_THREAD_EXIT, 1, 0, 0);
    end.tid = end.pid;
    end.has_status = true;
    shows(2, OUTSIDE, "stays");
    lives_take(module, &exec);
    lives_take(module, &other);
    lives_take(module, &end);
    cr_assert(strangers_has(module, pid_of(1)) && strangers_has(module, pid_of(2)));
    bench_drain(bench);
    cr_assert_not(strangers_has(module, pid_of(1)));
    cr_assert_eq(workers_pending(module->workers), 1, "who stays is asked about alone");
    bench_answer(bench);
    assert_story(bench, "added 2 stays");
}

/* A machine full of others' processes: a scan finds the members among them, one scan a second. */
Test(netlink_lives, for_strangers_that_are_too_many_one_scan_a_second_stands)
{
    enum { STRANGERS_MAX = 4096 };
    struct module *module = &bench->module;
    for (unsigned i = 1; i <= STRANGERS_MAX; i++)
        strangers_ask(module, pid_of(i), false);
    cr_assert_eq(module->counters.limits_hit, 0);
    cr_assert_eq(module->next_wide_scan_ns, UINT64_MAX);
    uint64_t before = monotonic_ns();
    strangers_ask(module, pid_of(STRANGERS_MAX + 1), false);
    uint64_t due = module->next_wide_scan_ns;
    cr_assert(strangers_has(module, pid_of(STRANGERS_MAX)));
    cr_assert_eq(module->counters.limits_hit, 1);
    cr_assert_geq(due, before + NS_PER_SECOND);
    cr_assert_leq(due, monotonic_ns() + NS_PER_SECOND);
    strangers_ask(module, pid_of(STRANGERS_MAX + 2), false);
    cr_assert_eq(module->counters.limits_hit, 2);
    cr_assert_eq(module->next_wide_scan_ns, due, "the next one does not put it off");
    cr_assert_not(strangers_has(module, pid_of(STRANGERS_MAX + 1)));
    bench_answer(bench);
    cr_assert_null(module->strangers);
    module->next_wide_scan_ns = UINT64_MAX;
}

/* It joined without an exec, so nothing was told of it; then it made a child. */
Test(netlink_lives, a_stranger_is_told_behind_the_parent_that_joined_before_it)
{
    starts[1] = now(), starts[2] = now();
    shows(1, OUTSIDE, "python agent.py");
    shows(2, 1, "tool");
    execs(2, "tool");
    bench_answer(bench);
    bench_answer(bench);
    scan();
    cr_assert_eq(bench_count(bench, "added"), 2);
}

Test(netlink_lives, a_start_that_was_rough_is_made_exact_by_a_scan)
{
    stands(1, "parent");
    bench->time_ns = bench->time_ns / NS_PER_SECOND * NS_PER_SECOND + NS_PER_SECOND;
    born(2, 1); /* its event comes a millisecond later, in the next clock tick */
    starts[2] -= 2 * NS_PER_MS;
    shows(2, 1, "child");
    scan();
    cr_assert_eq(
        bench_last(bench, "added")->started_at_ms,
        proc_clock_ms(&bench->module.clock, proc_clock_ticks(&bench->module.clock, starts[2])));
}

/* The connector tells of an end when the kernel's lists have forgotten it. */
Test(netlink_lives, an_end_that_a_scan_sees_first_is_told_with_its_status)
{
    stands(1, "parent");
    bench_story(bench);
    proc_take(pid_of(1));
    scan();
    assert_story(bench, "");
    exits(1, 0x300);
    assert_story(bench, "exited 1 0x300");
}

Test(netlink_lives, an_end_that_the_feed_does_not_tell_is_told_without_another_scan)
{
    stands(1, "parent");
    stands(2, "other");
    proc_take(pid_of(1));
    proc_take(pid_of(2));
    scan();
    exits(2, 0x300);
    scan_on_missed_timer(NULL, 0, &bench->module);
    assert_story(bench, "exited 2 0x300");
    bench_lets_pass(bench);
    scan_on_missed_timer(NULL, 0, &bench->module);
    cr_assert_eq(bench_count(bench, "exited"), 2);
    cr_assert(TAILQ_EMPTY(&bench->module.missed));
}

Test(netlink_lives, an_end_that_is_kept_is_told_with_its_status)
{
    stands(1, "member");
    uint64_t kept = strangers_begin(&bench->module, pid_of(1)); /* it is assigned once more */
    exits(1, 0x300);
    proc_take(pid_of(1));
    for (int i = 0; i < 2; i++) {
        scan();
        bench_lets_pass(bench);
        scan_on_missed_timer(NULL, 0, &bench->module);
    }
    assert_story(bench, "");
    strangers_end(&bench->module, kept);
    assert_story(bench, "exited 1 0x300");
}

Test(netlink_lives, an_end_that_the_feed_does_not_tell_is_told_by_a_later_scan)
{
    stands(1, "parent");
    bench_story(bench);
    proc_take(pid_of(1));
    scan();
    scan();
    assert_story(bench, "");
    bench_lets_pass(bench);
    scan();
    assert_story(bench, "exited 1 by scan");
}
