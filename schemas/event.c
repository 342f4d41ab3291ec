/* SPDX-License-Identifier: Apache-2.0 */

/* The event envelope. Its `data` is found in the message as bytes and passed on as bytes: what a
 * sender put there arrives unchanged, whatever this code makes of the rest; but each str in it has
 * to be UTF-8, or no reader could decode the message. */

#include "schemas/event.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

void event_pack(struct wire_out *out, const struct event *event)
{
    size_t n_pairs = 1 + (event->n_scopes > 0) + (event->sender.size > 0) + (event->persist > 0) +
                     (event->data.size > 0);
    wire_put_map(out, n_pairs);
    wire_pair_text(out, "event", event->event);
    if (event->n_scopes > 0) {
        wire_put_str(out, "scopes");
        wire_put_array(out, event->n_scopes);
        for (size_t i = 0; i < event->n_scopes; i++)
            wire_put_text(out, event->scopes[i]);
    }
    if (event->sender.size > 0)
        wire_pair_text(out, "sender", event->sender);
    if (event->persist > 0)
        wire_pair_uint(out, "persist", event->persist);
    if (event->data.size > 0) {
        wire_put_str(out, "data");
        wire_put_raw(out, event->data.at, event->data.size);
    }
}

/* ---- scopes --------------------------------------------------------------------------------- */

/* A scope and where it stood. */
struct standing {
    struct text scope;
    size_t position;
};

static int compare_standing(const void *left, const void *right)
{
    const struct standing *a = left;
    const struct standing *b = right;
    size_t common = a->scope.size < b->scope.size ? a->scope.size : b->scope.size;
    int order = common > 0 ? memcmp(a->scope.at, b->scope.at, common) : 0;
    if (order != 0)
        return order;
    if (a->scope.size != b->scope.size)
        return a->scope.size < b->scope.size ? -1 : 1;
    return a->position < b->position ? -1 : a->position > b->position;
}

/* Keeps the first of each scope, in the order given. Sorted, because a thousand scopes compared
 * each with each would let one sender hold up the broker. Returns how many are left, or -ENOMEM. */
static ssize_t drop_repeated(struct text *scopes, size_t n_scopes)
{
    if (n_scopes < 2)
        return (ssize_t)n_scopes;
    _cleanup_free_ struct standing *sorted = calloc(n_scopes, sizeof *sorted);
    _cleanup_free_ bool *repeated = calloc(n_scopes, sizeof *repeated);
    if (!sorted || !repeated)
        return -ENOMEM;
    for (size_t i = 0; i < n_scopes; i++)
        sorted[i] = (struct standing){scopes[i], i};
    qsort(sorted, n_scopes, sizeof *sorted, compare_standing);
    for (size_t i = 1; i < n_scopes; i++)
        repeated[sorted[i].position] = text_equal(sorted[i].scope, sorted[i - 1].scope);

    size_t kept = 0;
    for (size_t i = 0; i < n_scopes; i++) {
        if (!repeated[i])
            scopes[kept++] = scopes[i];
    }
    return (ssize_t)kept;
}

static int check_scopes(const msgpack_object_array *list, const char *path, struct wps_error *error)
{
    char where[WIRE_PATH_SIZE];
    if (list->size > EVENT_SCOPES_MAX)
        return wps_error_set(error, -EINVAL, "%s: at most %d scopes, got %u",
                             wire_path(where, path, "scopes", 0), EVENT_SCOPES_MAX, list->size);
    for (uint32_t i = 0; i < list->size; i++) {
        const msgpack_object_str *item = &list->ptr[i].via.str;
        struct text scope = {item->ptr, item->size};
        if (topic_check(scope, "", NULL) < 0) {
            char key[WIRE_PATH_SIZE];
            wire_path(key, "scopes", NULL, i);
            return topic_check(scope, wire_path(where, path, key, 0), error);
        }
    }
    return 0;
}

