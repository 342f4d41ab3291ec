/* SPDX-License-Identifier: Apache-2.0 */

/* What events hold, and what happens where the host has no room. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "plugin/publish.h"
#include "test_plugin_people.h"

TestSuite(publish, .init = begin_bpf, .fini = end_bench);

/* ---- how it ended ---- */

Test(publish, an_end_tells_status_time_and_use)
{
    born(1, OUTSIDE);
    execs(1, "a");
    bench->time_ns += 2 * NS_PER_SECOND;
    struct feed_event event = event_of(FEED_EXIT, 1, ONE, ONE_MAIN);
    event.has_status = true;
    event.status = 0x8b;
    event.cpu_ns = 1234 * NS_PER_MS;
    event.max_rss_bytes = 4096 * 100;
    bench_event(bench, &event);
    const struct told *exited = bench_last(bench, "exited");
    cr_assert_eq(exited->status, 0x8b);
    cr_assert_eq(exited->cpu_ms, 1234);
    cr_assert_eq(exited->max_rss_bytes, 409600);
    cr_assert_geq(exited->runtime_ms, 2000);
    cr_assert_leq(exited->runtime_ms, 2000 + 20);
}

Test(publish, a_start_is_told_to_the_clock_tick)
{
    born(1, OUTSIDE);
    execs(1, "a");
    uint64_t ticks = proc_clock_ticks(&bench->module.clock, starts[1]);
    cr_assert_eq(bench_last(bench, "added")->started_at_ms,
                 proc_clock_ms(&bench->module.clock, ticks));
}

/* ---- the host has no room ---- */

static bool is_resync_told(struct bench *the_bench)
{
    for (size_t i = 0; i < the_bench->n_told; i++)
        if (!the_bench->told[i].refused && strcmp(the_bench->told[i].reason, "unpublished") == 0)
            return true;
    return false;
}

Test(publish, what_the_host_cannot_take_is_counted_and_a_resync_follows)
{
    born(1, OUTSIDE);
    execs(1, "a");
    bench->host_answer = -EAGAIN;
    born(2, 1);
    execs(2, "b");
    execs(2, "c");
    cr_assert_not(bench_run(bench, is_resync_told, 100), "there is no room yet");
    cr_assert_eq(bench->module.counters.unpublished, 2);
    bench->host_answer = 0;
    cr_assert(bench_run(bench, is_resync_told, 10000));
    uint64_t seq = one->seq;
    cr_assert_eq(bench_last(bench, "block-resync")->seq, seq);
    execs(2, "d");
    cr_assert_eq(bench_last(bench, "exec")->seq, seq + 1);
}

Test(publish, an_event_behind_those_that_were_not_taken_shows_the_gap)
{
    born(1, OUTSIDE);
    execs(1, "a");
    uint64_t seq = bench_last(bench, "added")->seq;
    bench->host_answer = -EAGAIN;
    execs(1, "b");
    bench->host_answer = 0;
    execs(1, "c");
    cr_assert_eq(bench_last(bench, "exec")->seq, seq + 2);
    cr_assert(bench_run(bench, is_resync_told, 10000));
    cr_assert_eq(bench_last(bench, "block-resync")->seq, seq + 3);
}

Test(publish, one_resync_is_told_for_each_block_that_lost_something)
{
    bench->host_answer = -EAGAIN;
    born(1, OUTSIDE);
    execs(1, "a");
    execs(1, "b");
    born_in(2, OUTSIDE, TWO, TWO_MAIN);
    exits(2, 0);
    bench->host_answer = 0;
    cr_assert(bench_run(bench, is_resync_told, 10000));
    size_t n = 0;
    for (size_t i = 0; i < bench->n_told; i++)
        n += !bench->told[i].refused && strcmp(bench->told[i].name, "block-resync") == 0;
    cr_assert_eq(n, 2);
}

Test(publish, without_a_publish_of_the_host_all_else_works)
{
    bench->module.host.publish = NULL;
    born(1, OUTSIDE);
    execs(1, "a");
    cr_assert_eq(bench->n_told, 2, "only the two blocks");
    cr_assert_eq(bench_process(bench, pid_of(1))->state, LIFE_LIVE);
    exits(1, 0);
    cr_assert_null(bench_process(bench, pid_of(1)));
    cr_assert_eq(one->seq, 3, "every event takes a number, delivered or not");
}
