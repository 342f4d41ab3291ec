/* SPDX-License-Identifier: Apache-2.0 */

/* What `top` shows, told by hand. */

#include <criterion/criterion.h>

#include "cli/top/model.h"

enum { WALL_MS = 1000000 };

static struct model model;
static struct model_block *demo;

static void at(int64_t now_ms)
{
    model_tick(&model, now_ms, WALL_MS + (uint64_t)now_ms);
}

static struct proctrack_process record(uint32_t pid, const char *command)
{
    return (struct proctrack_process){.pid = pid,
                                      .started_at_ms = model.wall_ms,
                                      .rss_bytes = 1000,
                                      .command = command,
                                      .scope = "main"};
}

static struct model_process *born(uint32_t pid)
{
    const struct proctrack_process process = record(pid, "make");
    struct model_process *added = model_add(&model, demo, &process, true);
    cr_assert(added);
    return added;
}

static void died(struct model_process *process, uint64_t cpu_ms)
{
    model_gone(&model, process,
               &(struct proctrack_gone){.how = PROCTRACK_GONE_EXITED, .cpu_ms = cpu_ms});
}

/* A sample of one process of the block. */
static void sampled(struct model_process *process, struct proctrack_detail *detail, int64_t now_ms,
                    uint64_t cpu_ms)
{
    struct proctrack_process now = record(process->pid, process->command);
    *detail = (struct proctrack_detail){
        .sampled_at_ms = (uint64_t)now_ms, .has_cpu = true, .cpu_ms = cpu_ms};
    now.detail = detail;
    now.rss_bytes = 5000;
    model_change(&model, process, &now, PROCTRACK_CHANGED_DETAIL);
}

static void set_up(void)
{
    cr_assert(model_init(&model) == 0);
    at(10000);
    model_set_known(&model, true);
    demo = model_add_block(&model, &(struct proctrack_block){.block_id = "demo",
                                                             .confidence = "high",
                                                             .confidence_reason = "cgroups"});
    cr_assert(demo);
}

static void tear_down(void)
{
    model_destroy(&model);
}

TestSuite(model, .init = set_up, .fini = tear_down);

Test(model, it_sums_up_what_the_living_use)
{
    struct model_process *one = born(1);
    born(2);
    cr_assert(model.n_live == 2 && demo->n_live == 2);
    cr_assert(model.rss_bytes == 2000 && demo->rss_bytes == 2000);
    died(one, 0);
    cr_assert(model.n_live == 1 && demo->n_live == 1);
    cr_assert(model.rss_bytes == 1000 && demo->rss_bytes == 1000);
}

Test(model, the_dead_are_seen_for_a_moment)
{
    struct model_process *one = born(1);
    at(20000);
    cr_assert(!model_is_flashing(&model), "its birth is no news any more");
    died(one, 0);
    cr_assert(demo->n == 1 && one->is_gone);
    at(20000 + MODEL_FLASH_MS - 1);
    cr_assert(demo->n == 1 && model_is_flashing(&model));
    model.changed = false;
    at(20000 + MODEL_FLASH_MS);
    cr_assert(demo->n == 0 && model.changed && !model_is_flashing(&model));
}

Test(model, a_storm_leaves_only_the_newest_of_the_dead)
{
    for (uint32_t pid = 1; pid <= 1000; pid++)
        died(born(pid), 0);
    cr_assert(demo->n == MODEL_GHOSTS && demo->n_live == 0);
    for (size_t i = 0; i < demo->n; i++)
        cr_assert(demo->processes[i]->pid > 1000 - MODEL_GHOSTS);
    at(20000);
    cr_assert(demo->n == 0);
}

Test(model, who_is_found_in_a_list_is_no_news)
{
    const struct proctrack_process process = record(1, "init");
    struct model_process *found = model_add(&model, demo, &process, false);
    cr_assert(found->flash_until_ms == 0 && !model_is_flashing(&model));
    cr_assert(model_rate_of(&model.births, 11000) == 0);
}

Test(model, births_and_deaths_are_counted_by_the_second)
{
    struct model_process *one = born(1);
    born(2);
    died(one, 0);
    cr_assert(model_rate_of(&model.births, 10999) == 0, "the second is not over");
    cr_assert(model_rate_of(&model.births, 11000) == 2);
    cr_assert(model_rate_of(&demo->deaths, 11500) == 1);
    cr_assert(model_rate_of(&model.births, 12000) == 0);
}

