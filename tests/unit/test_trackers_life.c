/* SPDX-License-Identifier: Apache-2.0 */

/* The life table as a table: what holds for every state and every input, what the important rows
 * say, and a long walk at random. */

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trackers/life.h"

#define EACH_STATE(state)   (enum life_state state = 0; state < LIFE_STATES; state++)
#define EACH_INPUT(input)   (enum life_input input = 0; input < LIFE_INPUTS; input++)
#define WHERE(state, input) "%s + %s", life_state_name(state), life_input_name(input)

enum { TELLS = LIFE_ADD | LIFE_RENEW | LIFE_CHANGE | LIFE_END | LIFE_ESCAPE };

static bool is_told(enum life_state state)
{
    return state == LIFE_LIVE || state == LIFE_REREADING || state == LIFE_FADING;
}

/* ---- for every state and input ---- */

Test(life, exactly_the_states_live_rereading_and_fading_are_told)
{
    for
        EACH_STATE(state)
    cr_assert_eq(!!life_is_told(state), is_told(state), "%s", life_state_name(state));
}

Test(life, added_is_told_to_who_was_not_told_and_to_nobody_else)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                struct life_step step = life_next(state, input);
                if (step.actions & LIFE_ADD)
                    cr_assert(!is_told(state) && state != LIFE_DEAD, WHERE(state, input));
                if (!is_told(state) && is_told(step.state))
                    cr_assert(step.actions & LIFE_ADD, WHERE(state, input));
            }
}

Test(life, nothing_is_told_before_added)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                struct life_step step = life_next(state, input);
                if (!is_told(state) && !(step.actions & LIFE_ADD))
                    cr_assert_eq(step.actions & TELLS, 0, WHERE(state, input));
            }
}

Test(life, who_was_told_stays_told_until_exited_or_escaped)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                struct life_step step = life_next(state, input);
                if (!is_told(state))
                    continue;
                cr_assert(is_told(step.state) || step.state == LIFE_DEAD, WHERE(state, input));
                bool over = step.actions & (LIFE_END | LIFE_ESCAPE);
                cr_assert_eq(over, step.state == LIFE_DEAD, WHERE(state, input));
            }
}

Test(life, exited_and_escaped_are_the_last_and_never_both)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                struct life_step step = life_next(state, input);
                unsigned over = step.actions & (LIFE_END | LIFE_ESCAPE);
                cr_assert_neq(over, LIFE_END | LIFE_ESCAPE, WHERE(state, input));
                if (over)
                    cr_assert_eq(step.state, LIFE_DEAD, WHERE(state, input));
            }
}

Test(life, exec_and_changed_are_told_of_the_told_alone)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                struct life_step step = life_next(state, input);
                if (step.actions & (LIFE_RENEW | LIFE_CHANGE))
                    cr_assert(is_told(state), WHERE(state, input));
            }
}

Test(life, the_dead_stay_dead_and_do_nothing)
{
    for
        EACH_INPUT(input)
        {
            struct life_step step = life_next(LIFE_DEAD, input);
            cr_assert_eq(step.state, LIFE_DEAD, WHERE(LIFE_DEAD, input));
            cr_assert_eq(step.actions, 0, WHERE(LIFE_DEAD, input));
        }
}

Test(life, who_dies_is_forgotten_and_nobody_else)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                struct life_step step = life_next(state, input);
                bool dies = state != LIFE_DEAD && step.state == LIFE_DEAD;
                cr_assert_eq(!!(step.actions & LIFE_FORGET), dies, WHERE(state, input));
            }
}

Test(life, only_a_stranger_is_forgotten_without_a_word)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                struct life_step step = life_next(state, input);
                if (step.actions & LIFE_FORGET && !(step.actions & TELLS))
                    cr_assert(input == LIFE_STRANGER && !is_told(state), WHERE(state, input));
            }
}

Test(life, nobody_goes_back_to_unborn)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
        if (state != LIFE_UNBORN)
            cr_assert_neq(life_next(state, input).state, LIFE_UNBORN, WHERE(state, input));
}

/* What has no cell leaves the state alone; only an end while the command is read has a new state
 * and nothing to do. */
Test(life, an_input_that_means_nothing_does_nothing)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                struct life_step step = life_next(state, input);
                if (step.actions || step.state == state)
                    continue;
                cr_assert_eq(input, LIFE_EXIT, WHERE(state, input));
                cr_assert_eq(step.state, state == LIFE_READING ? LIFE_DYING : LIFE_FADING,
                             WHERE(state, input));
            }
}

