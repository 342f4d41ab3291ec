/* SPDX-License-Identifier: Apache-2.0 */

/* What the owner of the blocks knows of them. */

#include "trackers/known.h"

#include <stdlib.h>

struct known *known_new(size_t n_places, size_t n_members)
{
    struct known *known = calloc(1, sizeof *known);
    if (!known)
        return NULL;
    known->users = 1;
    known->places = calloc(n_places + 1, sizeof *known->places);
    known->members = calloc(n_members + 1, sizeof *known->members);
    if (!known->places || !known->members)
        known_drop(&known);
    return known;
}

static int by_pid(const void *a, const void *b)
{
    const struct known_member *x = a, *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void known_sort(struct known *known)
{
    qsort(known->members, known->n_members, sizeof *known->members, by_pid);
}

struct known *known_hold(struct known *known)
{
    if (known)
        __atomic_add_fetch(&known->users, 1, __ATOMIC_RELAXED);
    return known;
}

void known_drop(struct known **known_p)
{
    struct known *known = *known_p;
    *known_p = NULL;
    if (!known || __atomic_sub_fetch(&known->users, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(known->places);
    free(known->members);
    free(known);
}

const struct known_member *known_member(const struct known_member *members, size_t n, uint32_t pid)
{
    const struct known_member key = {.pid = pid};
    return n ? bsearch(&key, members, n, sizeof *members, by_pid) : NULL;
}

bool known_same(const struct known_member *member, uint64_t start_ticks)
{
    uint64_t gap = member->start_ticks > start_ticks ? member->start_ticks - start_ticks
                                                     : start_ticks - member->start_ticks;
    return gap <= (member->rough ? KNOWN_ROUGH : 0);
}
