/* SPDX-License-Identifier: Apache-2.0 */

/* What scans make good, what losses lead to, and where limits end. What is told is held against the
 * protocol as it comes (test_plugin_bench.h). */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "plugin/intake.h"
#include "plugin/scan.h"
#include "test_plugin_fakes.h"
#include "test_plugin_people.h"

TestSuite(scans, .init = begin_bpf, .fini = end_bench);
TestSuite(scans_poll, .init = begin_poll, .fini = end_bench);

/* ---- scans ---- */

Test(scans, a_scan_finds_who_was_not_told)
{
    starts[1] = now(), starts[2] = now();
    shows(1, OUTSIDE, "unseen");
    shows_in(2, 1, "child", "/root/b-one/s-bg/own");
    scan();
    assert_story(bench, "added 1 unseen by scan; added 2 child [elsewhere] by scan");
    scan();
    assert_story(bench, "");
}

/* One scan that takes three seconds; after two and a half it is looked at. */
static uint64_t scan_slowly(uint32_t hanging_pid)
{
    fake_tracker_slow(3000, hanging_pid);
    scan_all(&bench->module);
    poll(NULL, 0, 2500);
    scan_give_up_late(&bench->module);
    bench_answer(bench);
    return bench->module.counters.scans_late;
}

Test(scans, a_scan_that_a_process_hangs_is_begun_anew)
{
    starts[1] = now();
    shows(1, OUTSIDE, "unseen");
    cr_assert_eq(scan_slowly(5), 1);
    assert_story(bench, "added 1 unseen by scan");
}

Test(scans, a_scan_that_only_takes_long_is_waited_for)
{
    starts[1] = now();
    shows(1, OUTSIDE, "unseen");
    cr_assert_eq(scan_slowly(0), 0);
    assert_story(bench, "added 1 unseen by scan");
}

/* Within one clock tick the start says nothing of who came first. */
Test(scans, a_scan_tells_parents_before_children_within_a_clock_tick)
{
    starts[1] = starts[2] = starts[3] = now();
    shows(1, 2, "grandchild");
    shows(2, 3, "child");
    shows(3, OUTSIDE, "parent");
    scan();
    assert_story(bench, "added 3 parent by scan; added 2 child by scan; "
                        "added 1 grandchild by scan");
}

Test(scans, a_scan_finds_who_ended_unseen)
{
    born(1, OUTSIDE);
    execs(1, "a");
    born(2, 1);
    shows(1, OUTSIDE, "a");
    bench_settle(bench);
    bench_story(bench);
    scan();
    assert_story(bench, "exited 2 by scan");
    cr_assert_not(bench_last(bench, "exited")->has_status);
}

Test(scans, a_scan_finds_a_program_that_was_not_told)
{
    born(1, OUTSIDE);
    execs(1, "a");
    shows(1, OUTSIDE, "b c");
    scan();
    assert_story(bench, "added 1 a; exec 1 b c by scan");
}

Test(scans, a_scan_finds_a_move_between_sub_scopes)
{
    born(1, OUTSIDE);
    execs(1, "a");
    shows_in(1, OUTSIDE, "a", "/root/b-one/s-bg");
    scan();
    assert_story(bench, "added 1 a; changed 1 a [elsewhere] by scan");
}

Test(scans, a_scan_finds_who_moved_to_another_block)
{
    born(1, OUTSIDE);
    execs(1, "a");
    shows_in(1, OUTSIDE, "a", "/root/b-two/s-main");
    scan();
    cr_assert_eq(bench_count(bench, "escaped"), 1);
    cr_assert_str_eq(bench_last(bench, "added")->block, "two");
    cr_assert_str_eq(bench_last(bench, "escaped")->reason, "moved");
}

Test(scans, a_scan_finds_who_moved_out_of_all_blocks)
{
    born(1, OUTSIDE);
    execs(1, "a");
    shows_in(1, OUTSIDE, "a", "/elsewhere");
    bench_story(bench);
    scan();
    cr_assert_eq(bench_count(bench, "escaped"), 1);
    cr_assert_null(bench_process(bench, pid_of(1)));
}

/* Whom the feed could not be asked for has no events but those of scans. */
static void assert_asked_for_again(int refused, unsigned times)
{
    starts[1] = now();
    shows(1, OUTSIDE, "a");
    fake_feed_watch_gives(bench->module.feed, refused);
    scan();
    assert_story(bench, "added 1 a by scan");
    cr_assert_eq(fake_feed_n_asked(bench->module.feed), 1);
    scan();
    cr_assert_eq(fake_feed_n_asked(bench->module.feed), times);
    fake_feed_watch_gives(bench->module.feed, 0);
    scan();
    scan();
    cr_assert_eq(fake_feed_n_asked(bench->module.feed), times, "once is enough");
    assert_story(bench, "");
}