Test(life, an_action_without_a_new_state_is_a_telling_a_count_or_a_question)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                struct life_step step = life_next(state, input);
                if (step.state == state)
                    cr_assert_eq(step.actions &
                                     ~(unsigned)(LIFE_RENEW | LIFE_CHANGE | LIFE_TAKE | LIFE_ASK |
                                                 LIFE_COUNT_UP | LIFE_COUNT_DOWN),
                                 0, WHERE(state, input));
            }
}

Test(life, threads_are_counted_while_it_lives_and_change_nothing_else)
{
    for
        EACH_STATE(state)
        {
            struct life_step more = life_next(state, LIFE_THREAD);
            struct life_step less = life_next(state, LIFE_THREAD_EXIT);
            bool lives = state != LIFE_UNBORN && state != LIFE_DEAD;
            cr_assert_eq(more.state, state);
            cr_assert_eq(less.state, state);
            cr_assert_eq(more.actions, lives ? LIFE_COUNT_UP : 0, WHERE(state, LIFE_THREAD));
            cr_assert_eq(less.actions, lives ? LIFE_COUNT_DOWN : 0, WHERE(state, LIFE_THREAD_EXIT));
        }
}

Test(life, a_command_is_taken_only_from_inputs_that_bring_one)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                bool brings = input == LIFE_EXEC || input == LIFE_FACTS || input == LIFE_SEEN ||
                              input == LIFE_SEEN_NEW;
                if (life_next(state, input).actions & LIFE_TAKE)
                    cr_assert(brings, WHERE(state, input));
            }
}

Test(life, a_command_that_is_taken_is_told)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                unsigned actions = life_next(state, input).actions;
                if (actions & LIFE_TAKE)
                    cr_assert(actions & (LIFE_ADD | LIFE_RENEW), WHERE(state, input));
            }
}

Test(life, the_settle_time_runs_in_settling_and_a_question_is_open_in_reading)
{
    for
        EACH_STATE(state)
        for
            EACH_INPUT(input)
            {
                struct life_step step = life_next(state, input);
                bool settles = step.state == LIFE_SETTLING && state != LIFE_SETTLING;
                bool reads = (step.state == LIFE_READING && state != LIFE_READING) ||
                             (step.state == LIFE_REREADING && state != LIFE_REREADING);
                if (settles || step.actions & LIFE_ARM)
                    cr_assert(settles && step.actions & LIFE_ARM, WHERE(state, input));
                if (reads)
                    cr_assert(step.actions & LIFE_ASK, WHERE(state, input));
                if (step.actions & LIFE_ASK)
                    cr_assert(step.state == LIFE_READING || step.state == LIFE_REREADING,
                              WHERE(state, input));
            }
}

/* A scan that misses it is the last resort: it has to work from everywhere. */
Test(life, whoever_is_there_is_ended_by_a_scan_that_misses_it)
{
    for
        EACH_STATE(state)
        {
            struct life_step step = life_next(state, LIFE_MISSED);
            if (state == LIFE_UNBORN || state == LIFE_DEAD)
                continue;
            cr_assert_eq(step.state, LIFE_DEAD, WHERE(state, LIFE_MISSED));
            cr_assert(step.actions & LIFE_END, WHERE(state, LIFE_MISSED));
        }
}

Test(life, an_end_is_told_at_once_or_with_the_answer_whatever_it_is)
{
    static const enum life_input answers[] = {LIFE_FACTS, LIFE_NO_FACTS};
    for
        EACH_STATE(state)
        {
            if (state == LIFE_UNBORN || state == LIFE_DEAD)
                continue;
            struct life_step end = life_next(state, LIFE_EXIT);
            if (end.state == LIFE_DEAD)
                continue;
            cr_assert(end.state == LIFE_DYING || end.state == LIFE_FADING, WHERE(state, LIFE_EXIT));
            for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
                struct life_step step = life_next(end.state, answers[i]);
                cr_assert_eq(step.state, LIFE_DEAD, WHERE(end.state, answers[i]));
                cr_assert(step.actions & LIFE_END, WHERE(end.state, answers[i]));
            }
        }
}

Test(life, who_leaves_alive_is_told_to_have_escaped_and_who_ended_did_not_leave)
{
    for
        EACH_STATE(state)
        {
            struct life_step step = life_next(state, LIFE_LEAVE);
            bool alive = state == LIFE_SETTLING || state == LIFE_READING || state == LIFE_LIVE ||
                         state == LIFE_REREADING;
            cr_assert_eq(!!(step.actions & LIFE_ESCAPE), alive, WHERE(state, LIFE_LEAVE));
        }
}

