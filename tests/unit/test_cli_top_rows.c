/* SPDX-License-Identifier: Apache-2.0 */

/* Rows: trees, order, filter, folding, and where the selection goes. */

#include <criterion/criterion.h>
#include <stdio.h>

#include "cli/top/rows.h"

static struct model model;
static struct rows rows;

static struct model_block *block(const char *id)
{
    struct model_block *added = model_add_block(
        &model,
        &(struct proctrack_block){.block_id = id, .confidence = "high", .confidence_reason = ""});
    cr_assert(added);
    return added;
}

/* Born in the order of the pids, as it is most often. */
static struct model_process *process(struct model_block *in, uint32_t pid, uint32_t parent,
                                     const char *command)
{
    const struct proctrack_process record = {.pid = pid,
                                             .parent_pid = parent,
                                             .started_at_ms = pid,
                                             .rss_bytes = 1000 * pid,
                                             .command = command,
                                             .scope = pid == 7 ? "bg/7" : "main"};
    struct model_process *added = model_add(&model, in, &record, false);
    cr_assert(added);
    return added;
}

/* What is there, as "demo 1 .2 ..3": dots are the depth. */
static const char *shown(void)
{
    static char text[4096];
    size_t used = 0;
    cr_assert(rows_update(&rows, &model) == 0);
    *text = '\0';
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.rows[i];
        used += (size_t)snprintf(text + used, sizeof text - used, "%s", i ? " " : "");
        for (unsigned depth = 0; depth < row->depth; depth++)
            used += (size_t)snprintf(text + used, sizeof text - used, ".");
        used += (size_t)(row->process
                             ? snprintf(text + used, sizeof text - used, "%u", row->process->pid)
                             : snprintf(text + used, sizeof text - used, "%s", row->block->id));
    }
    return text;
}

static void filter(const char *text)
{
    strcpy(rows.filter, text);
    rows.changed = true;
}

static void sort(enum rows_sort by)
{
    rows.sort = by;
    rows.changed = true;
}

static void gone(struct model_process *process)
{
    model_gone(&model, process, &(struct proctrack_gone){.how = PROCTRACK_GONE_EXITED});
    model_tick(&model, model.now_ms + MODEL_FLASH_MS, 0);
}

static void set_up(void)
{
    cr_assert(model_init(&model) == 0);
    rows = (struct rows){0};
    model_tick(&model, 1000, 1000);
}

/* demo: 1 sh (2 make (4 cc), 3 sleep), 7 server; other: 9 */
static struct model_block *family(void)
{
    struct model_block *demo = block("demo");
    process(demo, 1, 0, "sh");
    process(demo, 2, 1, "make");
    process(demo, 3, 1, "sleep");
    process(demo, 4, 2, "cc -c x.c");
    process(demo, 7, 99, "Server");
    process(block("other"), 9, 0, "vi");
    return demo;
}

static void tear_down(void)
{
    rows_destroy(&rows);
    model_destroy(&model);
}

TestSuite(rows, .init = set_up, .fini = tear_down);

Test(rows, each_is_right_below_its_parent)
{
    family();
    cr_assert_str_eq(shown(), "demo 1 .2 ..4 .3 7 other 9");
    cr_assert(rows.rows[2].more == 2 && rows.rows[3].more == 2, "a line leads on to 3");
    cr_assert(rows.rows[4].more == 0);
}

Test(rows, nothing_is_nothing)
{
    cr_assert_str_eq(shown(), "");
    cr_assert_null(rows_selected(&rows));
    rows_move(&rows, 1);
    rows_fold(&rows);
    rows_scroll(&rows, 10);
}

Test(rows, a_block_without_processes_is_there)
{
    block("empty");
    cr_assert_str_eq(shown(), "empty");
}

Test(rows, a_pid_that_was_anothers_before_is_no_parent)
{
    struct model_block *demo = block("demo");
    process(demo, 50, 0, "young");
    process(demo, 10, 50, "older than its parent's namesake");
    cr_assert_str_eq(shown(), "demo 10 50");
}

Test(rows, what_is_no_tree_is_cut_and_not_lost)
{
    struct model_block *demo = block("demo");
    for (uint32_t pid = 1; pid <= 3; pid++) {
        const struct proctrack_process record = {.pid = pid,
                                                 .parent_pid = pid % 3 + 1,
                                                 .started_at_ms = 5,
                                                 .command = "ring",
                                                 .scope = "main"};
        cr_assert(model_add(&model, demo, &record, false));
    }
    shown();
    cr_assert(rows.n == 4);
}

Test(rows, a_chain_of_thousands_is_shown)
{
    struct model_block *demo = block("demo");
    for (uint32_t pid = 1; pid <= 5000; pid++)
        process(demo, pid, pid - 1, "sh");
    cr_assert(rows_update(&rows, &model) == 0);
    cr_assert(rows.n == 5001 && rows.rows[5000].depth == 4999);
}

Test(rows, the_order_is_of_blocks_and_of_siblings)
{
    family();
    sort(ROWS_BY_MEMORY);
    cr_assert_str_eq(shown(), "demo 7 1 .3 .2 ..4 other 9");
    rows.reverse = rows.changed = true;
    cr_assert_str_eq(shown(), "other 9 demo 1 .2 ..4 .3 7");
    rows.reverse = false;
    sort(ROWS_BY_COMMAND);
    cr_assert_str_eq(shown(), "demo 7 1 .2 ..4 .3 other 9", "without regard to case");
    sort(ROWS_BY_PROCESSES);
    process(model_find(&model, "other"), 11, 0, "a");
    for (uint32_t pid = 20; pid < 25; pid++)
        process(model_find(&model, "other"), pid, 0, "b");
    cr_assert_eq(strncmp(shown(), "other 9 11 ", 11), 0, "%s", shown());
}