Test(scans, who_could_not_be_watched_is_asked_for_again_until_it_is)
{
    assert_asked_for_again(-EMFILE, 1);
}

Test(scans, who_finds_no_room_is_not_asked_for_again)
{
    assert_asked_for_again(-ENOSPC, 0);
}

Test(scans_poll, a_feed_that_wants_scans_is_not_asked_again)
{
    assert_asked_for_again(-EMFILE, 0);
}

/* What began after the scan did cannot have been seen by it. */
Test(scans, a_scan_says_nothing_of_who_came_behind_its_beginning)
{
    scan_all(&bench->module);
    bench->time_ns = boottime_ns() + NS_PER_SECOND; /* whenever a worker gets to it */
    born(1, OUTSIDE);
    execs(1, "late");
    bench_answer(bench);
    assert_story(bench, "added 1 late");
}

/* What a scan read before an event does not count against it. */
Test(scans, what_a_scan_read_before_an_exec_is_old)
{
    born(1, OUTSIDE);
    execs(1, "a");
    shows(1, OUTSIDE, "a");
    scan_all(&bench->module);
    bench->time_ns = boottime_ns() + NS_PER_SECOND;
    execs(1, "b");
    bench_answer(bench);
    assert_story(bench, "added 1 a; exec 1 b");
}

Test(scans, a_scan_does_not_bring_back_who_has_exited)
{
    born(1, OUTSIDE);
    execs(1, "a");
    shows(1, OUTSIDE, "");
    exits(1, 0); /* the kernel tells of it a moment before /proc does */
    scan();
    assert_story(bench, "added 1 a; exited 1 0");
}

/* Where its birth was lost, too. */
Test(scans, a_scan_does_not_bring_in_who_has_exited_unseen)
{
    starts[1] = now();
    shows(1, OUTSIDE, "");
    exits(1, 0);
    scan();
    assert_story(bench, "");
}

Test(scans, a_scan_of_who_settles_tells_it)
{
    born(1, OUTSIDE);
    shows(1, OUTSIDE, "found");
    scan();
    assert_story(bench, "added 1 found"); /* the feed told of it */
    execs(1, "next");
    assert_story(bench, "exec 1 next");
}

Test(scans, a_scan_that_was_asked_for_meanwhile_runs_behind_the_one_that_runs)
{
    scan_block(&bench->module, one);
    scan_block(&bench->module, one);
    scan_block(&bench->module, one);
    bench_answer(bench);
    cr_assert_eq(bench->module.counters.scans, 2);
}

Test(scans, an_empty_block_has_no_members_left)
{
    born(1, OUTSIDE);
    execs_blind(1);
    born(2, 1);
    execs(2, "child");
    born(3, 2);
    scan_end_all(&bench->module, one);
    bench_answer(bench);
    cr_assert_eq(one->n_processes, 0);
    cr_assert_eq(bench_count(bench, "added"), bench_count(bench, "exited"));
    cr_assert_eq(bench_count(bench, "added"), 3);
}

/* ---- poll ---- */

Test(scans_poll, births_are_found_by_scans_and_ends_are_told)
{
    starts[1] = now(), starts[2] = now();
    shows(1, OUTSIDE, "a");
    shows(2, 1, "b");
    bench_event(bench, &(struct feed_event){.kind = FEED_SCAN_DUE});
    bench_answer(bench);
    assert_story(bench, "added 1 a by scan; added 2 b by scan");
    shows_nothing(2);
    bench_event(bench,
                &(struct feed_event){.kind = FEED_EXIT,
                                     .pid = pid_of(2),
                                     .time_ns = now(),
                                     .start_ns = starts[2] / (10 * NS_PER_MS) * (10 * NS_PER_MS),
                                     .has_status = true,
                                     .status = 0x100});
    assert_story(bench, "exited 2 0x100");
    bench_event(bench, &(struct feed_event){.kind = FEED_SCAN_DUE});
    bench_answer(bench);
    assert_story(bench, "");
}

Test(scans_poll, an_end_without_a_status_is_told_without)
{
    starts[1] = now();
    shows(1, OUTSIDE, "a");
    scan();
    shows_nothing(1);
    bench_event(bench, &(struct feed_event){.kind = FEED_EXIT, .pid = pid_of(1), .time_ns = now()});
    assert_story(bench, "added 1 a by scan; exited 1");
}
/* ---- losses ---- */