/* An input that finds nobody in its row would leave a process in the registry for good. */
Test(life, whatever_a_process_is_first_known_by_gives_it_a_life)
{
    static const enum life_input firsts[] = {LIFE_FORK, LIFE_JOIN, LIFE_EXEC, LIFE_EXEC_BLIND,
                                             LIFE_SEEN};
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++)
        cr_assert_neq(life_next(LIFE_UNBORN, firsts[i]).state, LIFE_UNBORN,
                      WHERE(LIFE_UNBORN, firsts[i]));
}

Test(life, every_state_and_input_has_a_name_of_its_own)
{
    const char *names[LIFE_STATES + LIFE_INPUTS];
    size_t n = 0;
    for
        EACH_STATE(state)
    names[n++] = life_state_name(state);
    for
        EACH_INPUT(input)
    names[n++] = life_input_name(input);
    for (size_t i = 0; i < n; i++) {
        cr_assert(names[i] && *names[i], "name %zu", i);
        for (size_t k = 0; k < i; k++)
            cr_assert_str_neq(names[i], names[k]);
    }
}

/* ---- the rows that matter ---- */

/* A life as its inputs, with what each of them leads to: "fork:settling:arm exec:live:take,add". */
static const char *const action_names[] = {"up",    "down",   "take", "arm",    "ask",   "add",
                                           "renew", "change", "end",  "escape", "forget"};

static void name_actions(unsigned actions, char *text, size_t room)
{
    text[0] = '\0';
    for (size_t i = 0; i < sizeof action_names / sizeof *action_names; i++)
        if (actions & 1u << i)
            snprintf(text + strlen(text), room - strlen(text), "%s%s", *text ? "," : "",
                     action_names[i]);
}

static enum life_input input_named(const char *name)
{
    for
        EACH_INPUT(input)
    if (strcmp(life_input_name(input), name) == 0)
        return input;
    cr_assert_fail("no input '%s'", name);
    abort();
}

static void assert_life(const char *life)
{
    char copy[1024], actions[128], seen[256], *save = NULL;
    enum life_state state = LIFE_UNBORN;
    snprintf(copy, sizeof copy, "%s", life);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char input[32] = "";
        sscanf(word, "%31[^:]", input);
        struct life_step step = life_next(state, input_named(input));
        state = step.state;
        name_actions(step.actions, actions, sizeof actions);
        snprintf(seen, sizeof seen, "%s:%s:%s", input, life_state_name(state), actions);
        cr_assert_str_eq(seen, word, "in the life '%s'", life);
    }
}

Test(life, a_fork_that_execs_is_added_as_what_it_runs)
{
    assert_life("fork:settling:arm exec:live:take,add exit:dead:end,forget");
}

Test(life, a_fork_that_never_execs_is_added_when_it_settles)
{
    assert_life("fork:settling:arm settled:live:add exit:dead:end,forget");
}

Test(life, a_fork_that_ends_at_once_still_gives_both)
{
    assert_life("fork:settling:arm exit:dead:add,end,forget");
}

Test(life, an_exec_after_it_was_told_is_an_exec)
{
    assert_life("fork:settling:arm settled:live:add exec:live:take,renew exec:live:take,renew "
                "exit:dead:end,forget");
}

Test(life, a_blind_exec_is_told_when_its_command_was_read)
{
    assert_life("fork:settling:arm exec-blind:reading:ask facts:live:take,add "
                "exec-blind:rereading:ask facts:live:take,renew exit:dead:end,forget");
}

Test(life, a_blind_exec_that_cannot_be_read_is_told_all_the_same)
{
    assert_life("fork:settling:arm exec-blind:reading:ask no-facts:live:add "
                "exec-blind:rereading:ask no-facts:live:renew missed:dead:end,forget");
}

Test(life, an_end_while_its_command_is_read_waits_for_the_answer)
{
    assert_life(
        "fork:settling:arm exec-blind:reading:ask exit:dying: facts:dead:take,add,end,forget");
    assert_life(
        "fork:settling:arm exec-blind:reading:ask exit:dying: no-facts:dead:add,end,forget");
    assert_life("fork:settling:arm settled:live:add exec-blind:rereading:ask exit:fading: "
                "facts:dead:take,renew,end,forget");
    assert_life("fork:settling:arm settled:live:add exec-blind:rereading:ask exit:fading: "
                "no-facts:dead:renew,end,forget");
}

