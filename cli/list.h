/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LIST_H
#define CLI_LIST_H

/* Tables and trees on the screen: libsmartcols (of util-linux: lsblk and findmnt are made with it)
 * does the columns, the tree in UTF-8 or ASCII as the locale is, and cuts to the width of a
 * terminal. Text of others is made fit for it here. */

#include <libsmartcols.h>
#include <stdint.h>

#include "cli/term.h"

struct column {
    const char *name;
    double width; /* hint: below 1 a part of the width, from 1 on columns */
    int flags;    /* SCOLS_FL_... */
};

/* An empty table, to be unreferenced. Null: out of memory. */
struct libscols_table *list_new(const struct term *term, const struct column *columns, size_t n);

/* Adds a line below `parent` (null: at the top). Null: out of memory. It belongs to the table. */
struct libscols_line *list_add(struct libscols_table *table, struct libscols_line *parent);

/* Fills a cell in. -ENOMEM. */
int list_set(struct libscols_line *line, size_t column, const char *text);
int list_set_foreign(struct libscols_line *line, size_t column, const struct term *term,
                     struct text text);

static inline void cleanup_table(struct libscols_table **table)
{
    scols_unref_table(*table);
}
#define _cleanup_table_ cleanup(cleanup_table)

#endif
