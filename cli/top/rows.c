/* SPDX-License-Identifier: Apache-2.0 */

/* Rows of a model: each block makes its own, and keeps them as long as nothing in it changes. */

#include "cli/top/rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

const char *rows_sort_name(enum rows_sort sort)
{
    static const char *const names[ROWS_SORTS] = {"birth", "memory", "cpu", "processes", "command"};
    return names[sort];
}

void rows_destroy(struct rows *self)
{
    free(self->rows);
    *self = (struct rows){0};
}

/* ---- order ---------------------------------------------------------------------------------- */

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_birth(const struct model_process *a, const struct model_process *b)
{
    int result = compare(a->started_at_ms, b->started_at_ms);
    return result ? result : compare(a->order, b->order);
}

/* Most first, where it is a quantity. */
static int compare_processes(const struct model_process *a, const struct model_process *b,
                             const struct rows *rows)
{
    int result = 0;
    if (rows->sort == ROWS_BY_MEMORY)
        result = compare(b->rss_bytes, a->rss_bytes);
    else if (rows->sort == ROWS_BY_CPU)
        result = compare(b->cpu, a->cpu);
    else if (rows->sort == ROWS_BY_COMMAND)
        result = strcasecmp(a->command, b->command);
    result = result ? result : by_birth(a, b);
    return rows->reverse ? -result : result;
}

static int compare_blocks(const void *x, const void *y, void *context)
{
    const struct model_block *a = *(struct model_block *const *)x,
                             *b = *(struct model_block *const *)y;
    const struct rows *rows = context;
    int result = 0;
    if (rows->sort == ROWS_BY_MEMORY)
        result = compare(b->rss_bytes, a->rss_bytes);
    else if (rows->sort == ROWS_BY_CPU)
        result = compare(model_cpu_of(b), model_cpu_of(a));
    else if (rows->sort == ROWS_BY_PROCESSES)
        result = compare(b->n_live, a->n_live);
    result = result ? result : strcmp(a->id, b->id);
    return rows->reverse ? -result : result;
}

/* ---- the filter ----------------------------------------------------------------------------- */

static bool block_matches(const struct rows *rows, const struct model_block *block)
{
    return strcasestr(block->id, rows->filter) != NULL;
}

static bool process_matches(const struct rows *rows, const struct model_process *process)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%u", process->pid);
    return strcasestr(process->command, rows->filter) || strstr(pid, rows->filter) ||
           strcasestr(process->scope, rows->filter);
}

/* ---- the tree of a block -------------------------------------------------------------------- */

enum { NOBODY = -1 };

struct node {
    struct model_process *process;
    ssize_t parent;  /* NOBODY: not in the block */
    size_t first, n; /* its children in `children` */
    bool matches, kept, drawn;
};

struct tree {
    const struct rows *rows;
    struct node *nodes; /* by pid, then birth */
    size_t n;
    size_t
        *children; /* numbers of nodes: those of one parent together, in the order they are drawn */
    size_t n_roots;
    struct row *out;
    size_t n_out;
};

static int node_by_pid(const void *x, const void *y)
{
    const struct model_process *a = ((const struct node *)x)->process,
                               *b = ((const struct node *)y)->process;
    return a->pid != b->pid ? compare(a->pid, b->pid) : by_birth(a, b);
}

/* A pid may have been another's before: a parent was there when its child was born. */
static ssize_t find_parent(const struct tree *tree, const struct model_process *child)
{
    size_t low = 0, high = tree->n;
    while (low < high) { /* to the first that is too late */
        size_t middle = low + (high - low) / 2;
        const struct model_process *at = tree->nodes[middle].process;
        if (at->pid < child->parent_pid ||
            (at->pid == child->parent_pid && at->started_at_ms <= child->started_at_ms))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || child->parent_pid == 0 || child->parent_pid == child->pid ||
        tree->nodes[low - 1].process->pid != child->parent_pid)
        return NOBODY;
    return (ssize_t)low - 1;
}

/* Those that match, and those above them. */
static void keep(struct tree *tree, bool all)
{
    for (size_t i = 0; i < tree->n; i++) {
        struct node *node = &tree->nodes[i];
        node->matches = all || process_matches(tree->rows, node->process);
        for (ssize_t up = node->matches ? (ssize_t)i : NOBODY;
             up != NOBODY && !tree->nodes[up].kept; up = tree->nodes[up].parent)
            tree->nodes[up].kept = true;
    }
}

static int compare_children(const void *x, const void *y, void *context)
{
    const struct tree *tree = context;
    const struct node *a = &tree->nodes[*(const size_t *)x], *b = &tree->nodes[*(const size_t *)y];
    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    return compare_processes(a->process, b->process, tree->rows);
}

static void sort_children(struct tree *tree)
{
    size_t n = 0;
    for (size_t i = 0; i < tree->n; i++)
        if (tree->nodes[i].kept)
            tree->children[n++] = i;
    qsort_r(tree->children, n, sizeof *tree->children, compare_children, tree);
    for (size_t i = 0; i < n; i++) {
        ssize_t parent = tree->nodes[tree->children[i]].parent;
        if (parent == NOBODY) {
            tree->n_roots++;
        } else {
            if (tree->nodes[parent].n++ == 0)
                tree->nodes[parent].first = i;
        }
    }
}

