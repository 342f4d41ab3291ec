/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_UI_H
#define CLI_TOP_UI_H

/*
 * What the keys do: a state, and what each key makes of it. Nothing is drawn here, and nobody is
 * asked: what the broker is to do is handed to `act`. So it is tested without either.
 *
 * Nothing ends a process without a question, and the answer is no unless it is y.
 */

#include "cli/top/rows.h"
#include "schemas/control_request.h"

enum ui_mode {
    UI_NORMAL,
    UI_FILTER,  /* a filter is being typed */
    UI_CONFIRM, /* `question` waits for an answer */
    UI_HELP,
    UI_DETAIL, /* all that is known of what is selected */
};

enum { UI_TEXT = 512, UI_MESSAGE_MS = 8000, UI_SCOPE_MAX = 255 };

/* What the broker is asked for. */
struct ui_action {
    enum control_command command;
    char block_id[MODEL_ID_MAX + 1];
    char scope[UI_SCOPE_MAX + 1]; /* "": the whole block */
    uint32_t pid;                 /* 0: none */
    uint64_t started_at_ms;
};

enum ui_weight { UI_SAYS, UI_WARNS, UI_FAILS };

struct ui {
    struct model *model;
    struct rows rows;
    enum ui_mode mode;
    char before[ROWS_FILTER_MAX + 1]; /* the filter that there was before this one is typed */
    struct ui_action action;          /* asked about */
    char scope[UI_SCOPE_MAX + 1];     /* which `action` may be about instead; "": no other choice */
    char question[UI_TEXT];
    char message[UI_TEXT]; /* may have text of others in it */
    enum ui_weight weight;
    int64_t message_until_ms; /* 0: until the next one */
    size_t page;              /* rows that are in sight; the view says it */
    bool stale;               /* there is no broker */
    bool changed;             /* something of this, since the view cleared it */
    bool quit, redraw;        /* was asked for */

    void *context;
    void (*act)(void *context, const struct ui_action *action);
};

/* A key, as screen_key() tells it. The rows are up to date. */
void ui_key(struct ui *self, int key, bool is_key);

/* Says something, for a while, or (`stays`) until something else is said. */
void ui_say(struct ui *self, enum ui_weight weight, bool stays, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Time passed: what was said is over. */
void ui_tick(struct ui *self);

/* What an action does, as "stop all of demo". */
const char *ui_action_text(char buffer[static UI_TEXT], const struct ui_action *action);

/* The keys, a line each, for the help; null after the last. */
extern const char *const ui_help[];

#endif
