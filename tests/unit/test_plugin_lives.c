/* SPDX-License-Identifier: Apache-2.0 */

/* The way of an event into the registry and out to readers, case by case. Whatever is told is held
 * against the protocol as it comes (test_plugin_bench.h): numbers without gaps, parents before
 * children, nobody twice, and a reader's picture that is the registry's. */

#include <criterion/criterion.h>
#include <string.h>

#include "plugin/lives.h"
#include "test_plugin_people.h"

TestSuite(lives, .init = begin_bpf, .fini = end_bench);

/* ---- settling ---- */

Test(lives, a_fork_that_execs_is_told_once_as_what_it_runs)
{
    born(1, OUTSIDE);
    assert_story(bench, "");
    execs(1, "cc -c a.c");
    exits(1, 0x100);
    assert_story(bench, "added 1 cc -c a.c; exited 1 0x100");
}

Test(lives, a_fork_that_never_execs_is_told_with_its_parents_command)
{
    born(1, OUTSIDE);
    execs(1, "server --fast");
    born(2, 1);
    assert_story(bench, "added 1 server --fast");
    bench_settle(bench);
    assert_story(bench, "added 2 server --fast");
    execs(2, "helper");
    exits(2, 9);
    assert_story(bench, "exec 2 helper; exited 2 0x9");
}

Test(lives, an_end_within_the_settle_time_gives_both)
{
    born(1, OUTSIDE);
    execs(1, "make");
    born(2, 1);
    exits(2, 0x2a00);
    assert_story(bench, "added 1 make; added 2 make; exited 2 0x2a00");
}

Test(lives, one_exec_behind_another_is_told_each_time)
{
    born(1, OUTSIDE);
    execs(1, "a");
    execs(1, "b");
    execs(1, "b");
    assert_story(bench, "added 1 a; exec 1 b; exec 1 b");
}

Test(lives, a_fork_of_its_own_tells_the_parent)
{
    born(1, OUTSIDE);
    execs(1, "top");
    bench_story(bench);
    born(2, 1);
    born(3, 2);
    assert_story(bench, "added 2 top");
    born(4, 3);
    assert_story(bench, "added 3 top");
    exits(4, 0);
    assert_story(bench, "added 4 top; exited 4 0");
}

Test(lives, a_command_that_names_the_block_tells_who_settles_in_it)
{
    born(1, OUTSIDE);
    execs(1, "top");
    born(2, 1);
    born_in(3, OUTSIDE, TWO, TWO_MAIN);
    bench_story(bench);
    lives_push_block(&bench->module, one);
    assert_story(bench, "added 2 top");
}

static bool is_two_told(struct bench *the_bench)
{
    return bench_count(the_bench, "added") == 2;
}

Test(lives, the_settle_time_runs_by_itself)
{
    bench->module.options.settle_ms = 5;
    born(1, OUTSIDE);
    execs(1, "top");
    uint64_t began = monotonic_ns();
    born(2, 1);
    cr_assert(bench_run(bench, is_two_told, 10000));
    cr_assert_geq(monotonic_ns() - began, 5 * NS_PER_MS);
    assert_story(bench, "added 1 top; added 2 top");
}

/* ---- reading ---- */

Test(lives, a_blind_exec_is_read_before_it_is_told)
{
    born(1, OUTSIDE);
    shows(1, OUTSIDE, "long program");
    execs_blind(1);
    assert_story(bench, "");
    bench_answer(bench);
    assert_story(bench, "added 1 long program");
    shows(1, OUTSIDE, "another");
    execs_blind(1);
    assert_story(bench, "");
    bench_answer(bench);
    assert_story(bench, "exec 1 another");
}

Test(lives, a_blind_exec_of_who_is_gone_is_told_by_its_name)
{
    born(1, OUTSIDE);
    execs_blind(1);
    exits(1, 0);
    assert_story(bench, "");
    bench_answer(bench);
    const struct told *added = bench_last(bench, "added");
    cr_assert_str_eq(added->command, "[comm]");
    assert_story(bench, "added 1 [comm]; exited 1 0");
}