/* One that is waiting to be drawn. */
struct waiting {
    size_t node;
    unsigned depth;
    uint64_t more;
};

static uint64_t bit(unsigned depth)
{
    return depth < ROWS_DEPTH_MAX ? UINT64_C(1) << depth : 0;
}

/* Puts the children of a node on the stack, the last first. */
static size_t push_children(const struct tree *tree, const struct waiting *above,
                            struct waiting *stack, size_t n)
{
    const struct node *node = &tree->nodes[above->node];
    unsigned depth = above->depth + 1;
    for (size_t i = node->n; i-- > 0;)
        stack[n++] = (struct waiting){tree->children[node->first + i], depth,
                                      above->more | (i + 1 < node->n ? bit(depth) : 0)};
    return n;
}

/* Draws one and all that are below it. A list that is no tree is cut where it would go round. */
static void draw(struct tree *tree, struct waiting top, struct waiting *stack)
{
    size_t n = 0, folded_at = SIZE_MAX;
    unsigned folded_depth = 0;
    stack[n++] = top;
    while (n > 0) {
        const struct waiting next = stack[--n];
        struct node *node = &tree->nodes[next.node];
        if (node->drawn)
            continue;
        node->drawn = true;
        n = push_children(tree, &next, stack, n);
        if (folded_at != SIZE_MAX && next.depth > folded_depth) {
            tree->out[folded_at].below++;
            continue;
        }
        bool folds = node->process->folded && node->n > 0 && !*tree->rows->filter;
        folded_at = folds ? tree->n_out : SIZE_MAX;
        folded_depth = next.depth;
        tree->out[tree->n_out++] = (struct row){.block = node->process->block,
                                                .process = node->process,
                                                .depth = next.depth,
                                                .more = next.more,
                                                .matches = node->matches};
    }
}

static void draw_all(struct tree *tree, struct waiting *stack)
{
    for (size_t i = 0; i < tree->n_roots; i++)
        draw(tree, (struct waiting){tree->children[i], 0, 0}, stack);
    for (size_t i = 0; i < tree->n; i++)
        if (tree->nodes[i].kept && !tree->nodes[i].drawn)
            draw(tree, (struct waiting){i, 0, 0}, stack);
}

/* The rows of a block's processes, in `out` that has room for all. */
static ssize_t make_tree(const struct rows *rows, struct model_block *block, struct row *out)
{
    _cleanup_free_ struct node *nodes = calloc(block->n + 1, sizeof *nodes);
    _cleanup_free_ size_t *children = calloc(block->n + 1, sizeof *children);
    _cleanup_free_ struct waiting *stack = calloc(block->n + 1, sizeof *stack);
    if (!nodes || !children || !stack)
        return -ENOMEM;
    struct tree tree = {
        .rows = rows, .nodes = nodes, .n = block->n, .children = children, .out = out};
    for (size_t i = 0; i < block->n; i++)
        nodes[i].process = block->processes[i];
    qsort(nodes, tree.n, sizeof *nodes, node_by_pid);
    for (size_t i = 0; i < tree.n; i++)
        nodes[i].parent = find_parent(&tree, nodes[i].process);
    keep(&tree, block_matches(rows, block));
    sort_children(&tree);
    draw_all(&tree, stack);
    return (ssize_t)tree.n_out;
}

/* A block's own rows; none where the filter leaves nothing of it. */
static int make_block(const struct rows *rows, struct model_block *block)
{
    struct row *out = malloc((block->n + 1) * sizeof *out);
    if (!out)
        return -ENOMEM;
    bool matches = block_matches(rows, block);
    out[0] = (struct row){.block = block, .matches = matches};
    ssize_t n = make_tree(rows, block, out + 1);
    if (n < 0) {
        free(out);
        return -ENOMEM;
    }
    if (block->folded && !*rows->filter) {
        out[0].below = (uint32_t)block->n_live;
        n = 0;
    }
    free(block->rows);
    block->rows = out;
    block->n_rows = n > 0 || matches ? (size_t)n + 1 : 0;
    block->changed = false;
    return 0;
}

/* ---- all blocks ----------------------------------------------------------------------------- */

static int make_room(struct rows *self, size_t n)
{
    if (n <= self->room)
        return 0;
    struct row *rows = realloc(self->rows, (n + n / 2) * sizeof *rows);
    if (!rows)
        return -ENOMEM;
    self->rows = rows;
    self->room = n + n / 2;
    return 0;
}

static int append(struct rows *self, const struct row *rows, size_t n)
{
    if (make_room(self, self->n + n + 1) < 0)
        return -ENOMEM;
    memcpy(self->rows + self->n, rows, n * sizeof *rows);
    self->n += n;
    return 0;
}

