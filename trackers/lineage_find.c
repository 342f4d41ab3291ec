/* SPDX-License-Identifier: Apache-2.0 */

/* Who is a member, out of one look at all processes. */

#include "trackers/lineage_find.h"

#include <stdlib.h>

struct search {
    struct lineage_row *rows;
    size_t n;
    const struct known_member *members;
    size_t n_members;
    bool strays; /* tags decide, else what is known */
};

static int by_pid(const void *a, const void *b)
{
    const struct lineage_row *x = a, *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void lineage_sort(struct lineage_row *rows, size_t n)
{
    if (n)
        qsort(rows, n, sizeof *rows, by_pid);
}

struct lineage_row *lineage_row(struct lineage_row *rows, size_t n, uint32_t pid)
{
    const struct lineage_row key = {.pid = pid};
    return n ? bsearch(&key, rows, n, sizeof *rows, by_pid) : NULL;
}

static struct lineage_row *parent_of(const struct search *search, const struct lineage_row *row)
{
    return row->ppid ? lineage_row(search->rows, search->n, row->ppid) : NULL;
}

static void become(struct lineage_row *row, enum lineage_how how, uint32_t place)
{
    row->how = how;
    row->place = how == LINEAGE_NOT ? LINEAGE_NOWHERE : place;
}

/* A parent that is not in the table ended while it was read. It was alive when its child's row was,
 * so if it is known it was the known one. */
static void decide_by_vanished(const struct search *search, struct lineage_row *row)
{
    const struct known_member *parent =
        search->strays ? NULL : known_member(search->members, search->n_members, row->ppid);
    if (parent)
        become(row, LINEAGE_BY_PARENT, parent->place);
    else
        become(row, LINEAGE_NOT, 0);
}

/* What a row is by itself. False: it is what its parent is. */
static bool decide(const struct search *search, struct lineage_row *row)
{
    const struct known_member *member = NULL;
    if (row->how != LINEAGE_OPEN)
        return true;
    if (!search->strays)
        member = known_member(search->members, search->n_members, row->pid);
    if (row->barred)
        become(row, LINEAGE_NOT, 0);
    else if (member && known_same(member, row->start_ticks))
        become(row, LINEAGE_KNOWN, member->place);
    else if (search->strays && row->tag != LINEAGE_NOWHERE && !row->tag_void)
        become(row, LINEAGE_BY_TAG, row->tag);
    else if (!parent_of(search, row))
        decide_by_vanished(search, row);
    else
        return false;
    return true;
}

/* Goes up to the first one that is decided, then tells all on the way. */
static void resolve(const struct search *search, struct lineage_row *first)
{
    struct lineage_row *last = first;
    for (size_t steps = 0; !decide(search, last) && steps < search->n; steps++)
        last = parent_of(search, last);
    if (last->how == LINEAGE_OPEN) /* a circle: numbers were used again while we read */
        become(last, LINEAGE_NOT, 0);
    for (struct lineage_row *row = first; row != last; row = parent_of(search, row))
        become(row, last->how == LINEAGE_NOT ? LINEAGE_NOT : LINEAGE_BY_PARENT, last->place);
}

void lineage_find(struct lineage_row *rows, size_t n, const struct known_member *members,
                  size_t n_members)
{
    const struct search search = {rows, n, members, n_members, false};
    for (size_t i = 0; i < n; i++)
        rows[i].how = LINEAGE_OPEN;
    for (size_t i = 0; i < n; i++)
        resolve(&search, &rows[i]);
}

void lineage_find_strays(struct lineage_row *rows, size_t n)
{
    const struct search search = {.rows = rows, .n = n, .strays = true};
    for (size_t i = 0; i < n; i++)
        if (rows[i].how == LINEAGE_NOT)
            rows[i].how = LINEAGE_OPEN;
    for (size_t i = 0; i < n; i++)
        resolve(&search, &rows[i]);
}

void lineage_bar(struct lineage_row *rows, size_t n, uint32_t us)
{
    struct lineage_row *row = lineage_row(rows, n, us);
    if (row)
        row->barred = true;
    for (size_t steps = 0; row && row->ppid && steps < n; steps++) {
        row = lineage_row(rows, n, row->ppid);
        if (row)
            row->tag_void = true;
    }
}
