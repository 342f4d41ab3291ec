/* SPDX-License-Identifier: Apache-2.0 */

/* What the keys of `top` do. */

#include <criterion/criterion.h>
#define NCURSES_NOMACROS
#include <curses.h>

#include "cli/top/ui.h"

static struct model model;
static struct ui ui;
static struct ui_action done;
static unsigned n_done;

static void act(void *context, const struct ui_action *action)
{
    (void)context;
    done = *action;
    n_done++;
}

static struct model_process *add(struct model_block *block, uint32_t pid, const char *command,
                                 const char *scope)
{
    const struct proctrack_process record = {
        .pid = pid, .started_at_ms = 100 + pid, .command = command, .scope = scope};
    return model_add(&model, block, &record, false);
}

static void set_up(void)
{
    cr_assert(model_init(&model) == 0);
    model_tick(&model, 1000, 1000);
    ui = (struct ui){.model = &model, .act = act, .page = 10};
    n_done = 0;
    struct model_block *block = model_add_block(
        &model, &(struct proctrack_block){
                    .block_id = "demo", .confidence = "high", .confidence_reason = ""});
    add(block, 1, "sh", "main");
    add(block, 2, "server \033[2J", "bg/7");
    cr_assert(rows_update(&ui.rows, &model) == 0);
}

static void tear_down(void)
{
    rows_destroy(&ui.rows);
    model_destroy(&model);
}

static void press(const char *keys)
{
    for (; *keys; keys++) {
        cr_assert(rows_update(&ui.rows, &model) == 0);
        ui_key(&ui, *keys, false);
    }
}

static void press_special(int key)
{
    ui_key(&ui, key, true);
}

TestSuite(ui, .init = set_up, .fini = tear_down);

Test(ui, nothing_ends_without_a_yes)
{
    static const char *const answers[] = {"n", "\r", "\033", "N", "q", "k", " "};
    for (const char *key = "skx"; *key; key++)
        for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
            press((char[]){*key, '\0'});
            cr_assert(ui.mode == UI_CONFIRM && n_done == 0);
            press(answers[i]);
            cr_assert(ui.mode == UI_NORMAL && n_done == 0 && !ui.quit);
        }
    press("s");
    press_special(KEY_DOWN);
    cr_assert(n_done == 0 && ui.mode == UI_NORMAL);
}

Test(ui, stop_and_kill_of_a_block)
{
    press("sy");
    cr_assert(n_done == 1 && done.command == CONTROL_STOP_TREE && done.pid == 0);
    cr_assert_str_eq(done.block_id, "demo");
    cr_assert_str_eq(done.scope, "");
    press("ky");
    cr_assert(done.command == CONTROL_KILL_TREE && done.pid == 0);
    press("xY");
    cr_assert(done.command == CONTROL_KILL_STARTED && done.pid == 0);
}

Test(ui, kill_of_a_process_is_of_that_life_of_it)
{
    press_special(KEY_DOWN);
    press("k");
    cr_assert(strstr(ui.question, "Kill 1 of demo? (sh)"), "%s", ui.question);
    press("y");
    cr_assert(done.command == CONTROL_KILL_PID && done.pid == 1 && done.started_at_ms == 101);
    press("xy");
    cr_assert(done.command == CONTROL_KILL_STARTED && done.pid == 1);
}

Test(ui, the_question_is_about_what_was_selected_when_it_was_asked)
{
    press_special(KEY_END);
    press("k");
    model_gone(&model, model.blocks->processes[1],
               &(struct proctrack_gone){.how = PROCTRACK_GONE_EXITED});
    model_tick(&model, 9000, 9000);
    press("y");
    cr_assert(done.pid == 2, "the broker refuses it, and nobody else is killed");
}

Test(ui, stop_of_a_process_is_of_its_block_or_its_scope)
{
    press_special(KEY_DOWN);
    press("s");
    cr_assert_str_eq(ui.scope, "", "main is no choice");
    press("ns");
    press("n");
    press_special(KEY_DOWN);
    press("ss");
    cr_assert(n_done == 1 && done.command == CONTROL_STOP_TREE);
    cr_assert_str_eq(done.scope, "bg/7");
    press("sy");
    cr_assert_str_eq(done.scope, "");
}

