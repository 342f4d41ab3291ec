/* SPDX-License-Identifier: Apache-2.0 */

/* Keys and what they do. */

#include "cli/top/ui.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NCURSES_NOMACROS
#include <curses.h>

enum { ESCAPE = 27, ENTER = '\r', BACKSPACE = 127, CTRL_H = 8, CTRL_L = 12, CTRL_U = 21 };

const char *const ui_help[] = {
    "Up Down PgUp PgDn Home End   select a block or a process",
    "Left Right, Space            fold it, unfold it;  - +  all blocks",
    "Enter                        all that is known of it",
    "/                            filter: command, pid, block or scope;  Esc  no filter",
    "o O                          sort by the next, by the one before;  r  the other way round",
    "b m c n                      sort by birth, memory, cpu, processes",
    "v                            all processes in one list, or trees",
    "",
    "s                            stop: SIGTERM, then SIGKILL for those that are left",
    "k                            kill the process, or the block if that is selected",
    "x                            kill what the agent started: of the block, or below the process",
    "f t                          freeze the block, thaw it",
    "",
    "h ?                          this;  q  quit",
    NULL,
};

/* ---- what is said --------------------------------------------------------------------------- */

void ui_say(struct ui *self, enum ui_weight weight, bool stays, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(self->message, sizeof self->message, format, arguments);
    va_end(arguments);
    self->weight = weight;
    self->message_until_ms = stays ? 0 : self->model->now_ms + UI_MESSAGE_MS;
    self->changed = true;
}

void ui_tick(struct ui *self)
{
    if (*self->message && self->message_until_ms && self->message_until_ms <= self->model->now_ms) {
        *self->message = '\0';
        self->changed = true;
    }
}

/* ---- actions -------------------------------------------------------------------------------- */

const char *ui_action_text(char buffer[static UI_TEXT], const struct ui_action *action)
{
    const char *does = action->command == CONTROL_STOP_TREE ? "stop"
                       : action->command == CONTROL_FREEZE  ? "freeze"
                       : action->command == CONTROL_THAW    ? "thaw"
                                                            : "kill";
    if (action->command == CONTROL_KILL_PID)
        snprintf(buffer, UI_TEXT, "kill %" PRIu32 " of %s", action->pid, action->block_id);
    else if (action->command == CONTROL_KILL_STARTED && action->pid)
        snprintf(buffer, UI_TEXT, "kill what was started of %" PRIu32 " and below, in %s",
                 action->pid, action->block_id);
    else if (action->command == CONTROL_KILL_STARTED)
        snprintf(buffer, UI_TEXT, "kill what the agent started in %s", action->block_id);
    else if (*action->scope)
        snprintf(buffer, UI_TEXT, "%s scope %s of %s", does, action->scope, action->block_id);
    else
        snprintf(buffer, UI_TEXT, "%s all of %s", does, action->block_id);
    return buffer;
}

static void carry_out(struct ui *self)
{
    self->mode = UI_NORMAL;
    self->act(self->context, &self->action);
}

/* "; port 3000 is served", of one of those that would end. */
static void add_port(struct ui *self, const struct row *row)
{
    size_t used = strlen(self->question);
    for (size_t i = 0; i < row->block->n; i++) {
        const struct model_process *process = row->block->processes[i];
        bool is_meant = self->action.command != CONTROL_KILL_PID || process == row->process;
        if (is_meant && process->detail && process->detail->n_ports > 0) {
            snprintf(self->question + used, sizeof self->question - used,
                     "%" PRIu32 " serves port %u. ", process->pid, process->detail->ports[0].port);
            return;
        }
    }
}

static void ask(struct ui *self, const struct row *row)
{
    char text[UI_TEXT];
    int used = snprintf(self->question, sizeof self->question, "%s? ",
                        ui_action_text(text, &self->action));
    self->question[0] -= 'a' - 'A';
    if (self->action.command == CONTROL_KILL_PID)
        snprintf(self->question + used, sizeof self->question - (size_t)used, "(%.60s) ",
                 // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): made for a process alone
                 row->process->command);
    else if (self->action.command != CONTROL_KILL_STARTED)
        snprintf(self->question + used, sizeof self->question - (size_t)used, "%zu process%s. ",
                 row->block->n_live, row->block->n_live == 1 ? "" : "es");
    add_port(self, row);
    bool has_scope = self->action.command == CONTROL_STOP_TREE && row->process &&
                     strcmp(row->process->scope, "main") != 0 &&
                     strlen(row->process->scope) <= UI_SCOPE_MAX;
    strcpy(self->scope, has_scope ? row->process->scope : "");
    self->mode = UI_CONFIRM;
}