static int make_trees(struct rows *self, struct model *model)
{
    _cleanup_free_ struct model_block **blocks = calloc(model->n_blocks + 1, sizeof(*blocks));
    struct model_block *block, *next;
    size_t n = 0;
    if (!blocks)
        return -ENOMEM;
    HASH_ITER (hh, model->blocks, block, next)
        blocks[n++] = block;
    qsort_r(blocks, n, sizeof(*blocks), compare_blocks, self);
    for (size_t i = 0; i < n; i++) {
        if ((blocks[i]->changed || self->changed) && make_block(self, blocks[i]) < 0)
            return -ENOMEM;
        if (append(self, blocks[i]->rows, blocks[i]->n_rows) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int compare_rows(const void *x, const void *y, void *context)
{
    return compare_processes(((const struct row *)x)->process, ((const struct row *)y)->process,
                             context);
}

static int make_list(struct rows *self, struct model *model)
{
    struct model_block *block, *next;
    HASH_ITER (hh, model->blocks, block, next) {
        bool all = block_matches(self, block);
        for (size_t i = 0; i < block->n; i++) {
            const struct row row = {
                .block = block, .process = block->processes[i], .matches = true};
            if ((all || process_matches(self, row.process)) && append(self, &row, 1) < 0)
                return -ENOMEM;
        }
        block->changed = true; /* its tree was not made */
    }
    if (self->n > 0)
        qsort_r(self->rows, self->n, sizeof *self->rows, compare_rows, self);
    return 0;
}

/* ---- the selection -------------------------------------------------------------------------- */

static bool is_selected(const struct rows *self, const struct row *row)
{
    const struct rows_selection *selection = &self->selection;
    return strcmp(row->block->id, selection->block_id) == 0 &&
           (row->process ? row->process->pid == selection->pid &&
                               row->process->started_at_ms == selection->started_at_ms
                         : selection->pid == 0);
}

static void select_row(struct rows *self, size_t i)
{
    struct rows_selection *selection = &self->selection;
    self->selected = i;
    *selection = (struct rows_selection){0};
    if (i >= self->n)
        return;
    strcpy(selection->block_id, self->rows[i].block->id);
    if (self->rows[i].process) {
        selection->pid = self->rows[i].process->pid;
        selection->started_at_ms = self->rows[i].process->started_at_ms;
    }
}

static void find_selection(struct rows *self)
{
    for (size_t i = 0; i < self->n; i++)
        if (is_selected(self, &self->rows[i])) {
            self->selected = i;
            return;
        }
    select_row(self, self->selected < self->n ? self->selected : self->n ? self->n - 1 : 0);
}

int rows_update(struct rows *self, struct model *model)
{
    if (!model->changed && !self->changed)
        return 0;
    self->n = 0;
    int result = self->flat ? make_list(self, model) : make_trees(self, model);
    self->changed = false;
    find_selection(self);
    return result;
}

void rows_move(struct rows *self, long by)
{
    long to = (long)self->selected + by, last = (long)self->n - 1;
    to = to > last ? last : to;
    select_row(self, to < 0 ? 0 : (size_t)to);
}

const struct row *rows_selected(const struct rows *self)
{
    return self->selected < self->n ? &self->rows[self->selected] : NULL;
}

void rows_scroll(struct rows *self, size_t height)
{
    if (self->first + height > self->n)
        self->first = self->n > height ? self->n - height : 0;
    if (self->selected < self->first)
        self->first = self->selected;
    else if (height > 0 && self->selected >= self->first + height)
        self->first = self->selected - height + 1;
}

/* ---- folding -------------------------------------------------------------------------------- */

bool rows_is_folded(const struct row *row)
{
    return row->process ? row->process->folded : row->block->folded;
}

static bool has_below(const struct rows *self, size_t i)
{
    const struct row *row = &self->rows[i], *next = row + 1;
    if (!row->process)
        return row->block->n > 0;
    return row->below > 0 || (i + 1 < self->n && next->block == row->block && next->process &&
                              next->depth > row->depth);
}

static void set_folded(struct rows *self, const struct row *row, bool folded)
{
    if (row->process)
        row->process->folded = folded;
    else
        row->block->folded = folded;
    row->block->changed = true;
    self->changed = true;
}

static void select_above(struct rows *self)
{
    size_t i = self->selected;
    const struct row *row = &self->rows[i];
    while (row->process && i > 0) {
        const struct row *above = &self->rows[--i];
        if (!above->process || above->depth < row->depth) {
            select_row(self, i);
            return;
        }
    }
}

void rows_fold(struct rows *self)
{
    const struct row *row = rows_selected(self);
    if (!row || self->flat)
        return;
    if (has_below(self, self->selected) && !rows_is_folded(row))
        set_folded(self, row, true);
    else
        select_above(self);
}

void rows_unfold(struct rows *self)
{
    const struct row *row = rows_selected(self);
    if (row && !self->flat && rows_is_folded(row))
        set_folded(self, row, false);
}

void rows_fold_all(struct rows *self, struct model *model, bool folded)
{
    struct model_block *block, *next;
    HASH_ITER (hh, model->blocks, block, next) {
        block->folded = folded;
        for (size_t i = 0; i < block->n && !folded; i++)
            block->processes[i]->folded = false;
    }
    if (folded)
        self->selection.pid = 0;
    self->changed = true;
}
