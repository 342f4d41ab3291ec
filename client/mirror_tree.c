/* SPDX-License-Identifier: Apache-2.0 */

/* The processes of a block as a tree. It is made when it is asked for: an event changes a list, and
 * a storm of events costs no tree. */

#include <errno.h>
#include <stdlib.h>

#include "client/mirror_block.h"

enum { NONE = -1 };

/* Members by their place in the order of age, and who is whose child: younger siblings first. */
struct forest {
    struct member **by_age;
    ssize_t *last_child, *older_sibling;
    bool *done;
    struct proctrack_branch *stack; /* yet to be put; the next one is the last */
    size_t n, n_stack;
};

static int forest_make(struct forest *forest, size_t n)
{
    *forest = (struct forest){
        .by_age = calloc(n, sizeof *forest->by_age),
        .last_child = calloc(n, sizeof *forest->last_child),
        .older_sibling = calloc(n, sizeof *forest->older_sibling),
        .done = calloc(n, sizeof *forest->done),
        /* Each is pushed once as a child, and at most once as the begin of a tree. */
        .stack = calloc(2 * n, sizeof *forest->stack),
        .n = n,
    };
    return forest->by_age && forest->last_child && forest->older_sibling && forest->done &&
                   forest->stack
               ? 0
               : -ENOMEM;
}

static void forest_free(struct forest *forest)
{
    free(forest->by_age);
    free(forest->last_child);
    free(forest->older_sibling);
    free(forest->done);
    free(forest->stack);
}

static int compare_age(const void *left, const void *right)
{
    const struct proctrack_process *a = &(*(struct member *const *)left)->shown;
    const struct proctrack_process *b = &(*(struct member *const *)right)->shown;
    if (a->started_at_ms != b->started_at_ms)
        return a->started_at_ms < b->started_at_ms ? -1 : 1;
    return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static void sort(struct forest *forest, const struct members *members)
{
    size_t i = 0;
    struct member *member;
    TAILQ_FOREACH (member, &members->list, link)
        forest->by_age[i++] = member;
    qsort(forest->by_age, forest->n, sizeof *forest->by_age, compare_age);
    for (i = 0; i < forest->n; i++) {
        forest->by_age[i]->place = i;
        forest->last_child[i] = forest->older_sibling[i] = NONE;
    }
}

static void push(struct forest *forest, const struct member *member, unsigned depth)
{
    forest->stack[forest->n_stack++] = (struct proctrack_branch){&member->shown, depth};
}

/* Puts what is pushed, and all below it, that was not put yet. */
static size_t put(struct forest *forest, struct proctrack_branch *tree, size_t n)
{
    while (forest->n_stack > 0) {
        struct proctrack_branch branch = forest->stack[--forest->n_stack];
        size_t place = ((const struct member *)branch.process)->place;
        if (forest->done[place])
            continue;
        forest->done[place] = true;
        tree[n++] = branch;
        for (ssize_t i = forest->last_child[place]; i != NONE; i = forest->older_sibling[i])
            push(forest, forest->by_age[i], branch.depth + 1);
    }
    return n;
}

static void grow(struct forest *forest, const struct members *members,
                 struct proctrack_branch *tree)
{
    size_t n = 0;
    for (size_t i = 0; i < forest->n; i++) {
        const struct member *parent = members_parent(members, forest->by_age[i]);
        if (!parent)
            continue;
        forest->older_sibling[i] = forest->last_child[parent->place];
        forest->last_child[parent->place] = (ssize_t)i;
    }
    for (size_t i = 0; i < forest->n; i++) {
        if (members_parent(members, forest->by_age[i]))
            continue;
        push(forest, forest->by_age[i], 0);
        n = put(forest, tree, n);
    }
    /* Whoever is left are each other's parents, for all that they say. */
    for (size_t i = 0; i < forest->n; i++) {
        if (forest->done[i])
            continue;
        push(forest, forest->by_age[i], 0);
        n = put(forest, tree, n);
    }
}

ssize_t proctrack_block_tree(const struct proctrack_block *shown,
                             const struct proctrack_branch **ret)
{
    struct mirror_block *block = (struct mirror_block *)shown;
    size_t n = block->members.n;
    struct proctrack_branch *tree = realloc(block->tree, (n ? n : 1) * sizeof *tree);
    if (!tree)
        return -ENOMEM;
    block->tree = tree;
    struct forest forest;
    int result = forest_make(&forest, n ? n : 1);
    forest.n = n;
    if (result == 0) {
        sort(&forest, &block->members);
        grow(&forest, &block->members, tree);
        *ret = tree;
    }
    forest_free(&forest);
    return result < 0 ? result : (ssize_t)n;
}