Test(lives, what_was_read_before_the_end_is_told_behind_it)
{
    born(1, OUTSIDE);
    shows(1, OUTSIDE, "quick one");
    execs_blind(1);
    exits(1, 0);
    bench_answer(bench);
    assert_story(bench, "added 1 quick one; exited 1 0");
}

Test(lives, a_child_waits_for_a_parent_whose_command_is_read)
{
    born(1, OUTSIDE);
    shows(1, OUTSIDE, "parent");
    execs_blind(1);
    born(2, 1);
    execs(2, "child");
    born(3, 2);
    execs(3, "grandchild");
    exits(3, 0);
    assert_story(bench, "");
    bench_answer(bench);
    assert_story(bench, "added 1 parent; added 2 child; added 3 grandchild; exited 3 0");
}

Test(lives, children_that_waited_are_told_in_the_order_of_their_births)
{
    born(1, OUTSIDE);
    shows(1, OUTSIDE, "parent");
    execs_blind(1);
    for (unsigned i = 2; i < 6; i++) {
        born(i, 1);
        execs(i, "child");
    }
    bench_answer(bench);
    assert_story(bench, "added 1 parent; added 2 child; added 3 child; added 4 child; "
                        "added 5 child");
}

Test(lives, a_child_that_waited_is_told_when_its_parent_ends)
{
    born(1, OUTSIDE);
    execs_blind(1);
    born(2, 1);
    execs(2, "child");
    exits(1, 0);
    assert_story(bench, "");
    bench_answer(bench);
    assert_story(bench, "added 1 [comm]; exited 1 0; added 2 child");
}

Test(lives, a_question_that_is_not_answered_in_time_is_told_without)
{
    born(1, OUTSIDE);
    shows(1, OUTSIDE, "hangs");
    proc_shut(true);
    execs_blind(1);
    born(2, 1);
    execs(2, "child");
    bench_run_late(bench);
    assert_story(bench, "added 1 [comm]; added 2 child");
    cr_assert_eq(bench->module.counters.facts_late, 1);
    proc_shut(false);
    bench_answer(bench);
    bench_check(bench);
    exits(1, 0);
    cr_assert_eq(bench_count(bench, "exited"), 1);
}

Test(lives, an_answer_behind_the_end_is_nobodys)
{
    born(1, OUTSIDE);
    shows(1, OUTSIDE, "hangs");
    proc_shut(true);
    execs_blind(1);
    exits(1, 0);
    bench_run_late(bench);
    assert_story(bench, "added 1 [comm]; exited 1 0");
    proc_shut(false);
    bench_answer(bench);
    assert_story(bench, "");
    cr_assert_null(bench_process(bench, pid_of(1)));
}

static bool is_one_told(struct bench *the_bench)
{
    return bench_count(the_bench, "added") == 1;
}

Test(lives, the_time_for_an_answer_runs_by_itself)
{
    born(1, OUTSIDE);
    proc_shut(true);
    execs_blind(1);
    cr_assert(bench_run(bench, is_one_told, 10000));
    assert_story(bench, "added 1 [comm]");
    proc_shut(false);
}

/* /proc shows a zombie without arguments. */
Test(lives, a_zombies_facts_take_no_command_away)
{
    born(1, OUTSIDE);
    execs(1, "parent");
    born(2, 1);
    bench_settle(bench);
    shows_zombie(1, OUTSIDE, 1);
    shows_zombie(2, 1, 1);
    bench_story(bench);
    scan();
    for (size_t i = 0; i < bench->n_told; i++)
        cr_assert_str_neq(bench->told[i].command, "[comm]");
}

