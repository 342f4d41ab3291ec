/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_KNOWN_H
#define TRACKERS_KNOWN_H

/*
 * What the owner of the blocks knows of them at one moment, for trackers that have nothing in the
 * kernel to ask: who is a member, and of what. It is never changed once it is made, so that many
 * operations share one, whatever thread they are in; the last one to let go of it frees it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRACKER_BLOCK_MAX = 128, /* bytes of a block id; it was checked by the caller */
    TRACKER_SCOPE_MAX = 386, /* bytes of a sub-scope: three parts of 128 bytes joined by '/' */
};

/* A sub-scope of a block. */
struct known_place {
    char block[TRACKER_BLOCK_MAX + 1];
    char scope[TRACKER_SCOPE_MAX + 1];
    bool base; /* where who names no sub-scope is */
};

struct known_member {
    uint64_t start_ticks;
    uint32_t pid;
    uint32_t place; /* index into the places */
    bool rough;     /* start_ticks was made from an event's time: it may be off by KNOWN_ROUGH */
};

enum { KNOWN_ROUGH = 2 };

struct known {
    unsigned users;
    struct known_place *places;
    size_t n_places;
    struct known_member *members; /* by pid, each once */
    size_t n_members;
};

/* Makes one with zeroed places and members, for the caller to fill; one user. Null: out of memory.
 */
struct known *known_new(size_t n_places, size_t n_members);

/* Sorts the members: to be called once they are filled in, before anybody else sees it. */
void known_sort(struct known *known);

/* One more user, and one less; null pointers are fine. Any thread. */
struct known *known_hold(struct known *known);
void known_drop(struct known **known_p);

/* The member with this pid in members sorted by pid; null: none. */
const struct known_member *known_member(const struct known_member *members, size_t n, uint32_t pid);

/* True where a process with this start is the one that is meant. */
bool known_same(const struct known_member *member, uint64_t start_ticks);

#endif