Test(model, use_of_the_processor_is_between_two_samples)
{
    struct proctrack_detail detail;
    const struct proctrack_process old = {
        .pid = 1, .started_at_ms = 1, .command = "old", .scope = "main"};
    struct model_process *one = model_add(&model, demo, &old, false);
    sampled(one, &detail, 11000, 50000);
    cr_assert(one->cpu == 0, "what it used before we looked is not of now");
    sampled(one, &detail, 13000, 51000);
    cr_assert(one->cpu == MODEL_ONE_CPU / 2);
    cr_assert(model_cpu_of(demo) == MODEL_ONE_CPU / 2 && model.cpu == MODEL_ONE_CPU / 2);
    cr_assert(model.rss_bytes == 5000);
    died(one, 51000);
    cr_assert(model.rss_bytes == 0);
    cr_assert(model.cpu == MODEL_ONE_CPU / 2, "it was used of late, until we look again");
    at(13000 + MODEL_FLASH_MS);
    cr_assert(model.cpu == 0);
}

Test(model, who_was_born_between_two_samples_brings_all_it_used)
{
    struct proctrack_detail first, second;
    struct model_process *one = born(1);
    sampled(one, &first, 11000, 0);
    at(12000);
    struct model_process *two = born(2);
    at(13000);
    sampled(one, &first, 13000, 0);
    sampled(two, &second, 13000, 1000);
    cr_assert(two->cpu == MODEL_ONE_CPU / 2, "of two seconds one");
}

Test(model, the_dead_count_for_their_block_until_the_next_sample)
{
    struct proctrack_detail detail;
    struct model_process *make = born(1);
    sampled(make, &detail, 11000, 0);
    for (uint32_t pid = 2; pid < 12; pid++)
        died(born(pid), 300);
    sampled(make, &detail, 13000, 0);
    cr_assert(model_cpu_of(demo) == 1500, "ten compilers of 0.3 s in two seconds");
    sampled(make, &detail, 15000, 0);
    cr_assert(model_cpu_of(demo) == 0 && model.cpu == 0);
}

Test(model, a_block_where_all_have_died_comes_to_rest)
{
    struct proctrack_detail detail;
    struct model_process *make = born(1);
    sampled(make, &detail, 11000, 0);
    struct model_process *cc = born(2);
    died(cc, 300);
    sampled(make, &detail, 13000, 0);
    died(make, 0);
    cr_assert(model_cpu_of(demo) == 150);
    at(16000);
    cr_assert(model_cpu_of(demo) == 0 && model.cpu == 0);
}

Test(model, a_frozen_block_is_marked_until_something_runs_after_that)
{
    struct proctrack_detail detail;
    struct model_process *one = born(1);
    sampled(one, &detail, 11000, 0);
    demo->frozen_ms = 12000;
    sampled(one, &detail, 13000, 500);
    cr_assert(demo->frozen_ms, "that was before");
    sampled(one, &detail, 15000, 500);
    cr_assert(demo->frozen_ms);
    sampled(one, &detail, 17000, 501);
    cr_assert(!demo->frozen_ms);
}

Test(model, another_program_is_another_command)
{
    struct model_process *one = born(1);
    one->shown = strdup("make");
    const struct proctrack_process now = record(1, "sleep 1000");
    model_change(&model, one, &now, PROCTRACK_CHANGED_EXEC | PROCTRACK_CHANGED_COMMAND);
    cr_assert_str_eq(one->command, "sleep 1000");
    cr_assert_null(one->shown, "it is to be made fit for the terminal anew");
}

Test(model, a_block_takes_its_sums_along)
{
    struct proctrack_detail detail;
    struct model_process *one = born(1);
    sampled(one, &detail, 11000, 0);
    sampled(one, &detail, 12000, 700);
    died(born(2), 0);
    model_remove_block(&model, demo);
    cr_assert(model.n_blocks == 0 && model.n_live == 0);
    cr_assert(model.rss_bytes == 0 && model.cpu == 0);
    cr_assert_null(model_find(&model, "demo"));
}

Test(model, histories_have_a_gap_while_nothing_is_known)
{
    char text[16];
    struct graph graph = {.width = 5, .height = 1, .steps = 1, .full = 1};
    born(1);
    at(11000);
    model_set_known(&model, false);
    at(13000);
    at(14000);
    model_set_known(&model, true);
    graph_line(text, &model.processes, &graph, 0);
    cr_assert_str_eq(text, "::  :");
}

Test(model, the_confidence_of_a_block_may_change)
{
    cr_assert(demo->is_sure);
    model_change_block(&model, demo,
                       &(struct proctrack_block){.block_id = "demo",
                                                 .confidence = "best_effort",
                                                 .confidence_reason = "one has left"});
    cr_assert(!demo->is_sure);
    cr_assert_str_eq(demo->why, "one has left");
}