Test(scans, a_loss_is_told_before_the_first_event_behind_it_and_made_good)
{
    born(1, OUTSIDE);
    execs(1, "a");
    bench_story(bench);
    starts[2] = now();
    shows(1, OUTSIDE, "a");
    shows(2, 1, "lost one");
    bench_lose(bench, 3);
    born(3, 1);
    shows(3, 1, "c");
    execs(3, "c");
    assert_story(bench, "block-resync overflow; two:block-resync overflow; added 3 c");
    cr_assert_eq(bench_last(bench, "block-resync")->lost, 3);
    bench_answer(bench);
    assert_story(bench, "added 2 lost one by scan");
}

static bool scans_again(void)
{
    int enabled;
    cr_assert_geq(sd_event_source_get_enabled(bench->module.scan_timer, &enabled), 0);
    return enabled != SD_EVENT_OFF;
}

/* The kernel lists one that ends for a moment longer than its end is told: a scan sees it, and
 * nobody tells of its end any more. */
Test(scans, a_loss_is_made_good_when_nobody_is_on_the_way_out)
{
    born(1, OUTSIDE);
    execs(1, "stays");
    born(2, 1);
    execs(2, "ends");
    shows(1, OUTSIDE, "stays");
    shows_exiting(2, 1);
    bench_story(bench);
    bench_lose(bench, 1); /* its end */
    bench_drain(bench);
    bench_answer(bench);
    assert_story(bench, "block-resync overflow; two:block-resync overflow");
    cr_assert(scans_again());
    shows_nothing(2);
    intake_on_scan_timer(bench->module.scan_timer, 0, &bench->module);
    bench_answer(bench);
    assert_story(bench, "exited 2 by scan");
    cr_assert_not(scans_again());
}

/* A scan of what has been lost since it began does not count. */
Test(scans, a_scan_that_began_before_a_loss_does_not_make_it_good)
{
    shows(1, OUTSIDE, "late");
    starts[1] = now();
    proc_shut(true);
    scan_all(&bench->module);
    bench_lose(bench, 1);
    bench_drain(bench);
    uint64_t loss_ns = one->loss_ns;
    cr_assert_neq(loss_ns, 0);
    proc_shut(false);
    bench_answer(bench);
    cr_assert_eq(one->loss_ns, 0, "the scan behind it does");
    cr_assert_geq(bench->module.counters.scans, 2);
}

Test(scans, a_loss_with_nothing_behind_it_is_told_too)
{
    bench_lose(bench, 1);
    bench_drain(bench);
    assert_story(bench, "block-resync overflow; two:block-resync overflow");
    bench_drain(bench);
    assert_story(bench, "");
}

Test(scans, the_exec_of_one_whose_birth_was_lost_is_its_birth)
{
    starts[1] = now();
    execs(1, "late comer");
    assert_story(bench, "added 1 late comer");
}

Test(scans, a_blind_exec_of_one_whose_birth_was_lost_is_its_birth_too)
{
    starts[1] = now();
    shows(1, OUTSIDE, "late comer");
    execs_blind(1);
    bench_answer(bench);
    exits(1, 0);
    assert_story(bench, "added 1 late comer; exited 1 0");
}

/* ---- limits ---- */

Test(scans, beyond_max_processes_nobody_is_listed_until_there_is_room)
{
    bench->module.options.max_processes = 2;
    born(1, OUTSIDE);
    execs(1, "a");
    born(2, 1);
    execs(2, "b");
    born(3, 1);
    execs(3, "c");
    exits(3, 0);
    assert_story(bench, "added 1 a; added 2 b; block-changed");
    cr_assert_geq(bench->module.counters.limit_processes, 1);
    exits(2, 0);
    born(4, 1);
    execs(4, "d");
    assert_story(bench, "exited 2 0; block-resync overflow; added 4 d");
}

Test(scans, a_long_command_is_cut_and_says_so)
{
    char words[6000];
    memset(words, 'x', sizeof words);
    words[4096] = '\0';
    born(1, OUTSIDE);
    execs(1, words);
    cr_assert_not(bench_last(bench, "added")->truncated);
    words[4096] = 'x';
    words[4097] = '\0';
    execs(1, words);
    cr_assert(bench_last(bench, "exec")->truncated);
    cr_assert_eq(strlen(bench_last(bench, "exec")->command), 4096);
}
