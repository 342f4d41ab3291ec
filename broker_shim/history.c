/* SPDX-License-Identifier: Apache-2.0 */

/* Lists of kept events: one event in several lists, and all events in the order they came. */

#include "broker_shim/history.h"

#include <czmq.h>
#include <stdlib.h>
#include <sys/queue.h>

struct entry;

/* That one event is in one list. */
struct member {
    struct entry *entry;
    struct list *list; /* null: no longer in it */
    TAILQ_ENTRY(member) link;
};

TAILQ_HEAD(members, member);

struct key {
    struct text event;
    struct text scope;
    char bytes[]; /* of the two, where the key is a list's own */
};

struct list {
    struct key *key; /* the hash table's */
    struct members members;
    size_t size;
};

struct entry {
    struct packet *packet;
    TAILQ_ENTRY(entry) order;
    size_t footprint;
    size_t n_in; /* lists that it is still in */
    size_t n_members;
    struct member members[];
};

TAILQ_HEAD(entries, entry);

struct history {
    zhashx_t *lists; /* struct key -> struct list */
    struct entries order;
    size_t events;
    size_t bytes, bytes_max;
    size_t lists_max;
};

/* ---- keys ---------------------------------------------------------------------------------- */

static size_t hash_bytes(size_t hash, struct text bytes)
{
    for (size_t i = 0; i < bytes.size; i++) /* FNV-1a, 64 bits */
        hash = (hash ^ (unsigned char)bytes.at[i]) * 1099511628211u;
    return hash;
}

static size_t key_hash(const void *item)
{
    const struct key *key = item;
    return hash_bytes(hash_bytes(14695981039346656037u, key->event) * 31, key->scope);
}

static int key_compare(const void *a, const void *b)
{
    const struct key *left = a, *right = b;
    return text_equal(left->event, right->event) && text_equal(left->scope, right->scope) ? 0 : 1;
}

static void *key_copy(const void *item)
{
    const struct key *key = item;
    struct key *copy = malloc(sizeof *copy + key->event.size + key->scope.size);
    if (!copy)
        return NULL;
    copy->event = (struct text){copy->bytes, key->event.size};
    copy->scope = (struct text){copy->bytes + key->event.size, key->scope.size};
    if (key->event.size > 0)
        memcpy(copy->bytes, key->event.at, key->event.size);
    if (key->scope.size > 0)
        memcpy(copy->bytes + key->event.size, key->scope.at, key->scope.size);
    return copy;
}

static void key_destroy(void **item)
{
    free(*item);
    *item = NULL;
}

static void list_destroy(void **item)
{
    free(*item);
    *item = NULL;
}

/* ---- forgetting ---------------------------------------------------------------------------- */

static void entry_free(struct history *self, struct entry *entry)
{
    TAILQ_REMOVE(&self->order, entry, order);
    self->events--;
    self->bytes -= entry->footprint;
    packet_release(entry->packet);
    free(entry);
}

/* Takes it out of its list; a list that is empty then goes too. Does not free the event. */
static void member_leave(struct history *self, struct member *member)
{
    struct list *list = member->list;
    TAILQ_REMOVE(&list->members, member, link);
    member->list = NULL;
    member->entry->n_in--;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it does not see TAILQ_REMOVE
    if (--list->size == 0)
        zhashx_delete(self->lists, list->key);
}

static void entry_forget(struct history *self, struct entry *entry)
{
    for (size_t i = 0; i < entry->n_members; i++)
        if (entry->members[i].list)
            member_leave(self, &entry->members[i]);
    entry_free(self, entry);
}

static void list_trim(struct history *self, struct list *list, size_t keep)
{
    while (list->size > keep) {
        struct member *oldest = TAILQ_FIRST(&list->members);
        struct entry *entry = oldest->entry;
        member_leave(self, oldest);
        if (entry->n_in == 0)
            entry_free(self, entry);
    }
}

static int make_room(struct history *self)
{
    int forgotten = 0;
    while (self->bytes > self->bytes_max || zhashx_size(self->lists) > self->lists_max) {
        entry_forget(self, TAILQ_FIRST(&self->order));
        forgotten++;
    }
    return forgotten;
}