/* The first thread is a zombie, others run on; its arguments cannot be read through it. */
Test(lives, a_leader_that_left_is_no_other_program)
{
    born(1, OUTSIDE);
    execs(1, "threads 3");
    shows_zombie(1, OUTSIDE, 3);
    bench_story(bench);
    scan();
    assert_story(bench, "");
}

/* ---- pids used again ---- */

Test(lives, a_pid_that_is_used_again_ends_the_life_before)
{
    born(1, OUTSIDE);
    execs(1, "first");
    bench_story(bench);
    bench->time_ns += NS_PER_SECOND;
    born(1, OUTSIDE);
    execs(1, "second");
    assert_story(bench, "exited 1 by scan; added 1 second");
}

Test(lives, a_pid_that_is_used_again_while_its_end_is_read_gives_two_lives)
{
    born(1, OUTSIDE);
    proc_shut(true);
    execs_blind(1);
    exits(1, 0x700);
    bench->time_ns += NS_PER_SECOND;
    born(1, OUTSIDE);
    execs(1, "second");
    assert_story(bench, "added 1 [comm]; exited 1 0x700; added 1 second");
    proc_shut(false);
    bench_answer(bench);
    assert_story(bench, "");
}

Test(lives, an_event_of_another_life_of_the_pid_is_not_its)
{
    born(1, OUTSIDE);
    execs(1, "this");
    bench_story(bench);
    uint64_t start = starts[1];
    starts[1] -= NS_PER_SECOND;
    exits(1, 0);
    assert_story(bench, "");
    starts[1] = start;
    exits(1, 0);
    assert_story(bench, "exited 1 0");
}

Test(lives, facts_of_another_life_of_the_pid_are_not_its)
{
    born(1, OUTSIDE);
    starts[1] += NS_PER_SECOND;
    shows(1, OUTSIDE, "another life");
    starts[1] -= NS_PER_SECOND;
    execs_blind(1);
    bench_answer(bench);
    assert_story(bench, "added 1 [comm] by scan; exited 1 by scan");
}

/* ---- moves ---- */

Test(lives, a_move_out_of_all_blocks_is_an_escape)
{
    born(1, OUTSIDE);
    execs(1, "fugitive");
    moves(1, 0, 0, "/elsewhere");
    assert_story(bench, "added 1 fugitive; escaped 1 moved /elsewhere");
}

Test(lives, a_move_before_it_was_told_tells_both)
{
    born(1, OUTSIDE);
    execs(1, "parent");
    born(2, 1);
    moves(2, 0, 0, "/elsewhere");
    assert_story(bench, "added 1 parent; added 2 parent; escaped 2 moved /elsewhere");
}

Test(lives, who_is_moved_out_is_told_behind_its_parent)
{
    born(1, OUTSIDE);
    execs_blind(1);
    born(2, 1);
    moves(2, 0, 0, "/elsewhere");
    bench_answer(bench);
    cr_assert_eq(bench_count(bench, "added"), 2);
    cr_assert_eq(bench_count(bench, "escaped"), 1);
}

Test(lives, a_move_to_another_block_is_an_escape_and_a_birth)
{
    born(1, OUTSIDE);
    execs(1, "wanderer");
    shows_in(1, OUTSIDE, "wanderer", "/root/b-two/s-main");
    moves(1, TWO, TWO_MAIN, "/root/b-two/s-main");
    bench_settle(bench);
    bench_answer(bench);
    exits(1, 0);
    assert_story(bench, "added 1 wanderer; escaped 1 moved /root/b-two/s-main; "
                        "two:added 1 wanderer; two:exited 1 0");
}

Test(lives, a_move_that_is_told_behind_the_end_brings_nobody_back)
{
    born(1, OUTSIDE);
    execs(1, "wanderer");
    exits(1, 0);
    moves(1, TWO, TWO_MAIN, "/root/b-two/s-main");
    starts[2] = now();
    shows_zombie(2, OUTSIDE, 1);
    exits(2, 0); /* of nobody that is known: it came, and its end is told first */
    moves(2, ONE, ONE_MAIN, "/root/b-one/s-main");
    bench_settle(bench);
    bench_answer(bench);
    assert_story(bench, "added 1 wanderer; exited 1 0");
}