Test(rows, by_use_of_the_processor_the_busiest_is_first)
{
    struct model_block *demo = family();
    for (size_t i = 0; i < demo->n; i++)
        demo->processes[i]->cpu = demo->processes[i]->pid == 3 ? 500 : 0;
    sort(ROWS_BY_CPU);
    cr_assert_str_eq(shown(), "demo 1 .3 .2 ..4 7 other 9");
}

Test(rows, in_one_list_all_are_sorted_together)
{
    family();
    rows.flat = rows.changed = true;
    sort(ROWS_BY_MEMORY);
    cr_assert_str_eq(shown(), "9 7 4 3 2 1");
    filter("S");
    cr_assert_str_eq(shown(), "7 3 1");
    rows.flat = false;
    rows.changed = true;
    filter("");
    cr_assert_str_eq(shown(), "demo 7 1 .3 .2 ..4 other 9");
}

Test(rows, the_filter_keeps_those_above)
{
    family();
    filter("X.C");
    cr_assert_str_eq(shown(), "demo 1 .2 ..4");
    cr_assert(!rows.rows[1].matches && rows.rows[3].matches);
    cr_assert(rows.rows[2].more == 0, "3 is not shown, so no line leads on");
}

Test(rows, the_filter_finds_blocks_pids_and_scopes)
{
    family();
    filter("OTH");
    cr_assert_str_eq(shown(), "other 9");
    filter("bg/");
    cr_assert_str_eq(shown(), "demo 7");
    filter("9");
    cr_assert_str_eq(shown(), "other 9");
    filter("nobody");
    cr_assert_str_eq(shown(), "");
    filter("");
    cr_assert_str_eq(shown(), "demo 1 .2 ..4 .3 7 other 9");
}

Test(rows, what_comes_is_filtered_too)
{
    struct model_block *demo = family();
    filter("sleep");
    cr_assert_str_eq(shown(), "demo 1 .3");
    process(demo, 12, 2, "sleep 5");
    process(demo, 13, 2, "cc");
    cr_assert_str_eq(shown(), "demo 1 .2 ..12 .3");
}

Test(rows, folding_hides_and_counts)
{
    family();
    shown();
    rows_move(&rows, 1);
    rows_fold(&rows);
    cr_assert_str_eq(shown(), "demo 1 7 other 9");
    cr_assert(rows.rows[1].below == 3 && rows.selected == 1);
    rows_unfold(&rows);
    cr_assert_str_eq(shown(), "demo 1 .2 ..4 .3 7 other 9");
    rows_move(&rows, -1);
    rows_fold(&rows);
    cr_assert_str_eq(shown(), "demo other 9");
    cr_assert(rows.rows[0].below == 5);
    filter("cc");
    cr_assert_str_eq(shown(), "demo 1 .2 ..4", "what is looked for is not hidden");
}

Test(rows, where_there_is_nothing_to_fold_it_goes_up)
{
    family();
    shown();
    rows_move(&rows, 3);
    rows_fold(&rows);
    cr_assert_str_eq(shown(), "demo 1 .2 ..4 .3 7 other 9");
    cr_assert(rows_selected(&rows)->process->pid == 2);
    rows_move(&rows, 3);
    rows_fold(&rows);
    shown();
    cr_assert_null(rows_selected(&rows)->process, "from 7 to its block");
}

Test(rows, all_blocks_fold_at_once)
{
    family();
    shown();
    rows_fold_all(&rows, &model, true);
    cr_assert_str_eq(shown(), "demo other");
    rows_fold_all(&rows, &model, false);
    cr_assert_str_eq(shown(), "demo 1 .2 ..4 .3 7 other 9");
}

Test(rows, the_selection_stays_with_its_process)
{
    struct model_block *demo = family();
    shown();
    rows_move(&rows, 4);
    cr_assert(rows_selected(&rows)->process->pid == 3);
    process(demo, 5, 2, "ld");
    process(block("a-first-one"), 30, 0, "sh");
    shown();
    cr_assert(rows_selected(&rows)->process->pid == 3);
    sort(ROWS_BY_MEMORY);
    shown();
    cr_assert(rows_selected(&rows)->process->pid == 3);
}

Test(rows, when_it_is_gone_the_row_in_its_place_is_selected)
{
    struct model_block *demo = family();
    shown();
    rows_move(&rows, 4);
    gone(demo->processes[2]);
    cr_assert_str_eq(shown(), "demo 1 .2 ..4 7 other 9");
    cr_assert(rows_selected(&rows)->process->pid == 7);
    rows_move(&rows, 100);
    cr_assert(rows_selected(&rows)->process->pid == 9);
    model_remove_block(&model, model_find(&model, "other"));
    shown();
    cr_assert(rows_selected(&rows)->process->pid == 7);
}

Test(rows, the_children_of_one_who_is_gone_move_to_the_left)
{
    struct model_block *demo = family();
    gone(demo->processes[1]);
    cr_assert_str_eq(shown(), "demo 1 .3 4 7 other 9");
}

Test(rows, the_selection_is_always_in_sight)
{
    struct model_block *demo = block("demo");
    for (uint32_t pid = 1; pid <= 100; pid++)
        process(demo, pid, 0, "sh");
    shown();
    rows_move(&rows, 50);
    rows_scroll(&rows, 10);
    cr_assert(rows.first == 41);
    rows_move(&rows, -20);
    rows_scroll(&rows, 10);
    cr_assert(rows.first == 30);
    rows_move(&rows, 1000);
    rows_scroll(&rows, 10);
    cr_assert(rows.first == 91 && rows.selected == 100);
    rows_scroll(&rows, 200);
    cr_assert(rows.first == 0, "there is room for all");
}