/* ---- the interface ------------------------------------------------------------------------- */

struct history *history_new(size_t bytes_max, size_t lists_max)
{
    struct history *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    TAILQ_INIT(&self->order);
    self->bytes_max = bytes_max;
    self->lists_max = lists_max;
    self->lists = zhashx_new();
    zhashx_set_key_hasher(self->lists, key_hash);
    zhashx_set_key_comparator(self->lists, key_compare);
    zhashx_set_key_duplicator(self->lists, key_copy);
    zhashx_set_key_destructor(self->lists, key_destroy);
    zhashx_set_destructor(self->lists, list_destroy);
    return self;
}

void history_destroy(struct history **self_p)
{
    struct history *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    while (!TAILQ_EMPTY(&self->order))
        entry_forget(self, TAILQ_FIRST(&self->order));
    zhashx_destroy(&self->lists);
    free(self);
}

static struct list *list_find_or_make(struct history *self, const struct key *key)
{
    struct list *list = zhashx_lookup(self->lists, key);
    if (list)
        return list;
    list = calloc(1, sizeof *list);
    if (!list)
        return NULL;
    TAILQ_INIT(&list->members);
    zhashx_insert(self->lists, key, list);
    /* The table copied the key; ours is the one it holds. */
    zhashx_lookup(self->lists, key);
    list->key = (struct key *)zhashx_cursor(self->lists);
    return list;
}

static int member_join(struct history *self, struct entry *entry, struct text scope)
{
    struct key key = {entry->packet->event, scope};
    struct list *list = list_find_or_make(self, &key);
    if (!list)
        return -ENOMEM;
    struct member *member = &entry->members[entry->n_members++];
    *member = (struct member){.entry = entry, .list = list};
    TAILQ_INSERT_TAIL(&list->members, member, link);
    list->size++;
    entry->n_in++;
    return 0;
}

static bool has_empty_scope(const struct packet *packet)
{
    for (size_t i = 0; i < packet->n_scopes; i++)
        if (packet->scopes[i].size == 0)
            return true;
    return false;
}

static struct entry *entry_new(struct history *self, struct packet *packet)
{
    size_t size = sizeof(struct entry) + (packet->n_scopes + 1) * sizeof(struct member);
    struct entry *entry = calloc(1, size);
    if (!entry)
        return NULL;
    entry->packet = packet_hold(packet);
    entry->footprint = size + packet->footprint;
    TAILQ_INSERT_TAIL(&self->order, entry, order);
    self->events++;
    self->bytes += entry->footprint;
    return entry;
}

int history_add(struct history *self, struct packet *packet)
{
    if (packet->persist == 0)
        return 0;
    struct entry *entry = entry_new(self, packet);
    if (!entry)
        return -ENOMEM;
    int result = has_empty_scope(packet) ? 0 : member_join(self, entry, (struct text){"", 0});
    for (size_t i = 0; i < packet->n_scopes && result == 0; i++)
        result = member_join(self, entry, packet->scopes[i]);
    if (result < 0 && entry->n_in == 0) {
        entry_free(self, entry);
        return result;
    }
    for (size_t i = 0; i < entry->n_members; i++)
        list_trim(self, entry->members[i].list, packet->persist);
    int forgotten = make_room(self);
    return result < 0 ? result : forgotten;
}

size_t history_read(struct history *self, struct text event, struct text scope, size_t max,
                    void (*visit)(void *context, const struct packet *packet), void *context)
{
    struct key key = {event, scope};
    const struct list *list = zhashx_lookup(self->lists, &key);
    if (!list || max == 0)
        return 0;
    const struct member *member = TAILQ_LAST(&list->members, members);
    size_t n = 1;
    for (const struct member *older; n < max; n++, member = older) {
        older = TAILQ_PREV(member, members, link);
        if (!older)
            break;
    }
    for (; member; member = TAILQ_NEXT(member, link))
        visit(context, member->entry->packet);
    return n;
}

size_t history_events(const struct history *self)
{
    return self->events;
}

size_t history_bytes(const struct history *self)
{
    return self->bytes;
}