Test(lives, a_move_to_another_block_keeps_the_command)
{
    born(1, OUTSIDE);
    execs(1, "wanderer");
    moves(1, TWO, TWO_MAIN, "/root/b-two/s-main");
    exits(1, 0);
    assert_story(bench, "added 1 wanderer; escaped 1 moved /root/b-two/s-main; "
                        "two:added 1 wanderer; two:exited 1 0");
}

Test(lives, a_move_between_sub_scopes_is_a_change)
{
    born(1, OUTSIDE);
    execs(1, "worker");
    moves(1, ONE, ONE_BG, "/root/b-one/s-bg");
    assert_story(bench, "added 1 worker; changed 1 worker [elsewhere]");
    cr_assert_str_eq(bench_last(bench, "changed")->scope, "bg");
    moves(1, ONE, ONE_BG, "/root/b-one/s-bg");
    assert_story(bench, "");
    moves(1, ONE, ONE_MAIN, "/root/b-one/s-main");
    assert_story(bench, "changed 1 worker");
}

Test(lives, a_move_between_sub_scopes_before_it_was_told_is_in_its_record)
{
    born(1, OUTSIDE);
    moves(1, ONE, ONE_BG, "/root/b-one/s-bg");
    execs(1, "worker");
    assert_story(bench, "added 1 worker [elsewhere]");
}

Test(lives, a_cgroup_that_a_member_made_belongs_to_its_sub_scope)
{
    born(1, OUTSIDE);
    execs(1, "nester");
    struct feed_event event = event_of(FEED_MOVE, 1, ONE, ONE_BG);
    event.place[2] = 77;
    bench_event(bench, &event);
    cr_assert_str_eq(bench_last(bench, "changed")->scope, "bg");
}

Test(lives, who_joins_from_outside_is_told_as_what_it_runs)
{
    starts[1] = now();
    moves(1, ONE, ONE_MAIN, "/root/b-one/s-main");
    assert_story(bench, "");
    execs(1, "tool --call");
    assert_story(bench, "added 1 tool --call");
}

Test(lives, who_joins_from_outside_and_runs_on_is_read)
{
    starts[1] = now();
    shows(1, OUTSIDE, "old one");
    moves(1, ONE, ONE_MAIN, "/root/b-one/s-main");
    bench_settle(bench);
    bench_answer(bench);
    assert_story(bench, "added 1 old one");
}

/* ---- started ---- */

Test(lives, what_a_shell_starts_is_started_and_what_that_starts_too)
{
    born(1, OUTSIDE);
    execs(1, "node agent.js");
    born(2, 1);
    execs(2, "helper-server");
    born(3, 1);
    execs(3, "/bin/bash -c x");
    born(4, 3);
    execs(4, "sleep 1");
    born(5, 4);
    execs(5, "deep");
    assert_story(bench, "added 1 node agent.js; added 2 helper-server; "
                        "added 3 /bin/bash -c x [started]; added 4 sleep 1 [started]; "
                        "added 5 deep [started]");
}

Test(lives, a_process_that_becomes_a_shell_is_started_and_stays_so)
{
    born(1, OUTSIDE);
    execs(1, "node agent.js");
    execs(1, "-zsh");
    execs(1, "vi");
    assert_story(bench, "added 1 node agent.js; exec 1 -zsh [started]; exec 1 vi [started]");
}

Test(lives, the_parent_at_birth_is_kept_when_it_is_gone)
{
    born(1, OUTSIDE);
    execs(1, "parent");
    born(2, 1);
    execs(2, "child");
    exits(1, 0);
    execs(2, "child again");
    cr_assert_eq(bench_last(bench, "exec")->parent_pid, pid_of(1));
}