Test(ui, who_serves_a_port_is_named_first)
{
    const struct proctrack_port port = {.address = "127.0.0.1", .family = "inet", .port = 3000};
    const struct proctrack_detail detail = {.ports = &port, .n_ports = 1};
    model.blocks->processes[1]->detail = &detail;
    press("s");
    cr_assert(strstr(ui.question, "2 serves port 3000."), "%s", ui.question);
    press("n");
    press_special(KEY_DOWN);
    press("k");
    cr_assert_null(strstr(ui.question, "3000"), "that is another process");
}

Test(ui, freeze_and_thaw_need_no_question)
{
    press("f");
    cr_assert(n_done == 1 && done.command == CONTROL_FREEZE);
    press("t");
    cr_assert(n_done == 2 && done.command == CONTROL_THAW);
}

Test(ui, without_a_broker_nobody_is_asked)
{
    ui.stale = true;
    press("kyf");
    cr_assert(n_done == 0 && strstr(ui.message, "no broker"));
}

Test(ui, the_dead_are_not_killed)
{
    press_special(KEY_DOWN);
    model_gone(&model, model.blocks->processes[0],
               &(struct proctrack_gone){.how = PROCTRACK_GONE_EXITED});
    press("ky");
    cr_assert(n_done == 0 && strstr(ui.message, "1 has ended"), "%s", ui.message);
}

Test(ui, a_filter_is_typed_kept_and_taken_back)
{
    press("/serx");
    cr_assert_str_eq(ui.rows.filter, "serx");
    press("\x7fv\r");
    cr_assert(ui.mode == UI_NORMAL);
    cr_assert_str_eq(ui.rows.filter, "serv");
    cr_assert(rows_update(&ui.rows, &model) == 0 && ui.rows.n == 2);
    press("/q\033");
    cr_assert_str_eq(ui.rows.filter, "serv", "Esc takes back what was typed");
    cr_assert(!ui.quit);
    press("\033");
    cr_assert_str_eq(ui.rows.filter, "");
}

Test(ui, a_filter_takes_all_characters_and_not_too_many)
{
    press("/");
    ui_key(&ui, 0xE4, false);
    ui_key(&ui, 0x20AC, false);
    ui_key(&ui, 0x1F980, false);
    cr_assert_str_eq(ui.rows.filter, "ä€🦀");
    press_special(KEY_BACKSPACE);
    press("\x7f");
    cr_assert_str_eq(ui.rows.filter, "ä");
    for (int i = 0; i < 200; i++)
        ui_key(&ui, 0x1F980, false);
    cr_assert(strlen(ui.rows.filter) <= ROWS_FILTER_MAX);
    press("\025");
    cr_assert_str_eq(ui.rows.filter, "");
}

Test(ui, keys_choose_the_order)
{
    press("m");
    cr_assert(ui.rows.sort == ROWS_BY_MEMORY && !ui.rows.reverse);
    press("m");
    cr_assert(ui.rows.reverse);
    press("c");
    cr_assert(ui.rows.sort == ROWS_BY_CPU && !ui.rows.reverse);
    press("oo");
    cr_assert(ui.rows.sort == ROWS_BY_COMMAND);
    press("o");
    cr_assert(ui.rows.sort == ROWS_BY_BIRTH);
    press("O");
    cr_assert(ui.rows.sort == ROWS_BY_COMMAND);
    press("rv");
    cr_assert(ui.rows.reverse && ui.rows.flat);
}

Test(ui, a_message_is_over_after_a_while)
{
    ui_say(&ui, UI_SAYS, false, "done");
    model_tick(&model, model.now_ms + UI_MESSAGE_MS - 1, 0);
    ui_tick(&ui);
    cr_assert_str_eq(ui.message, "done");
    model_tick(&model, model.now_ms + 1, 0);
    ui_tick(&ui);
    cr_assert_str_eq(ui.message, "");
    ui_say(&ui, UI_SAYS, true, "it stays");
    model_tick(&model, model.now_ms + 100000, 0);
    ui_tick(&ui);
    cr_assert_str_eq(ui.message, "it stays");
}

Test(ui, boxes_close_with_any_key)
{
    press("?");
    cr_assert(ui.mode == UI_HELP);
    press("k");
    cr_assert(ui.mode == UI_NORMAL && n_done == 0);
    press("\r");
    cr_assert(ui.mode == UI_DETAIL);
    press_special(KEY_DOWN);
    cr_assert(ui.mode == UI_DETAIL && rows_selected(&ui.rows)->process, "it goes on to the next");
    press("q");
    cr_assert(ui.mode == UI_NORMAL && !ui.quit);
    press("q");
    cr_assert(ui.quit);
}
