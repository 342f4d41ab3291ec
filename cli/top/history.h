/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_HISTORY_H
#define CLI_TOP_HISTORY_H

/* A value over the last minutes, and how it is drawn with characters. */

#include <stddef.h>
#include <stdint.h>

/* A step that nothing is known of. */
#define HISTORY_UNKNOWN UINT64_MAX

/* Time in steps of equal length. A step has the greatest of the values that there were in it; one
 * in which nothing was told has the value from before. */
struct history {
    uint64_t *steps; /* a ring, owned */
    uint32_t n;
    uint32_t step_ms;
    int64_t
        newest; /* number of the newest step since the beginning of the clock; -1: there is none */
    uint64_t last; /* the value now */
};

/* -ENOMEM. */
int history_init(struct history *self, uint32_t n, uint32_t step_ms);
void history_destroy(struct history *self);

/* The value is this from `now_ms` on (CLOCK_MONOTONIC; never less than before). */
void history_put(struct history *self, int64_t now_ms, uint64_t value);

/* The greatest value in the newest `n` steps; 0 where nothing is known. */
uint64_t history_peak(const struct history *self, uint32_t n);

/* ---- drawing -------------------------------------------------------------------------------- */

/* A graph has two columns of dots in a character, or one without UTF-8. A column stands for several
 * steps, counted from the beginning of the clock: so it moves by whole columns and does not
 * flicker. */
struct graph {
    unsigned width, height; /* characters */
    uint32_t steps;         /* in one column, from 1 on */
    uint64_t full;          /* the value that reaches the top; 0 counts as 1 */
    _Bool utf8;             /* braille; else '.' and ':' */
};

enum { GRAPH_BYTES = 3 }; /* of a character, at most */

/* How many steps a column must stand for, so that `n` of them find room in `width` characters. */
uint32_t graph_steps(uint32_t n, unsigned width, _Bool utf8);

/* One line of it, from 0 at the top, into `to`: width * GRAPH_BYTES + 1 bytes. Whatever is not 0
 * has a dot. */
void graph_line(char *to, const struct history *history, const struct graph *graph, unsigned line);

/* The next of 1, 2, 5, 10, 20, 50 and so on that is not less: tops that do not change all the time.
 */
uint64_t graph_round(uint64_t peak);

#endif