/* Fills `*ret` and `*ret_n`; the array is the caller's to free. */
static int read_scopes(const msgpack_object *list, const char *path, struct text **ret,
                       size_t *ret_n, struct wps_error *error)
{
    const msgpack_object_array *array = &list->via.array;
    int result = check_scopes(array, path, error);
    if (result < 0 || array->size == 0)
        return result;

    _cleanup_free_ struct text *scopes = calloc(array->size, sizeof *scopes);
    if (!scopes)
        return wps_error_set(error, -ENOMEM, "no memory for %u scopes", array->size);
    for (uint32_t i = 0; i < array->size; i++)
        scopes[i] = (struct text){array->ptr[i].via.str.ptr, array->ptr[i].via.str.size};
    ssize_t kept = drop_repeated(scopes, array->size);
    if (kept < 0)
        return wps_error_set(error, -ENOMEM, "no memory for %u scopes", array->size);
    *ret = take_ptr(scopes);
    *ret_n = (size_t)kept;
    return 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

struct event_keys {
    struct text event, sender;
    uint64_t persist;
    const msgpack_object *scopes;
    const msgpack_object *data;
};

static const struct wire_field event_fields[] = {
    {"event", WIRE_STR, true, offsetof(struct event_keys, event)},
    {"scopes", WIRE_STR_LIST, false, offsetof(struct event_keys, scopes)},
    {"sender", WIRE_STR, false, offsetof(struct event_keys, sender)},
    {"persist", WIRE_UINT, false, offsetof(struct event_keys, persist)},
    {"data", WIRE_ANY, false, offsetof(struct event_keys, data)},
};

/* `ret` was zeroed by the caller. */
static int read_keys(struct event_keys *ret, const msgpack_object *map, const char *path,
                     struct wps_error *error)
{
    int result = wire_read(map, path, event_fields, sizeof event_fields / sizeof *event_fields, ret,
                           NULL, error);
    if (result == 0 && ret->event.size == 0) {
        char where[WIRE_PATH_SIZE];
        return wps_error_set(error, -EINVAL, "%s: must not be empty",
                             wire_path(where, path, "event", 0));
    }
    return result;
}

/* It is passed on as it is. */
static int find_data(struct text *ret, struct text raw, const char *path, struct wps_error *error)
{
    struct wps_error why;
    char where[WIRE_PATH_SIZE];
    if (wire_find_raw(raw, "data", ret) < 0)
        return wps_error_set(error, -EBADMSG, "the bytes given are not those of the event");
    if (wire_check_texts(ret->at, ret->size, WIRE_DEPTH_LIMIT, NULL, &why) < 0)
        return wps_error_set(error, -EINVAL, "%s: %s", wire_path(where, path, "data", 0),
                             why.message);
    return 0;
}

int event_open_object(struct event_doc *ret, const msgpack_object *map, struct text raw,
                      const char *path, struct wps_error *error)
{
    struct event_keys keys = {0};
    struct event_doc doc = {0};

    int result = read_keys(&keys, map, path, error);
    if (result < 0)
        return result;
    if (keys.data)
        result = find_data(&doc.event.data, raw, path, error);
    if (result < 0)
        return result;
    if (keys.scopes) {
        result = read_scopes(keys.scopes, path, &doc.scopes, &doc.event.n_scopes, error);
        if (result < 0)
            return result;
    }
    doc.event.event = keys.event;
    doc.event.sender = keys.sender;
    doc.event.persist = keys.persist < EVENT_PERSIST_MAX ? keys.persist : EVENT_PERSIST_MAX;
    doc.event.scopes = doc.scopes;
    *ret = doc;
    return 0;
}

int event_open(struct event_doc *ret, const void *bytes, size_t size, const char *path,
               struct wps_error *error)
{
    struct event_doc event;
    struct wire_doc doc;

    int result = wire_open(&doc, bytes, size, WIRE_DEPTH_MAX, error);
    if (result < 0)
        return result;
    result = event_open_object(&event, &doc.root, (struct text){bytes, size}, path, error);
    if (result < 0) {
        wire_close(&doc);
        return result;
    }
    event.doc = doc;
    *ret = event;
    return 0;
}

void event_close(struct event_doc *doc)
{
    free(doc->scopes);
    wire_close(&doc->doc);
    *doc = (struct event_doc){0};
}
