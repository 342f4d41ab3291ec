/* SPDX-License-Identifier: Apache-2.0 */

/* Tables. */

#include "cli/list.h"

#include <errno.h>
#include <stdlib.h>

struct libscols_table *list_new(const struct term *term, const struct column *columns, size_t n)
{
    struct libscols_table *table = scols_new_table();
    if (!table)
        return NULL;
    /* term_put has done it, and better: theirs lets through what reverses text. */
    scols_table_enable_noencoding(table, 1);
    scols_table_enable_ascii(table, !term->utf8);
    /* Of a pipe they would take the width of the terminal behind stderr, or $COLUMNS. */
    scols_table_set_termforce(table, term->tty ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
    if (term->tty)
        scols_table_set_termwidth(table, term->width);
    for (size_t i = 0; i < n; i++)
        if (!scols_table_new_column(table, columns[i].name, columns[i].width, columns[i].flags)) {
            scols_unref_table(table);
            return NULL;
        }
    return table;
}

struct libscols_line *list_add(struct libscols_table *table, struct libscols_line *parent)
{
    return scols_table_new_line(table, parent);
}

int list_set(struct libscols_line *line, size_t column, const char *text)
{
    return line && scols_line_set_data(line, column, text) == 0 ? 0 : -ENOMEM;
}

int list_set_foreign(struct libscols_line *line, size_t column, const struct term *term,
                     struct text text)
{
    char *safe = term_safe(term, text);
    if (line && safe && scols_line_refer_data(line, column, safe) == 0)
        return 0;
    free(safe);
    return -ENOMEM;
}
