/* SPDX-License-Identifier: Apache-2.0 */

/* A hash by pid with chains, and a list. */

#include "client/mirror_members.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/detail.h"

enum { BUCKETS_FIRST = 8 };

void members_init(struct members *members)
{
    *members = (struct members){0};
    TAILQ_INIT(&members->list);
}

void members_clear(struct members *members)
{
    for (struct member *member; (member = TAILQ_FIRST(&members->list));) {
        TAILQ_REMOVE(&members->list, member, link);
        member_free(member);
    }
    free(members->buckets);
    members_init(members);
}

/* Pids are handed out one by one, so their low bits spread well as they are. */
static struct member **bucket_of(const struct members *members, uint32_t pid)
{
    return &members->buckets[pid & (members->n_buckets - 1)];
}

struct member *members_find(const struct members *members, uint32_t pid, uint64_t started_at_ms)
{
    if (members->n_buckets == 0)
        return NULL;
    struct member *member = *bucket_of(members, pid);
    while (member && (member->shown.pid != pid ||
                      (started_at_ms != 0 && member->shown.started_at_ms != started_at_ms)))
        member = member->chain;
    return member;
}

struct member *members_parent(const struct members *members, const struct member *member)
{
    struct member *best = NULL;
    if (members->n_buckets == 0 || member->shown.parent_pid == 0)
        return NULL;
    for (struct member *at = *bucket_of(members, member->shown.parent_pid); at; at = at->chain)
        if (at->shown.pid == member->shown.parent_pid && at != member &&
            at->shown.started_at_ms <= member->shown.started_at_ms &&
            (!best || best->shown.started_at_ms < at->shown.started_at_ms))
            best = at;
    return best;
}

static void chain_up(struct members *members, struct member *member)
{
    struct member **bucket = bucket_of(members, member->shown.pid);
    member->chain = *bucket;
    *bucket = member;
}

static int make_room(struct members *members)
{
    if (members->n < members->n_buckets)
        return 0;
    size_t n = members->n_buckets ? members->n_buckets * 2 : BUCKETS_FIRST;
    struct member **buckets = calloc(n, sizeof *buckets);
    if (!buckets)
        return -ENOMEM;
    free(members->buckets);
    members->buckets = buckets;
    members->n_buckets = n;
    struct member *member;
    TAILQ_FOREACH (member, &members->list, link)
        chain_up(members, member);
    return 0;
}

static char *copy_of(struct text text)
{
    return strndup(text.size ? text.at : "", text.size);
}

int members_add(struct members *members, const struct process_record *record, struct member **ret)
{
    if (make_room(members) < 0)
        return -ENOMEM;
    struct member *member = calloc(1, sizeof *member);
    if (!member)
        return -ENOMEM;
    member->shown.pid = record->pid;
    member->shown.started_at_ms = record->started_at_ms;
    if (member_update(member, record) < 0) {
        member_free(member);
        return -ENOMEM;
    }
    TAILQ_INSERT_TAIL(&members->list, member, link);
    chain_up(members, member);
    members->n++;
    *ret = member;
    return 0;
}

/* True where `text`, as far as a C string can hold it, is not what `shown` says. */
static bool differs(const char *shown, struct text text)
{
    size_t size = text.size ? strnlen(text.at, text.size) : 0;
    return !shown || strlen(shown) != size || memcmp(shown, text.size ? text.at : "", size) != 0;
}

int member_update(struct member *member, const struct process_record *record)
{
    struct proctrack_process *shown = &member->shown;
    bool command_new = differs(shown->command, record->command);
    bool scope_new = differs(shown->scope, record->scope);
    _cleanup_free_ char *command = command_new ? copy_of(record->command) : NULL;
    _cleanup_free_ char *scope = scope_new ? copy_of(record->scope) : NULL;
    if ((command_new && !command) || (scope_new && !scope))
        return -ENOMEM;
    unsigned changes = 0;
    if (command_new) {
        free((char *)shown->command);
        shown->command = take_ptr(command);
        changes |= PROCTRACK_CHANGED_COMMAND;
    }
    if (scope_new) {
        free((char *)shown->scope);
        shown->scope = take_ptr(scope);
        changes |= PROCTRACK_CHANGED_SCOPE;
    }
    if (shown->root != record->root)
        changes |= PROCTRACK_CHANGED_ROOT;
    if (shown->started != record->started)
        changes |= PROCTRACK_CHANGED_STARTED;
    shown->parent_pid = record->parent_pid;
    shown->command_truncated = record->command_truncated;
    shown->root = record->root;
    shown->started = record->started;
    if (record->rss_bytes != 0)
        shown->rss_bytes = record->rss_bytes;
    return (int)changes;
}

void members_remove(struct members *members, struct member *member)
{
    struct member **at = bucket_of(members, member->shown.pid);
    while (*at != member)
        at = &(*at)->chain;
    *at = member->chain;
    TAILQ_REMOVE(&members->list, member, link);
    members->n--;
}

void member_free(struct member *member)
{
    free((char *)member->shown.command);
    free((char *)member->shown.scope);
    free((struct proctrack_detail *)member->shown.detail);
    free(member);
}

int member_sample(struct member *member, const struct process_record *record,
                  const msgpack_object *map, uint64_t now_ms)
{
    struct proctrack_detail *detail;
    int result = detail_read(&detail, map, now_ms);
    if (result < 0)
        return result;
    free((struct proctrack_detail *)member->shown.detail);
    member->shown.detail = detail;
    member->shown.rss_bytes = record->rss_bytes;
    return 0;
}
