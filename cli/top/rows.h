/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_ROWS_H
#define CLI_TOP_ROWS_H

/*
 * The rows that a model makes: blocks with the trees of their processes, or all processes in one
 * list; sorted, filtered and folded; which of them is selected, and which are in sight.
 *
 * The selection is of a block or a process, not of a line: it stays with it where rows come and go
 * around it, and goes to the row in its place when it is gone.
 */

#include "cli/top/model.h"

enum rows_sort {
    ROWS_BY_BIRTH, /* blocks by id */
    ROWS_BY_MEMORY,
    ROWS_BY_CPU,
    ROWS_BY_PROCESSES, /* blocks by how many they have, processes by birth */
    ROWS_BY_COMMAND,   /* blocks by id */
    ROWS_SORTS,
};

enum { ROWS_FILTER_MAX = 64, ROWS_DEPTH_MAX = 64 };

/* "birth" and so on. */
const char *rows_sort_name(enum rows_sort sort);

struct row {
    struct model_block *block;
    struct model_process *process; /* null: the row of the block */
    unsigned depth;                /* 0: its parent is not in the block */
    uint64_t
        more; /* bit n: whom it is below at that depth, itself at its own, has siblings to come */
    uint32_t below; /* rows that are hidden below it */
    bool matches;   /* the filter; false: it is here for one below it */
};

struct rows_selection {
    char block_id[MODEL_ID_MAX + 1]; /* "": nothing */
    uint32_t pid;                    /* 0: the block */
    uint64_t started_at_ms;
};

struct rows {
    struct row *rows;
    size_t n, room;

    /* Set by rows_show. */
    enum rows_sort sort;
    bool reverse, flat;
    char filter[ROWS_FILTER_MAX +
                1]; /* without regard to case: of command, pid, block id or scope */
    bool changed;   /* those, so all is made anew */

    struct rows_selection selection;
    size_t selected; /* its row */
    size_t first;    /* the first that is in sight */
};

void rows_destroy(struct rows *self);

/* Makes them anew where the model changed. -ENOMEM: they are as far as memory went. */
int rows_update(struct rows *self, struct model *model);

/* Moves the selection by so many rows, as far as there are any. */
void rows_move(struct rows *self, long by);

/* What is selected; null: nothing, for there are none. */
const struct row *rows_selected(const struct rows *self);

/* Folds what is selected. Where there is nothing to fold, the one above it is selected: its parent,
 * or its block. */
void rows_fold(struct rows *self);
void rows_unfold(struct rows *self);
void rows_fold_all(struct rows *self, struct model *model, bool folded);
bool rows_is_folded(const struct row *row);

/* Scrolls so that the selection is among `height` rows in sight. */
void rows_scroll(struct rows *self, size_t height);

#endif
