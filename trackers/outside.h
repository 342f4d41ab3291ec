/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_OUTSIDE_H
#define TRACKERS_OUTSIDE_H

/*
 * Looking for what belongs to a block and is not in it: processes that left it, those whose
 * environment names it (look.h), and the descendants that these have now. Whoever is in one of our
 * blocks is that block's and nobody is found through it; so is one whose environment names another
 * block, or another broker's. Never found: init, kernel threads, the broker and its helper, and by
 * their tag those above the broker.
 *
 * One look serves many blocks. It reads environments, which can hang: in a worker's thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trackers/facts.h"
#include "trackers/known.h"
#include "trackers/tracker.h"

enum {
    OUTSIDE_FOUND_MAX = 16384, /* of one wish: the others are left for the next look */
    OUTSIDE_TOLD_MAX = 1024,   /* of them with their argv */
};

/* One that left its block and is remembered, with the sub-scope that it was in. */
struct outside_known {
    uint32_t pid;
    uint64_t start_ticks;
    char scope[TRACKER_SCOPE_MAX + 1];
};

struct outside_life {
    uint32_t pid;
    uint64_t start_ticks;
};

struct outside_found {
    struct process_facts facts;
    int signalled; /* 1: the signal was sent; 0: it was not to be; else a negative errno */
};

/* What is wanted of one block. All of it belongs to the search while that runs. */
struct outside_wish {
    char block[TRACKER_BLOCK_MAX + 1];
    char scope[TRACKER_SCOPE_MAX + 1]; /* this sub-scope and below; "": the whole block. Whose
                                          environment names none is in `main` */
    int signal;                        /* to each that is found; 0: none */
    uint32_t client_uid; /* another user's process is not signalled unless this is 0 */
    struct outside_known *known;
    size_t n_known;
    struct outside_life *done; /* they were sent this signal already; sorted by pid */
    size_t n_done;

    struct outside_found *found; /* result */
    size_t n_found, room;
};

struct outside_search {
    struct tracker *tracker;
    struct known *known; /* without places: who is a member of which block; else null */
    struct outside_wish *wishes;
    size_t n_wishes;

    /* While it runs; all atomic. */
    bool given_up;     /* the owner's: nobody is to be signalled any more */
    unsigned progress; /* grows with each reading of a process */
    uint32_t tid;      /* the thread that does it; 0: none does */

    int result; /* 0, -ENOMEM, or what /proc says */
};

/* Does it, once. */
void outside_run(struct outside_search *search);

/* Frees the wishes and what they hold, and lets go of what is known. */
void outside_clear(struct outside_search *search);

/* Sorts lives as `done` wants them, and finds one in it. */
void outside_sort(struct outside_life *lives, size_t n);
bool outside_has(const struct outside_life *lives, size_t n, uint32_t pid, uint64_t start_ticks);
/* Finds one in what a search found, which is sorted by pid. */
bool outside_found_has(const struct outside_found *found, size_t n, uint32_t pid,
                       uint64_t start_ticks);

#endif
