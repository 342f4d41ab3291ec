/* SPDX-License-Identifier: Apache-2.0 */

/* Ends of those who were signalled outside of their block: each is counted once, whatever it became
 * meanwhile. */

#include <criterion/criterion.h>

#include "plugin/outside_hits.h"
#include "test_plugin_people.h"

TestSuite(hits, .init = begin_bpf, .fini = end_bench);

enum { STRAY = 1, START = 1000 };

static struct outside_hits hits;

/* A look finds the stray, as of that start; 0: it finds nobody. True: there was news. */
static bool look(uint64_t start_ticks, bool kills)
{
    const struct outside_found found = {
        .facts = {.pid = pid_of(STRAY), .stat = {.start_ticks = start_ticks}}, .signalled = 1};
    return outside_hits_look(&hits, &bench->module, &found, start_ticks != 0, kills);
}

static bool member_ends(uint64_t start_ticks)
{
    return outside_hits_take_end(&hits, &bench->module, pid_of(STRAY), start_ticks);
}

static void check(uint64_t exited_expected, uint64_t killed_expected)
{
    uint64_t exited = 0, killed = 0;
    outside_hits_count(&hits, false, &exited, &killed);
    cr_assert_eq(exited, exited_expected, "%llu exited", (unsigned long long)exited);
    cr_assert_eq(killed, killed_expected, "%llu were killed", (unsigned long long)killed);
}

Test(hits, who_is_not_found_any_more_is_gone)
{
    cr_assert(look(START, false));
    cr_assert_not(look(START, false), "it has got the signal already");
    cr_assert_not(look(0, false));
    check(1, 0);
    cr_assert_not(look(0, true));
    check(1, 0);
    outside_hits_clear(&hits);
}

Test(hits, who_goes_when_they_are_killed_was_killed)
{
    look(START, false);
    look(0, true);
    check(0, 1);
    outside_hits_clear(&hits);
}

Test(hits, a_member_that_the_look_under_way_has_found_is_counted_as_a_member)
{
    cr_assert_not(member_ends(START));
    cr_assert_not(look(START, false));
    look(0, false);
    check(0, 0);
    outside_hits_clear(&hits);
}

Test(hits, one_that_was_found_and_ends_as_a_member_is_counted_here)
{
    look(START, false);
    cr_assert(member_ends(START));
    look(0, false);
    check(1, 0);
    cr_assert(member_ends(START), "a scan that was made before joins it once more");
    check(1, 0);
    outside_hits_clear(&hits);
}

Test(hits, one_that_lives_on_as_a_member_is_not_gone)
{
    born(STRAY, OUTSIDE);
    uint64_t start = bench_process(bench, pid_of(STRAY))->start_ticks;
    look(start, false);
    look(0, false);
    check(0, 0);
    cr_assert_not(member_ends(start), "its end is told as a member's");
    outside_hits_clear(&hits);
}

Test(hits, another_life_of_the_pid_is_another_one)
{
    cr_assert_not(member_ends(START));
    cr_assert(look(START + 1, false));
    look(0, false);
    check(1, 0);
    cr_assert(member_ends(START + 1));
    outside_hits_clear(&hits);
}

Test(hits, who_ended_behind_the_last_look_is_counted_too)
{
    struct proc_stat stat;
    starts[STRAY] = now();
    shows(STRAY, OUTSIDE, "a");
    cr_assert_eq(proc_stat_read(&stat, pid_of(STRAY)), 0);
    look(stat.start_ticks, false);
    check(0, 0);
    shows_zombie(STRAY, OUTSIDE, 2);
    check(0, 0); /* its first thread has left */
    shows_zombie(STRAY, OUTSIDE, 1);
    check(1, 0);
    shows_nothing(STRAY);
    check(1, 0);
    outside_hits_clear(&hits);
}
