/* SPDX-License-Identifier: Apache-2.0 */

/* Who is below whom, and the columns. */

#include "cli/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/list.h"

enum {
    LEVELS_MAX = 100, /* what is deeper is drawn at this one: n levels take n * n signs */
};

enum { PID, MEMORY, CPU, AGE, SCOPE, PORTS, USER, STATE, THREADS, CWD, COMMAND, N_COLUMNS };

static const struct column all_columns[N_COLUMNS] = {
    [PID] = {"PID", 1, SCOLS_FL_RIGHT},
    [MEMORY] = {"MEMORY", 1, SCOLS_FL_RIGHT},
    [CPU] = {"CPU", 1, SCOLS_FL_RIGHT},
    [AGE] = {"AGE", 1, SCOLS_FL_RIGHT},
    [SCOPE] = {"SCOPE", 1, 0},
    [PORTS] = {"PORTS", 1, 0},
    [USER] = {"UID", 1, SCOLS_FL_RIGHT},
    [STATE] = {"STATE", 1, 0},
    [THREADS] = {"THREADS", 1, SCOLS_FL_RIGHT},
    [CWD] = {"CWD", 0.2, SCOLS_FL_TRUNC},
    [COMMAND] = {"COMMAND", 0.5, SCOLS_FL_TREE | SCOLS_FL_TRUNC},
};

struct tree {
    const struct process_record *records;
    size_t n;
    size_t *by_pid;               /* the records in the order of their pids, then of their births */
    size_t *parents;              /* of each; SIZE_MAX: none in the list */
    size_t *above;                /* room for a way up */
    unsigned *levels;             /* of each that is drawn, from 1 on */
    struct libscols_line **lines; /* of each; null: not drawn yet */
    struct libscols_table *table;
    const struct term *term;
    size_t columns[N_COLUMNS]; /* where each is in the table; SIZE_MAX: it is not */
    const msgpack_object *maps;
    uint64_t now_ms;
    bool detail;
};

/* ---- who is whose parent -------------------------------------------------------------------- */

static int compare(const void *a, const void *b, void *context)
{
    const struct process_record *records = context;
    const struct process_record *x = &records[*(const size_t *)a],
                                *y = &records[*(const size_t *)b];
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    return x->started_at_ms < y->started_at_ms ? -1 : x->started_at_ms > y->started_at_ms;
}

/* A pid may have been another's before: a parent was there when its child was born. */
static size_t find_parent(const struct tree *tree, size_t child)
{
    const struct process_record *record = &tree->records[child];
    size_t low = 0, high = tree->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tree->records[tree->by_pid[middle]].pid < record->parent_pid)
            low = middle + 1;
        else
            high = middle;
    }
    if (record->parent_pid == 0 || low == tree->n)
        return SIZE_MAX;
    const struct process_record *parent = &tree->records[tree->by_pid[low]];
    if (parent->pid != record->parent_pid || parent->started_at_ms > record->started_at_ms)
        return SIZE_MAX;
    return tree->by_pid[low];
}

/* ---- one line ------------------------------------------------------------------------------- */

static int set(struct tree *tree, size_t i, unsigned column, const char *text)
{
    if (tree->columns[column] == SIZE_MAX)
        return 0;
    return list_set(tree->lines[i], tree->columns[column], text);
}

static int set_number(struct tree *tree, size_t i, unsigned column, uint64_t number)
{
    char text[TERM_NUMBER];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return set(tree, i, column, text);
}

static int set_foreign(struct tree *tree, size_t i, unsigned column, struct text text)
{
    if (tree->columns[column] == SIZE_MAX)
        return 0;
    return list_set_foreign(tree->lines[i], tree->columns[column], tree->term, text);
}

static bool is_ipv6(const struct listening_port *port)
{
    return text_is(port->family, "inet6");
}

/* "3000 8080"; in detail with addresses: "127.0.0.1:3000 [::1]:3000". */
static char *ports_text(const struct listening_port *ports, size_t n_ports, bool detail)
{
    char *string = NULL;
    size_t size;
    FILE *to = open_memstream(&string, &size);
    if (!to)
        return NULL;
    for (size_t i = 0; i < n_ports; i++) {
        const struct listening_port *port = &ports[i];
        if (!detail && i > 0 && port->port == port[-1].port)
            continue; /* on another address */
        fputs(i ? " " : "", to);
        if (detail)
            fprintf(to, is_ipv6(port) ? "[%.*s]:" : "%.*s:", (int)port->address.size,
                    port->address.at);
        fprintf(to, "%" PRIu64, port->port);
    }
    return fclose(to) == 0 ? string : NULL;
}

