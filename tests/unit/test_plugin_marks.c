/* SPDX-License-Identifier: Apache-2.0 */

/* When a block's newest number is told once more. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "plugin/marks.h"
#include "plugin/publish.h"
#include "test_plugin_people.h"

TestSuite(marks, .init = begin_bpf, .fini = end_bench);

/* ---- of blocks ---- */

static bool is_marked(struct bench *the_bench)
{
    return bench_count(the_bench, "block-mark") == 2;
}

static void call_mark_timer(uint64_t ahead_ns)
{
    marks_on_timer(bench->module.mark_timer, (monotonic_ns() + ahead_ns) / 1000, &bench->module);
}

Test(marks, a_second_behind_its_last_event_a_block_is_marked)
{
    uint64_t began = monotonic_ns();
    born(1, OUTSIDE);
    execs(1, "a");
    cr_assert(bench_run(bench, is_marked, 20000));
    cr_assert_geq(monotonic_ns() - began, NS_PER_SECOND);
    assert_story(bench, "added 1 a; two:block-mark; block-mark");
    cr_assert_eq(bench_last(bench, "block-mark")->seq, one->seq);
}

Test(marks, ten_seconds_behind_its_last_event_a_block_is_marked_again_and_no_more)
{
    born(1, OUTSIDE);
    execs(1, "a");
    call_mark_timer(2 * NS_PER_SECOND);
    assert_story(bench, "added 1 a; two:block-mark; block-mark");
    call_mark_timer(9 * NS_PER_SECOND);
    assert_story(bench, "");
    call_mark_timer(11 * NS_PER_SECOND);
    assert_story(bench, "two:block-mark; block-mark");
    call_mark_timer(1000 * NS_PER_SECOND);
    assert_story(bench, "");
    cr_assert_null(TAILQ_FIRST(&bench->module.marks.first));
    cr_assert_null(TAILQ_FIRST(&bench->module.marks.late));
}

Test(marks, a_new_event_puts_the_marks_off)
{
    born(1, OUTSIDE);
    execs(1, "a");
    call_mark_timer(2 * NS_PER_SECOND);
    bench_story(bench);
    execs(1, "b");
    call_mark_timer(0);
    assert_story(bench, "exec 1 b");
    call_mark_timer(2 * NS_PER_SECOND);
    assert_story(bench, "block-mark");
    call_mark_timer(11 * NS_PER_SECOND);
    assert_story(bench, "two:block-mark; block-mark");
}

Test(marks, a_mark_that_the_host_cannot_take_is_no_loss)
{
    bench->host_answer = -EAGAIN;
    call_mark_timer(2 * NS_PER_SECOND);
    bench->host_answer = 0;
    cr_assert_eq(bench->module.counters.unpublished, 0);
    call_mark_timer(11 * NS_PER_SECOND);
    cr_assert_eq(bench_count(bench, "block-mark"), 4);
}

/* ---- of blocks that are gone ---- */

/* A block that is made and removed at once. */
static void comes_and_goes(const char *id)
{
    struct block *block = bench_block(bench, id, 41);
    cr_assert(publish_block_removed(&bench->module, block, "removed"));
    publish_forget_block(&bench->module, block);
    registry_remove_block(&bench->module.registry, block);
}

static bool is_gone(struct bench *the_bench)
{
    return !registry_block(&the_bench->module.registry, text_of("three"));
}

/* All marks of the two that stay were told. */
static void settle(void)
{
    call_mark_timer(2 * NS_PER_SECOND);
    call_mark_timer(11 * NS_PER_SECOND);
    bench_story(bench);
}

Test(marks, a_block_that_is_gone_is_marked_twice_as_any)
{
    settle();
    comes_and_goes("three");
    assert_story(bench, "three:block-added; three:block-removed removed");
    call_mark_timer(0);
    assert_story(bench, "");
    call_mark_timer(2 * NS_PER_SECOND);
    assert_story(bench, "three:block-mark");
    const struct told *mark = bench_last(bench, "block-mark");
    cr_assert_eq(mark->seq, 2, "the number of its block-removed");
    cr_assert_str_eq(mark->epoch, bench_last(bench, "block-removed")->epoch);
    call_mark_timer(11 * NS_PER_SECOND);
    assert_story(bench, "three:block-mark");
    call_mark_timer(1000 * NS_PER_SECOND);
    assert_story(bench, "");
    cr_assert_null(bench->module.marks.gone);
}

Test(marks, a_block_of_the_same_id_has_its_own)
{
    settle();
    comes_and_goes("three");
    call_mark_timer(2 * NS_PER_SECOND);
    bench_block(bench, "three", 41);
    bench_story(bench);
    call_mark_timer(11 * NS_PER_SECOND);
    assert_story(bench, "three:block-mark; three:block-mark");
    cr_assert_eq(bench_last(bench, "block-mark")->seq, 1);
    cr_assert_null(bench->module.marks.gone);
}

Test(marks, a_removal_that_the_host_cannot_take_has_its_number_and_its_marks_when_it_can)
{
    settle();
    struct block *block = bench_block(bench, "three", 41);
    bench->host_answer = -EAGAIN;
    cr_assert_not(publish_block_removed(&bench->module, block, "removed"));
    cr_assert_eq(block->seq, 1, "a list that had its number would hide it");
    call_mark_timer(2 * NS_PER_SECOND);
    bench->host_answer = 0;
    cr_assert(bench_run(bench, is_gone, 10000));
    cr_assert_eq(bench_last(bench, "block-removed")->seq, 2);
    bench_story(bench);
    call_mark_timer(2 * NS_PER_SECOND);
    assert_story(bench, "three:block-mark");
    cr_assert_eq(bench_last(bench, "block-mark")->seq, 2);
}

Test(marks, where_too_many_are_gone_the_newest_are_marked)
{
    bench->module.marks.gone_max = 2;
    settle();
    comes_and_goes("three");
    comes_and_goes("four");
    comes_and_goes("five");
    bench_story(bench);
    call_mark_timer(2 * NS_PER_SECOND);
    assert_story(bench, "four:block-mark; five:block-mark");
}

Test(marks, what_is_left_when_the_module_ends_is_freed)
{
    comes_and_goes("three");
    call_mark_timer(2 * NS_PER_SECOND);
    comes_and_goes("four");
}