Test(life, one_exec_after_another_while_it_is_read_asks_again)
{
    assert_life(
        "fork:settling:arm exec-blind:reading:ask exec-blind:reading:ask exec:live:take,add");
    assert_life("seen:live:take,add exec-blind:rereading:ask exec-blind:rereading:ask "
                "exec:live:take,renew");
}

Test(life, a_member_whose_place_is_not_sure_is_looked_up_first)
{
    assert_life("fork:settling:arm unsure:reading:ask facts:live:take,add");
    assert_life("join:settling:arm unsure:reading:ask no-facts:live:add");
    assert_life("fork:settling:arm unsure:reading:ask stranger:dead:forget");
}

Test(life, who_was_read_too_early_is_read_again)
{
    assert_life("fork:settling:arm unsure:reading:ask early:settling:arm unsure:reading:ask "
                "facts:live:take,add");
}

Test(life, a_told_member_that_is_found_elsewhere_has_escaped)
{
    assert_life("seen:live:take,add exec-blind:rereading:ask stranger:dead:escape,forget");
    assert_life("seen:live:take,add stranger:dead:escape,forget");
}

Test(life, a_child_that_waits_for_its_parent_is_told_when_that_is)
{
    assert_life("fork:settling:arm unsure:reading:ask release:live:add");
    assert_life("fork:settling:arm unsure:reading:ask exit:dying: release:dead:add,end,forget");
}

Test(life, who_is_seen_by_a_scan_first_is_added)
{
    assert_life("seen:live:take,add seen:live: seen-new:live:take,renew missed:dead:end,forget");
}

Test(life, a_scan_is_as_good_as_an_answer)
{
    assert_life("fork:settling:arm seen:live:take,add");
    assert_life("fork:settling:arm unsure:reading:ask seen:live:take,add");
    assert_life("join:settling:arm missed:dead:add,end,forget");
}

Test(life, a_move_within_the_block_is_a_change_and_one_out_of_it_an_escape)
{
    assert_life("seen:live:take,add rescope:live:change leave:dead:escape,forget");
    assert_life("join:settling:arm rescope:settling: leave:dead:add,escape,forget");
    assert_life("seen:live:take,add exec-blind:rereading:ask rescope:rereading:change "
                "leave:dead:escape,forget");
}

Test(life, threads_come_and_go_without_a_word)
{
    assert_life("fork:settling:arm thread:settling:up exec:live:take,add thread:live:up "
                "thread-exit:live:down exit:dead:end,forget");
}

Test(life, an_exec_of_a_process_whose_birth_was_lost_begins_its_life)
{
    assert_life("exec:live:take,add exit:dead:end,forget");
    assert_life("exec-blind:reading:ask exit:dying: no-facts:dead:add,end,forget");
}

/* ---- a walk ---- */

/* What a reader was told so far of one life. */
enum reader { NOTHING, ADDED, OVER };

static enum reader read_on(enum reader reader, unsigned actions, const char *where)
{
    if (actions & LIFE_ADD) {
        cr_assert_eq(reader, NOTHING, "added twice at %s", where);
        reader = ADDED;
    }
    if (actions & (LIFE_RENEW | LIFE_CHANGE))
        cr_assert_eq(reader, ADDED, "exec or changed of who is not there at %s", where);
    if (actions & (LIFE_END | LIFE_ESCAPE)) {
        cr_assert_eq(reader, ADDED, "the end of who is not there at %s", where);
        reader = OVER;
    }
    return reader;
}

/* xorshift64: the same walk everywhere. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

Test(life, a_million_inputs_at_random_tell_every_life_in_order)
{
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
    enum life_state state = LIFE_UNBORN;
    enum reader reader = NOTHING;
    unsigned lives = 0, visited[LIFE_STATES] = {0};
    for (int i = 0; i < 1000000; i++) {
        enum life_input input = next_random(&random) % LIFE_INPUTS;
        struct life_step step = life_next(state, input);
        char where[64];
        snprintf(where, sizeof where, "%s + %s", life_state_name(state), life_input_name(input));
        reader = read_on(reader, step.actions, where);
        visited[state]++;
        cr_assert_eq(is_told(step.state), reader == ADDED, "%s", where);
        state = step.state;
        if (step.actions & LIFE_FORGET) {
            cr_assert_eq(state, LIFE_DEAD, "%s", where);
            state = LIFE_UNBORN;
            reader = NOTHING;
            lives++;
        }
    }
    cr_assert_gt(lives, 50000);
    for
        EACH_STATE(walked)
    cr_assert(visited[walked] > 1000 || walked == LIFE_DEAD, "%s: %u times",
              life_state_name(walked), visited[walked]);
}
