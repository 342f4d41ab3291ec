/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TERM_H
#define CLI_TERM_H

/* What the output goes to, and text of others made fit for it. A process chooses its own command
 * line: escape sequences in it must not reach the terminal of who looks at it. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/text.h"

struct term {
    bool tty;
    bool colour;    /* a terminal that knows colours, and $NO_COLOR is not set (no-color.org) */
    bool utf8;      /* the locale says so */
    unsigned width; /* columns; 0: no limit, it is no terminal */
};

/* How the terminal is behind this descriptor, now. */
struct term term_of(int fd);

/* Writes text of others: control characters (also those of C1), what reverses or hides text, and
 * what this locale cannot show become \xNN or \u{N}; a tab and a line feed too. */
void term_put(FILE *to, const struct term *term, struct text text);

/* The same in memory, to be freed. Null: out of memory. */
char *term_safe(const struct term *term, struct text text);

/* Writes one line and its line feed, cut to the width of the terminal. Colours (ESC [ ... m) in it
 * take no room, and are ended where it is cut. */
void term_put_line(FILE *to, const struct term *term, const char *line);

/* "12", "3.4K", "1.2G": powers of 1024. */
enum { TERM_NUMBER = 32 }; /* room for any of these */
const char *term_bytes(char buffer[static TERM_NUMBER], uint64_t bytes);

/* "0.25s", "3:07", "1:02:03" */
const char *term_cpu(char buffer[static TERM_NUMBER], uint64_t ms);

/* How long ago: "5s", "3m12s", "2h05m", "4d06h". A time that is still to come is "0s". */
const char *term_age(char buffer[static TERM_NUMBER], uint64_t since_ms, uint64_t now_ms);

/* CLOCK_REALTIME */
uint64_t term_now_ms(void);

#endif
