/* SPDX-License-Identifier: Apache-2.0 */

/* The rule of the mirror for one block, without sockets: events and lists in, calls out. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client/mirror_block.h"

static struct mirror_teller teller;
static struct mirror_block *block;
static int n_added, n_gone;
static enum proctrack_gone_how how_gone;
static char removed_for[32];

static void on_added(struct proctrack_mirror *mirror, const struct proctrack_block *shown,
                     const struct proctrack_process *process, void *arg)
{
    (void)mirror, (void)arg;
    cr_assert_eq(proctrack_block_find(shown, process->pid), process);
    n_added++;
}

static void on_gone(struct proctrack_mirror *mirror, const struct proctrack_block *shown,
                    const struct proctrack_process *process, const struct proctrack_gone *how,
                    void *arg)
{
    (void)mirror, (void)arg;
    cr_assert_null(proctrack_block_find(shown, process->pid));
    how_gone = how->how;
    n_gone++;
}

static void on_removed(struct proctrack_mirror *mirror, const struct proctrack_block *shown,
                       const char *reason, void *arg)
{
    (void)mirror, (void)shown, (void)arg;
    snprintf(removed_for, sizeof removed_for, "%s", reason);
}

static void setup(void)
{
    teller = (struct mirror_teller){
        .kept_max = 1 << 20,
        .calls = {.added = on_added, .gone = on_gone, .block_removed = on_removed},
    };
    block = mirror_block_new(&teller, text_of("b"), 0);
    cr_assert_not_null(block);
}

static void teardown(void)
{
    mirror_block_free(block);
    cr_assert_eq(teller.kept_bytes, 0);
    cr_assert_eq(teller.n_unsettled, 0);
}

TestSuite(mirror, .init = setup, .fini = teardown);

/* ---- what goes in ---- */

static struct process_record process(uint32_t pid, uint32_t parent_pid)
{
    return (struct process_record){.pid = pid,
                                   .parent_pid = parent_pid,
                                   .started_at_ms = 1000 + pid,
                                   .command = text_of("sleep 9"),
                                   .scope = text_of("main")};
}

/* Packs the event `name` whose data `put` packs, and gives it to the block. */
static void give(const char *name, const struct wire_out *data)
{
    const struct text topic = text_of("block:b");
    const struct event event = {.event = text_of(name),
                                .scopes = &topic,
                                .n_scopes = 1,
                                .data = {data->bytes.data, data->bytes.size}};
    struct wire_out out;
    struct event_doc doc;
    struct mirror_event given;
    wire_out_init(&out);
    event_pack(&out, &event);
    const struct text bytes = {out.bytes.data, out.bytes.size};
    cr_assert_eq(mirror_event_open(&given, &doc, topic, bytes), 1);
    cr_assert_eq(mirror_block_event(block, &given, 0), 0);
    event_close(&doc);
    wire_out_destroy(&out);
}

static void give_added(const char *epoch, uint64_t seq, uint32_t pid)
{
    const struct process_event event = {.at = {text_of("b"), text_of(epoch), seq},
                                        .process = process(pid, 0)};
    struct wire_out data;
    wire_out_init(&data);
    process_event_pack(&data, &event);
    give(EVENT_PROCESS_ADDED, &data);
    wire_out_destroy(&data);
}

static void give_mark(const char *epoch, uint64_t seq)
{
    const struct block_point at = {text_of("b"), text_of(epoch), seq};
    struct wire_out data;
    wire_out_init(&data);
    block_mark_pack(&data, &at);
    give(EVENT_BLOCK_MARK, &data);
    wire_out_destroy(&data);
}

/* Answers the list that is under way: so many processes, from pid 1 on. */
static void answer(const char *epoch, uint64_t seq, uint32_t n)
{
    struct process_record records[16];
    for (uint32_t i = 0; i < n; i++)
        records[i] = process(i + 1, i);
    const struct list_reply list = {
        .head = {.version = {text_of(epoch), seq},
                 .tracked = *epoch != '\0',
                 .confidence = {text_of("high"), text_of("a reason")},
                 .n_processes = n},
        .processes = records,
    };
    cr_assert_eq(mirror_block_list(block, &list, 0), 0);
}

static void list(const char *epoch, uint64_t seq, uint32_t n)
{
    mirror_block_asked(block, 0);
    answer(epoch, seq, n);
}

/* ---- the rule ---- */

Test(mirror, an_event_that_follows_is_applied)
{
    list("e", 5, 1);
    give_added("e", 6, 2);
    cr_assert_eq(block->phase, MIRROR_WHOLE);
    cr_assert_eq(block->shown.n_processes, 2);
    cr_assert_eq(n_added, 2);
}

