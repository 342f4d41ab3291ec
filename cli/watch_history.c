/* SPDX-License-Identifier: Apache-2.0 */

/* Merging of what was kept. */

#include "cli/watch_history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
/* Where memory runs out uthash leaves the item out and its `tbl` null, rather than calling exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "schemas/block_event.h"

/* One event of it. */
struct kept {
    struct wire_out bytes; /* those that `doc` is a view of */
    struct event_doc doc;
    struct wire_doc data;
    struct block_point at; /* without a block: empty */
    size_t life;           /* of that block: its epochs are counted as they are met */
    size_t order;          /* in which it was read */
};

/* A block, or one life of it. */
struct life {
    UT_hash_handle hh;
    size_t number; /* of a block: how many lives were met */
    size_t size;   /* of the key: the id, and behind a NUL the epoch */
    char key[BLOCK_ID_MAX + 1 + EPOCH_MAX];
};

struct history {
    struct kept *kept;
    size_t n;
    struct life *lives;
};

static void clear(struct history *history)
{
    for (size_t i = 0; i < history->n; i++) {
        wire_close(&history->kept[i].data);
        event_close(&history->kept[i].doc);
        wire_out_destroy(&history->kept[i].bytes);
    }
    free(history->kept);
    struct life *life, *next;
    HASH_ITER (hh, history->lives, life, next) {
        HASH_DEL(history->lives, life);
        free(life);
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Null: out of memory. */
static struct life *find_life(struct history *history, struct text block, struct text epoch)
{
    struct life *life = calloc(1, sizeof *life), *found = NULL;
    if (!life)
        return NULL;
    text_copy(life->key, block);
    text_copy(life->key + block.size + 1, epoch);
    life->size = block.size + 1 + epoch.size;
    HASH_FIND(hh, history->lives, life->key, life->size, found);
    if (!found) {
        HASH_ADD_KEYPTR(hh, history->lives, life->key, life->size, life);
        if (life->hh.tbl)
            return life;
    }
    free(life);
    return found;
}

/* Which life of its block an event is of, from 1. The broker answers each name's events oldest
 * first, so an epoch that is met later is a later one; but for one that left no event of the names
 * before. 0: out of memory, or of no block. */
static size_t life_of(struct history *history, struct block_point at)
{
    if (at.block_id.size == 0 || at.block_id.size > BLOCK_ID_MAX || at.epoch.size == 0 ||
        at.epoch.size > EPOCH_MAX)
        return 0;
    struct life *life = find_life(history, at.block_id, at.epoch);
    struct life *block = find_life(history, at.block_id, (struct text){NULL, 0});
    if (life && block && life->number == 0)
        life->number = ++block->number;
    return life ? life->number : 0;
}

/* Takes one in, from bytes of its own. What cannot be read is passed over. */
static void add(struct history *history, const msgpack_object *object)
{
    struct kept *kept = &history->kept[history->n];
    *kept = (struct kept){.order = history->n};
    wire_out_init(&kept->bytes);
    wire_put_object(&kept->bytes, object);
    const msgpack_sbuffer *bytes = &kept->bytes.bytes;
    if (wire_out_failed(&kept->bytes) ||
        event_open(&kept->doc, bytes->data, bytes->size, "", NULL) < 0) {
        wire_out_destroy(&kept->bytes);
        return;
    }
    const struct text data = kept->doc.event.data;
    struct block_point at;
    if (data.size > 0 && wire_open(&kept->data, data.at, data.size, WIRE_DEPTH_LIMIT, NULL) == 0 &&
        kept->data.root.type == MSGPACK_OBJECT_MAP &&
        block_point_read(&at, &kept->data.root, NULL) == 0)
        kept->at = at;
    kept->life = life_of(history, kept->at);
    history->n++;
}

static int add_all(struct history *history, const msgpack_object *data, struct wps_error *error)
{
    static const struct wire_field fields[] = {{"events", WIRE_ARRAY, true, 0}};
    const msgpack_object *events;
    int result = wire_read(data, "data", fields, 1, &events, NULL, error);
    if (result < 0)
        return result;
    uint32_t n = events->via.array.size;
    struct kept *kept = realloc(history->kept, (history->n + n + 1) * sizeof *kept);
    if (!kept)
        return wps_error_system(error, -ENOMEM, "cannot read old events");
    history->kept = kept;
    for (uint32_t i = 0; i < n; i++)
        add(history, &events->via.array.ptr[i]);
    return 0;
}

static int read_name(struct history *history, struct watch_link *link, const char *name,
                     const char *scope, uint64_t n, struct wps_error *error)
{
    struct reply reply;
    zmq_msg_t body;
    uint64_t most = *scope ? n : EVENT_PERSIST_MAX; /* those of all are of many blocks */
    zmq_msg_init(&body);
    int result = watch_link_history(link, name, scope, most, &reply, &body, error);
    while (result == -EREMOTEIO && most > n) { /* more than the broker puts into one reply */
        most = most / 2 > n ? most / 2 : n;
        result = watch_link_history(link, name, scope, most, &reply, &body, error);
    }
    if (result == 0) {
        result = add_all(history, reply.data, error);
        reply_close(&reply);
    }
    zmq_msg_close(&body);
    return result;
}

/* ---- showing -------------------------------------------------------------------------------- */

static int compare_text(struct text a, struct text b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int result = size ? memcmp(a.at, b.at, size) : 0;
    return result ? result : (a.size > b.size) - (a.size < b.size);
}

static int compare(const void *a, const void *b)
{
    const struct kept *x = *(struct kept *const *)a, *y = *(struct kept *const *)b;
    int result = compare_text(x->at.block_id, y->at.block_id);
    if (result == 0)
        result = (x->life > y->life) - (x->life < y->life);
    if (result == 0)
        result = (x->at.seq > y->at.seq) - (x->at.seq < y->at.seq);
    return result ? result : (x->order > y->order) - (x->order < y->order);
}

/* True where `n` or more of the same block come behind it. */
static bool is_too_old(struct kept *const *sorted, size_t n_sorted, size_t i, uint64_t n)
{
    return n < n_sorted - i && text_equal(sorted[i]->at.block_id, sorted[i + n]->at.block_id);
}

static int show_all(struct history *history, uint64_t n,
                    void (*show)(void *context, const struct event *event), void *context,
                    struct wps_error *error)
{
    _cleanup_free_ struct kept **sorted = calloc(history->n + 1, sizeof *sorted);
    if (!sorted)
        return wps_error_system(error, -ENOMEM, "cannot read old events");
    for (size_t i = 0; i < history->n; i++)
        sorted[i] = &history->kept[i];
    qsort(sorted, history->n, sizeof *sorted, compare);
    for (size_t i = 0; i < history->n; i++)
        if (!is_too_old(sorted, history->n, i, n))
            show(context, &sorted[i]->doc.event);
    return 0;
}

int watch_history_read(struct watch_link *link, const char *const *names, size_t n_names,
                       const char *scope, uint64_t n,
                       void (*show)(void *context, const struct event *event), void *context,
                       struct wps_error *error)
{
    struct history history = {0};
    int result = 0;
    for (size_t i = 0; i < n_names && result == 0; i++)
        result = read_name(&history, link, names[i], scope, n, error);
    if (result == 0)
        result = show_all(&history, n, show, context, error);
    clear(&history);
    return result;
}
