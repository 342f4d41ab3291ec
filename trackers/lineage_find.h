/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_LINEAGE_FIND_H
#define TRACKERS_LINEAGE_FIND_H

/*
 * Who is a member, out of one look at all processes: by what is known, by whose child one is, and
 * for strays by the tag in their environment. Pure: no process, no memory of its own; any thread.
 *
 * In this order: a known member stays where it is. A descendant of known members is where the
 * nearest of them is, whatever its tag says: so a scan means what a fork event means. Of the
 * others, those with a tag are where it says, and their descendants with them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trackers/known.h"

enum { LINEAGE_NOWHERE = UINT32_MAX };

enum lineage_how {
    LINEAGE_OPEN, /* not asked yet */
    LINEAGE_NOT,  /* no member */
    LINEAGE_KNOWN,
    LINEAGE_BY_PARENT,
    LINEAGE_BY_TAG,
};

struct lineage_row {
    uint32_t pid, ppid;
    uint64_t start_ticks;
    bool barred;      /* never a member, and nobody through it: init, the broker */
    bool tag_void;    /* its tag does not count: the broker's ancestors */
    bool leader_left; /* its first thread has ended, others run: they show what it was given */
    uint32_t tag;     /* the place that it names, or LINEAGE_NOWHERE */

    enum lineage_how how; /* result */
    uint32_t place;       /* result; LINEAGE_NOWHERE where it is no member */
};

/* Sorts rows by pid, as the functions below want them. */
void lineage_sort(struct lineage_row *rows, size_t n);

/* The row of a pid; null: none. */
struct lineage_row *lineage_row(struct lineage_row *rows, size_t n, uint32_t pid);

/* Members by what is known and by descent, of all rows. `members` are sorted by pid. */
void lineage_find(struct lineage_row *rows, size_t n, const struct known_member *members,
                  size_t n_members);

/* Behind lineage_find, once tags were read: the strays among the rest. */
void lineage_find_strays(struct lineage_row *rows, size_t n);

/* Bars our own process and voids the tags of those above it: a broker that was started from a shell
 * of a block must end neither itself nor, for no better reason than a tag, that shell. */
void lineage_bar(struct lineage_row *rows, size_t n, uint32_t us);

#endif