Test(mirror, an_event_that_the_list_counts_or_that_came_before_is_dropped)
{
    list("e", 5, 1);
    give_added("e", 5, 2);
    give_added("e", 6, 3);
    give_added("e", 6, 3);
    cr_assert_eq(block->phase, MIRROR_WHOLE);
    cr_assert_eq(block->shown.n_processes, 2);
    cr_assert_null(proctrack_block_find(&block->shown, 2));
}

Test(mirror, a_gap_is_repaired_by_a_list_that_tells_the_difference)
{
    list("e", 5, 3);
    give_added("e", 7, 9);
    cr_assert_eq(block->phase, MIRROR_WANTS_LIST);
    cr_assert_not(block->shown.current);
    cr_assert_eq(block->shown.n_processes, 3, "what is not certain is not applied");
    list("e", 7, 2);
    cr_assert(block->shown.current);
    cr_assert_eq(n_gone, 1);
    cr_assert_eq(how_gone, PROCTRACK_GONE_MISSED);
    cr_assert_eq(n_added, 3);
    cr_assert_eq(teller.counts.gaps, 1);
}

Test(mirror, a_mark_ahead_is_a_gap_and_one_that_agrees_is_none)
{
    list("e", 5, 1);
    give_mark("e", 5);
    cr_assert_eq(block->phase, MIRROR_WHOLE);
    give_mark("e", 6);
    cr_assert_eq(block->phase, MIRROR_WANTS_LIST);
}

Test(mirror, events_during_a_list_are_applied_after_it)
{
    mirror_block_asked(block, 0);
    give_added("e", 4, 2);
    give_added("e", 5, 3);
    give_added("e", 6, 9);
    cr_assert_eq(n_added, 0);
    answer("e", 5, 3);
    cr_assert_eq(block->phase, MIRROR_WHOLE);
    cr_assert_eq(block->shown.seq, 6);
    cr_assert_eq(block->shown.n_processes, 4);
}

Test(mirror, more_events_than_the_buffer_holds_cost_one_more_list)
{
    teller.kept_max = 300;
    mirror_block_asked(block, 0);
    for (uint64_t seq = 6; seq < 26; seq++)
        give_added("e", seq, (uint32_t)seq);
    answer("e", 5, 1);
    cr_assert_eq(block->phase, MIRROR_WANTS_LIST);
    cr_assert_eq(teller.counts.overflows, 1);
    list("e", 25, 3);
    cr_assert_eq(block->phase, MIRROR_WHOLE);
    cr_assert_eq(block->shown.n_processes, 3);
}

Test(mirror, an_epoch_that_did_not_fit_into_the_buffer_is_not_over)
{
    teller.kept_max = 0;
    mirror_block_asked(block, 0);
    give_added("new", 3, 7);
    answer("old", 5, 1);
    list("new", 3, 1);
    give_added("new", 4, 8);
    cr_assert_eq(block->shown.n_processes, 2);
}

Test(mirror, late_events_of_an_epoch_that_is_over_mean_nothing)
{
    list("old", 5, 1);
    give_added("new", 2, 2);
    cr_assert_eq(block->phase, MIRROR_WANTS_LIST);
    list("new", 2, 2);
    give_added("old", 6, 9);
    cr_assert_eq(block->phase, MIRROR_WHOLE);
    cr_assert_eq(block->shown.n_processes, 2);
    cr_assert_eq(n_added, 2, "who is in both epochs is neither gone nor added");
    cr_assert_eq(n_gone, 0);
}

Test(mirror, a_list_without_the_block_ends_it)
{
    list("e", 5, 2);
    strcpy(removed_for, "?");
    mirror_block_want_list(block, 0);
    list("", 0, 0);
    cr_assert_eq(n_gone, 2);
    cr_assert_str_eq(removed_for, "");
    cr_assert_not(block->present);
    give_added("e", 6, 9);
    cr_assert_eq(n_added, 2, "its epoch is over");
}

Test(mirror, a_list_that_is_not_answered_is_wanted_still)
{
    mirror_block_asked(block, 0);
    give_added("e", 2, 2);
    mirror_block_unanswered(block, 0);
    cr_assert_eq(block->phase, MIRROR_WANTS_LIST);
    list("e", 3, 2);
    cr_assert_eq(block->phase, MIRROR_WHOLE);
    cr_assert_eq(block->shown.n_processes, 2);
}

Test(mirror, a_tree_has_each_right_before_its_children)
{
    const struct proctrack_branch *tree;
    list("e", 5, 3); /* each the child of the one before */
    give_added("e", 6, 4);
    cr_assert_eq(proctrack_block_tree(&block->shown, &tree), 4);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(tree[i].process->pid, i + 1);
        cr_assert_eq(tree[i].depth, i < 3 ? i : 0);
    }
}