static bool ends_processes(enum control_command command)
{
    return command != CONTROL_FREEZE && command != CONTROL_THAW;
}

static void begin(struct ui *self, enum control_command command)
{
    const struct row *row = rows_selected(&self->rows);
    if (!row) {
        ui_say(self, UI_WARNS, false, "nothing is selected");
        return;
    }
    if (self->stale) {
        ui_say(self, UI_WARNS, false, "there is no broker now that could do it");
        return;
    }
    if (row->process && row->process->is_gone) {
        ui_say(self, UI_WARNS, false, "%" PRIu32 " has ended: select another one",
               row->process->pid);
        return;
    }
    if (command == CONTROL_KILL_TREE && row->process)
        command = CONTROL_KILL_PID;
    bool of_one = row->process && (command == CONTROL_KILL_PID || command == CONTROL_KILL_STARTED);
    self->action = (struct ui_action){.command = command,
                                      .pid = of_one ? row->process->pid : 0,
                                      .started_at_ms = of_one ? row->process->started_at_ms : 0};
    strcpy(self->action.block_id, row->block->id);
    if (ends_processes(command))
        ask(self, row);
    else
        carry_out(self);
}

/* ---- what is shown -------------------------------------------------------------------------- */

static void sort_by(struct ui *self, enum rows_sort sort)
{
    self->rows.reverse = self->rows.sort == sort && !self->rows.reverse && sort != ROWS_BY_BIRTH;
    self->rows.sort = sort;
    self->rows.changed = true;
}

static void sort_next(struct ui *self, int by)
{
    self->rows.sort = (enum rows_sort)(((int)self->rows.sort + by + ROWS_SORTS) % ROWS_SORTS);
    self->rows.reverse = false;
    self->rows.changed = true;
}

static void set_filter(struct ui *self, const char *filter)
{
    char copy[sizeof self->rows.filter];
    snprintf(copy, sizeof copy, "%s", filter);
    strcpy(self->rows.filter, copy);
    self->rows.changed = true;
}

static bool move_key(struct ui *self, int key)
{
    long page = self->page > 1 ? (long)self->page - 1 : 1;
    switch (key) {
    case KEY_UP:
        rows_move(&self->rows, -1);
        return true;
    case KEY_DOWN:
        rows_move(&self->rows, 1);
        return true;
    case KEY_PPAGE:
        rows_move(&self->rows, -page);
        return true;
    case KEY_NPAGE:
        rows_move(&self->rows, page);
        return true;
    case KEY_HOME:
        rows_move(&self->rows, -(long)self->rows.n);
        return true;
    case KEY_END:
        rows_move(&self->rows, (long)self->rows.n);
        return true;
    default:
        return false;
    }
}

/* ---- each mode ------------------------------------------------------------------------------ */

/* Takes the last character of UTF-8 away. */
static void shorten(char *text)
{
    size_t size = strlen(text);
    while (size > 0 && (text[--size] & 0xC0) == 0x80)
        ;
    text[size] = '\0';
}

static void put_character(char *text, int key)
{
    size_t used = strlen(text), size = key < 0x80 ? 1 : key < 0x800 ? 2 : key < 0x10000 ? 3 : 4;
    if (used + size > ROWS_FILTER_MAX)
        return;
    for (size_t i = size; i-- > 1; key >>= 6)
        text[used + i] = (char)(0x80 | (key & 0x3F));
    text[used] = (char)(size == 1 ? key : (0xF00 >> size & 0xFF) | key);
    text[used + size] = '\0';
}

