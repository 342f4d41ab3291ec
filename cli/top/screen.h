/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

/*
 * The terminal as a screen, by ncurses: taken over, given back as it was, drawn on. ncurses sends
 * what differs from what is there, so a screen on which nothing changed costs nothing.
 *
 * No text of others comes here but by term_safe(): nothing that is drawn has a control character in
 * it.
 */

#include <stdbool.h>

#include "base/error.h"
#include "cli/term.h"

/* How something looks: one of these, and flags. */
enum {
    LOOK_PLAIN,
    LOOK_TITLE,
    LOOK_HEAD, /* the names of the columns */
    LOOK_BLOCK,
    LOOK_FAINT, /* lines of trees, and what is less important */
    LOOK_BORN,
    LOOK_DEAD,
    LOOK_BUSY, /* uses much */
    LOOK_GRAPH,
    LOOK_GRAPH_2,
    LOOK_WARN,
    LOOK_BAD,
    LOOK_KEY, /* in the line of keys */
    LOOKS,
    LOOK_SELECTED = 1 << 8, /* a flag */
};

enum { SCREEN_LINE = 4096 }; /* bytes of a line, at most */

struct screen {
    struct term term; /* utf8: draw with more than ASCII */
    void *set;        /* ncurses' own */
    bool open;        /* false: the terminal is as it was before */
};

/* Takes the terminal over. `ascii`: draw with nothing else. -ENOTTY: it is none; -ENOTSUP: it
 * cannot move its cursor; with a sentence. */
int screen_open(struct screen *self, bool ascii, struct wps_error *error);

/* Gives it back as it was. */
void screen_close(struct screen *self);

/* For a while, as when the process is stopped; and takes it over again, with all that was on it. */
void screen_leave(struct screen *self);
void screen_return(struct screen *self);

/* The terminal has another size than before. */
void screen_resized(struct screen *self);

int screen_width(void);
int screen_height(void);

/* Begins a picture, empty; and shows it. */
void screen_begin(void);
void screen_end(void);

/* The next picture is sent whole: something else wrote to the terminal. */
void screen_redraw(void);

/* Puts text at a place, cut to `width` columns; what is left of them stays as it is. Text is safe:
 * see above. Returns the columns that it took. */
int screen_put(int line, int column, int width, unsigned look, const char *text);
int screen_putf(int line, int column, int width, unsigned look, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The same at the right end of `width` columns. */
int screen_put_right(int line, int column, int width, unsigned look, const char *text);

/* Blanks in that look. */
void screen_fill(int line, int column, int width, unsigned look);

/* How many columns text takes; how many of its bytes fit into so many, at least one character. */
int screen_columns(const char *text);
size_t screen_fits(const char *text, int width);

/* The next key: a character or one of KEY_... of ncurses; SCREEN_NO_KEY: none was pressed. Whether
 * a number is a character says `*ret_is_key`. SCREEN_NO_TERMINAL: it is gone. */
enum { SCREEN_NO_KEY = -1, SCREEN_NO_TERMINAL = -2 };
int screen_key(bool *ret_is_key);

#endif