static int set_detail(struct tree *tree, size_t i)
{
    struct process_detail_view view;
    char text[TERM_NUMBER];
    int result = process_detail_read(&view, &tree->maps[i], "data.processes", NULL);
    if (result < 0)
        return result;
    _cleanup_free_ struct listening_port *ports = view.ports;
    _cleanup_free_ char *listening = ports_text(ports, view.n_ports, tree->detail);
    if (!listening)
        return -ENOMEM;
    result = set_foreign(tree, i, PORTS, text_of(listening));
    if (result == 0 && view.has_cpu)
        result = set(tree, i, CPU, term_cpu(text, view.cpu_ms));
    if (result == 0 && view.has_uid)
        result = set_number(tree, i, USER, view.uid);
    if (result == 0 && view.state)
        result = set_foreign(tree, i, STATE, (struct text){&view.state, 1});
    if (result == 0 && view.threads)
        result = set_number(tree, i, THREADS, view.threads);
    if (result == 0 && view.cwd.at)
        result = set_foreign(tree, i, CWD, view.cwd);
    return result;
}

static int fill(struct tree *tree, size_t i)
{
    char text[TERM_NUMBER];
    const struct process_record *record = &tree->records[i];
    int result = set_number(tree, i, PID, record->pid);
    if (result == 0)
        result = set(tree, i, MEMORY, term_bytes(text, record->rss_bytes));
    if (result == 0)
        result = set(tree, i, AGE, term_age(text, record->started_at_ms, tree->now_ms));
    if (result == 0)
        result = set_foreign(tree, i, SCOPE, record->scope);
    if (result == 0)
        result = set_foreign(tree, i, COMMAND, record->command);
    return result < 0 ? result : set_detail(tree, i);
}

/* ---- all of them ---------------------------------------------------------------------------- */

/* Draws one record below its parent, which is drawn. */
static int draw_one(struct tree *tree, size_t i)
{
    size_t parent = tree->parents[i];
    if (parent != SIZE_MAX && tree->levels[parent] == LEVELS_MAX)
        parent = tree->parents[i] = tree->parents[parent];
    tree->levels[i] = parent == SIZE_MAX ? 1 : tree->levels[parent] + 1;
    tree->lines[i] = list_add(tree->table, parent == SIZE_MAX ? NULL : tree->lines[parent]);
    return tree->lines[i] ? fill(tree, i) : -ENOMEM;
}

/* Draws the record, and before it those above it that are not drawn yet. A list that is no tree is
 * cut where it would go round. */
static int draw(struct tree *tree, size_t i)
{
    size_t n = 0;
    for (; i != SIZE_MAX && !tree->lines[i] && n < tree->n; i = tree->parents[i])
        tree->above[n++] = i;
    if (i != SIZE_MAX && !tree->lines[i])
        tree->parents[tree->above[n - 1]] = SIZE_MAX;
    int result = 0;
    while (n > 0 && result == 0) {
        i = tree->above[--n];
        result = tree->lines[i] ? 0 : draw_one(tree, i);
    }
    return result;
}

static int draw_all(struct tree *tree)
{
    int result = 0;
    for (size_t i = 0; i < tree->n; i++)
        tree->by_pid[i] = i;
    qsort_r(tree->by_pid, tree->n, sizeof *tree->by_pid, compare, (void *)tree->records);
    for (size_t i = 0; i < tree->n; i++)
        tree->parents[i] = find_parent(tree, i);
    for (size_t i = 0; i < tree->n && result == 0; i++)
        result = draw(tree, i);
    return result < 0 ? result : scols_print_table(tree->table) == 0 ? 0 : -ENOMEM;
}

static int make_table(struct tree *tree)
{
    struct column columns[N_COLUMNS];
    size_t n = 0;
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        bool wanted = tree->detail || i < USER || i == COMMAND;
        tree->columns[i] = wanted ? n : SIZE_MAX;
        if (wanted)
            columns[n++] = all_columns[i];
    }
    tree->table = list_new(tree->term, columns, n);
    return tree->table ? 0 : -ENOMEM;
}

int tree_print(const struct list_reply *reply, const struct term *term, bool detail)
{
    size_t n = reply->head.n_processes;
    _cleanup_free_ size_t *by_pid = calloc(n + 1, sizeof *by_pid);
    _cleanup_free_ size_t *parents = calloc(n + 1, sizeof *parents);
    _cleanup_free_ size_t *above = calloc(n + 1, sizeof *above);
    _cleanup_free_ unsigned *levels = calloc(n + 1, sizeof *levels);
    _cleanup_free_ struct libscols_line **lines = calloc(n + 1, sizeof *lines);
    if (!by_pid || !parents || !above || !levels || !lines)
        return -ENOMEM;
    struct tree tree = {.records = reply->processes,
                        .maps = reply->maps,
                        .n = n,
                        .by_pid = by_pid,
                        .parents = parents,
                        .above = above,
                        .levels = levels,
                        .lines = lines,
                        .term = term,
                        .detail = detail,
                        .now_ms = term_now_ms()};
    int result = make_table(&tree);
    if (result == 0)
        result = draw_all(&tree);
    scols_unref_table(tree.table);
    return result;
}
