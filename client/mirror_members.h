/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_MIRROR_MEMBERS_H
#define CLIENT_MIRROR_MEMBERS_H

/* The processes of one mirrored block: found by pid and time of birth, kept in the order in which
 * they became known. They own the strings that they show. One thread at a time. */

#include <sys/queue.h>

#include "client/mirror.h"
#include "schemas/process_record.h"

struct member {
    struct proctrack_process shown; /* first: what is given out is cast back */
    TAILQ_ENTRY(member) link;
    struct member *chain; /* in its bucket */
    bool listed;          /* while a list is compared: it is in it */
    size_t place;         /* while a tree is made: its place among all by age */
};

TAILQ_HEAD(member_list, member);

/* A zeroed one is not ready: members_init. */
struct members {
    struct member_list list;
    struct member **buckets;
    size_t n_buckets; /* a power of two, or 0 */
    size_t n;
};

void members_init(struct members *members);
void members_clear(struct members *members);

/* The one with this birth, or null; a `started_at_ms` of 0 takes the one that came last. */
struct member *members_find(const struct members *members, uint32_t pid, uint64_t started_at_ms);

/* Its parent, where that is a member: of those with that pid the last that is not younger. Members
 * that are born in the same tick may be each other's, for all that their records say. */
struct member *members_parent(const struct members *members, const struct member *member);

/* Adds one that is not there. -ENOMEM. */
int members_add(struct members *members, const struct process_record *record, struct member **ret);

/* Takes over what a record says: PROCTRACK_CHANGED_* of what is new in it, or -ENOMEM: then nothing
 * changed. */
int member_update(struct member *member, const struct process_record *record);

/* Takes it out, so that it is found no more; member_free ends it. */
void members_remove(struct members *members, struct member *member);
void member_free(struct member *member);

/* Takes over the detail of a list's record, read from its map. -ENOMEM; -EINVAL: junk in it. */
int member_sample(struct member *member, const struct process_record *record,
                  const msgpack_object *map, uint64_t now_ms);

#endif
