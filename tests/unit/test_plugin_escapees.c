/* SPDX-License-Identifier: Apache-2.0 */

/* What a block says while somebody who left it lives: with real processes, whose ends are real. */

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin/blocks.h"
#include "plugin/escapees.h"
#include "test_plugin_bench.h"

enum { WAIT_MS = 10000, PLACE = 100 };

static pid_t sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    cr_assert_gt(pid, 0);
    return pid;
}

static void end_sleeper(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* A member leaves: it is remembered as `escaped` would have it, and then out of the registry. */
static void leave(struct bench *bench, struct block *block, pid_t pid)
{
    struct proc_stat stat;
    struct registry *registry = &bench->module.registry;
    cr_assert_eq(proc_stat_read(&stat, (uint32_t)pid), 0);
    struct process *process = registry_add_process(
        registry, registry_scope(block, text_of(SUBSCOPE_DEFAULT)), (uint32_t)pid);
    process->start_ticks = stat.start_ticks;
    escapees_add(&bench->module, process);
    registry_remove_process(registry, process);
}

static bool says(struct bench *bench, const struct block *block, const char *confidence)
{
    return text_is(blocks_confidence(&bench->module, block).confidence, confidence);
}

static bool nobody_is_remembered(struct bench *bench)
{
    return escapees_count(&bench->module) == 0;
}

Test(escapees, the_confidence_falls_while_one_lives_and_rises_when_it_is_gone)
{
    struct bench *bench = bench_new("bpf");
    struct block *block = bench_block(bench, "one", PLACE), *other = bench_block(bench, "two", 200);
    pid_t first = sleeper(), second = sleeper();
    leave(bench, block, first);
    leave(bench, block, second);
    cr_expect(says(bench, block, "best_effort"));
    cr_expect(says(bench, other, "high"));
    cr_expect_eq(bench_count(bench, "block-changed"), 2);
    end_sleeper(first);
    end_sleeper(second);
    cr_assert(bench_run(bench, nobody_is_remembered, WAIT_MS));
    cr_expect(says(bench, block, "high"));
    cr_expect_eq(bench_count(bench, "block-changed"), 4);
    bench_free(&bench);
}

Test(escapees, one_that_is_in_a_block_again_is_forgotten)
{
    struct bench *bench = bench_new("bpf");
    struct block *block = bench_block(bench, "one", PLACE);
    pid_t pid = sleeper();
    leave(bench, block, pid);
    escapees_take_back(&bench->module, (uint32_t)pid);
    cr_expect(says(bench, block, "high"));
    escapees_take_back(&bench->module, (uint32_t)pid);
    cr_expect_eq(bench_count(bench, "block-changed"), 2);
    end_sleeper(pid);
    bench_free(&bench);
}

Test(escapees, one_that_ended_meanwhile_is_not_remembered)
{
    struct bench *bench = bench_new("bpf");
    struct block *block = bench_block(bench, "one", PLACE);
    pid_t pid = sleeper();
    siginfo_t info;
    kill(pid, SIGKILL);
    cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    leave(bench, block, pid); /* a zombie is dead */
    cr_expect(says(bench, block, "high"));
    cr_expect_eq(bench_count(bench, "block-changed"), 0);
    waitpid(pid, NULL, 0);
    bench_free(&bench);
}

Test(escapees, those_without_a_descriptor_are_looked_at)
{
    struct bench *bench = bench_new("bpf");
    struct block *block = bench_block(bench, "one", PLACE);
    pid_t pid = sleeper();
    struct proc_stat stat = {0};
    struct process process = {.pid = (uint32_t)pid,
                              .block = block,
                              .scope = registry_scope(block, text_of(SUBSCOPE_DEFAULT))};
    cr_assert_eq(proc_stat_read(&stat, process.pid), 0);
    process.start_ticks = stat.start_ticks;
    bench->module.escapees_watched = 256; /* as many as may be watched */
    escapees_add(&bench->module, &process);
    cr_expect(says(bench, block, "best_effort"));
    end_sleeper(pid);
    escapees_on_timer(bench->module.escape_timer, 0, &bench->module);
    cr_expect(says(bench, block, "high"));
    bench_free(&bench);
}