static void filter_key(struct ui *self, int key, bool is_key)
{
    char filter[sizeof self->rows.filter];
    strcpy(filter, self->rows.filter);
    if (is_key && move_key(self, key))
        return;
    if (key == ENTER || key == '\n' || (is_key && key == KEY_ENTER)) {
        self->mode = UI_NORMAL;
    } else if (!is_key && key == ESCAPE) {
        self->mode = UI_NORMAL;
        set_filter(self, self->before);
    } else if (is_key ? key == KEY_BACKSPACE : key == BACKSPACE || key == CTRL_H) {
        shorten(filter);
        set_filter(self, filter);
    } else if (!is_key && key == CTRL_U) {
        set_filter(self, "");
    } else if (!is_key && key >= ' ') {
        put_character(filter, key);
        set_filter(self, filter);
    }
}

static void confirm_key(struct ui *self, int key, bool is_key)
{
    if (!is_key && (key == 'y' || key == 'Y')) {
        carry_out(self);
    } else if (!is_key && key == 's' && *self->scope) {
        strcpy(self->action.scope, self->scope);
        carry_out(self);
    } else {
        self->mode = UI_NORMAL;
        ui_say(self, UI_SAYS, false, "nothing was done");
    }
}

static void fold_toggle(struct ui *self)
{
    const struct row *row = rows_selected(&self->rows);
    if (row && rows_is_folded(row))
        rows_unfold(&self->rows);
    else
        rows_fold(&self->rows);
}

static bool look_key(struct ui *self, int key)
{
    switch (key) {
    case 'o':
    case 'O':
        sort_next(self, key == 'o' ? 1 : -1);
        return true;
    case 'b':
        sort_by(self, ROWS_BY_BIRTH);
        return true;
    case 'm':
        sort_by(self, ROWS_BY_MEMORY);
        return true;
    case 'c':
        sort_by(self, ROWS_BY_CPU);
        return true;
    case 'n':
        sort_by(self, ROWS_BY_PROCESSES);
        return true;
    case 'r':
        self->rows.reverse = !self->rows.reverse;
        self->rows.changed = true;
        return true;
    case 'v':
        self->rows.flat = !self->rows.flat;
        self->rows.changed = true;
        return true;
    case ' ':
        fold_toggle(self);
        return true;
    case '-':
    case '+':
        rows_fold_all(&self->rows, self->model, key == '-');
        return true;
    default:
        return false;
    }
}

static void act_key(struct ui *self, int key)
{
    switch (key) {
    case 's':
        begin(self, CONTROL_STOP_TREE);
        break;
    case 'k':
        begin(self, CONTROL_KILL_TREE);
        break;
    case 'x':
        begin(self, CONTROL_KILL_STARTED);
        break;
    case 'f':
        begin(self, CONTROL_FREEZE);
        break;
    case 't':
        begin(self, CONTROL_THAW);
        break;
    default:
        break;
    }
}

static void special_key(struct ui *self, int key)
{
    if (move_key(self, key))
        return;
    if (key == KEY_LEFT)
        rows_fold(&self->rows);
    else if (key == KEY_RIGHT)
        rows_unfold(&self->rows);
    else if (key == KEY_ENTER)
        self->mode = rows_selected(&self->rows) ? UI_DETAIL : UI_NORMAL;
    else if (key == KEY_F(1))
        self->mode = UI_HELP;
    else if (key == KEY_F(10))
        self->quit = true;
}

static void character_key(struct ui *self, int key)
{
    if (look_key(self, key))
        return;
    switch (key) {
    case 'q':
        self->quit = true;
        break;
    case 'h':
    case '?':
        self->mode = UI_HELP;
        break;
    case '/':
        self->mode = UI_FILTER;
        strcpy(self->before, self->rows.filter);
        break;
    case ESCAPE:
        *self->message = '\0';
        set_filter(self, "");
        break;
    case ENTER:
    case '\n':
        special_key(self, KEY_ENTER);
        break;
    case CTRL_L:
        self->redraw = true;
        break;
    default:
        act_key(self, key);
    }
}

void ui_key(struct ui *self, int key, bool is_key)
{
    self->changed = true;
    if (self->mode == UI_FILTER)
        filter_key(self, key, is_key);
    else if (self->mode == UI_CONFIRM)
        confirm_key(self, key, is_key);
    else if (self->mode == UI_DETAIL && is_key && move_key(self, key))
        return;
    else if (self->mode != UI_NORMAL)
        self->mode = UI_NORMAL;
    else if (is_key)
        special_key(self, key);
    else
        character_key(self, key);
}
