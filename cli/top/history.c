/* SPDX-License-Identifier: Apache-2.0 */

/* Rings of values, and graphs of them. */

#include "cli/top/history.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int history_init(struct history *self, uint32_t n, uint32_t step_ms)
{
    uint64_t *steps = malloc(n * sizeof *steps);
    if (!steps)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        steps[i] = HISTORY_UNKNOWN;
    *self = (struct history){steps, n, step_ms, -1, HISTORY_UNKNOWN};
    return 0;
}

void history_destroy(struct history *self)
{
    free(self->steps);
    *self = (struct history){0};
}

static bool is_greater(uint64_t value, uint64_t than)
{
    return value != HISTORY_UNKNOWN && (than == HISTORY_UNKNOWN || value > than);
}

void history_put(struct history *self, int64_t now_ms, uint64_t value)
{
    int64_t step = now_ms / self->step_ms;
    if (self->newest < 0 || step - self->newest > self->n)
        self->newest = self->newest < 0 ? step - 1 : step - self->n;
    while (self->newest < step)
        self->steps[++self->newest % self->n] = self->last;
    if (is_greater(value, self->steps[step % self->n]))
        self->steps[step % self->n] = value;
    self->last = value;
}

/* Of the steps from `first` on, `n` of them; those that are not kept are unknown. */
static uint64_t greatest(const struct history *self, int64_t first, uint32_t n)
{
    uint64_t value = HISTORY_UNKNOWN;
    for (int64_t step = first; step < first + n; step++)
        if (step >= 0 && step <= self->newest && step > self->newest - self->n &&
            is_greater(self->steps[step % self->n], value))
            value = self->steps[step % self->n];
    return value;
}

uint64_t history_peak(const struct history *self, uint32_t n)
{
    uint64_t value = greatest(self, self->newest - n + 1, n);
    return value == HISTORY_UNKNOWN ? 0 : value;
}

/* ---- drawing -------------------------------------------------------------------------------- */

enum {
    BRAILLE = 0x2800,
    BRAILLE_DOTS = 4,
    ASCII_DOTS = 2
}; /* dots of a character, one above the other */

uint32_t graph_steps(uint32_t n, unsigned width, bool utf8)
{
    unsigned columns = width * (utf8 ? 2 : 1);
    return columns == 0 || n <= columns ? 1 : (n + columns - 1) / columns;
}

/* How high the column is, in dots of the whole graph. */
static unsigned dots_of(uint64_t value, const struct graph *graph, unsigned dots)
{
    uint64_t full = graph->full ? graph->full : 1, all = (uint64_t)graph->height * dots;
    if (value == HISTORY_UNKNOWN || value == 0)
        return 0;
    if (value >= full)
        return (unsigned)all;
    unsigned n = (unsigned)((double)value / (double)full * (double)all + 0.5);
    return n ? n : 1;
}

/* How many of `dots` lie in this line. */
static unsigned dots_in(unsigned dots, unsigned line, const struct graph *graph, unsigned each)
{
    unsigned below = (graph->height - 1 - line) * each;
    return dots <= below ? 0 : dots - below > each ? each : dots - below;
}

static void put_braille(char *to, unsigned left, unsigned right)
{
    static const uint8_t lefts[] = {0, 0x40, 0x44, 0x46, 0x47},
                         rights[] = {0, 0x80, 0xA0, 0xB0, 0xB8};
    unsigned code = BRAILLE + lefts[left] + rights[right];
    to[0] = (char)(0xE0 | code >> 12);
    to[1] = (char)(0x80 | (code >> 6 & 0x3F));
    to[2] = (char)(0x80 | (code & 0x3F));
}

void graph_line(char *to, const struct history *history, const struct graph *graph, unsigned line)
{
    const unsigned each = graph->utf8 ? BRAILLE_DOTS : ASCII_DOTS, in_one = graph->utf8 ? 2 : 1;
    int64_t column = history->newest / graph->steps - (int64_t)graph->width * in_one + 1;
    for (unsigned i = 0; i < graph->width; i++) {
        unsigned dots[2] = {0};
        for (unsigned k = 0; k < in_one; k++, column++) {
            uint64_t value = greatest(history, column * graph->steps, graph->steps);
            dots[k] = dots_in(dots_of(value, graph, each), line, graph, each);
        }
        if (graph->utf8 && dots[0] + dots[1] > 0) {
            put_braille(to, dots[0], dots[1]);
            to += GRAPH_BYTES;
        } else {
            *to++ = " .:"[graph->utf8 ? 0 : dots[0]];
        }
    }
    *to = '\0';
}

uint64_t graph_round(uint64_t peak)
{
    for (uint64_t power = 1; power <= UINT64_MAX / 10; power *= 10)
        for (unsigned i = 0; i < 3; i++) {
            uint64_t top = power * (uint64_t[]){1, 2, 5}[i];
            if (top >= peak)
                return top;
        }
    return peak;
}
