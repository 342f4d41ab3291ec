/* SPDX-License-Identifier: Apache-2.0 */

/* Reading: one whole message is decoded, and the values of a map are taken by name into a struct,
 * with errors that say where and what. */

#include "schemas/wire.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "schemas/utf8.h"

enum { FIELDS_MAX = 64 };

int wire_open(struct wire_doc *ret_doc, const void *bytes, size_t size, unsigned depth_max,
              struct wps_error *error)
{
    size_t used = 0;
    int result = wire_check(bytes, size, depth_max, &used, error);
    if (result < 0)
        return result;
    if (used != size)
        return wps_error_set(error, -EBADMSG, "%zu bytes follow the one value that is expected",
                             size - used);

    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t offset = 0;
    msgpack_unpack_return unpack = msgpack_unpack_next(&unpacked, bytes, size, &offset);
    if (unpack != MSGPACK_UNPACK_SUCCESS) {
        msgpack_unpacked_destroy(&unpacked);
        if (unpack == MSGPACK_UNPACK_NOMEM_ERROR)
            return wps_error_set(error, -ENOMEM, "no memory to decode %zu bytes", size);
        return wps_error_set(error, -EBADMSG, "not msgpack");
    }
    *ret_doc = (struct wire_doc){unpacked.data, unpacked.zone};
    return 0;
}

void wire_close(struct wire_doc *doc)
{
    if (doc->zone)
        msgpack_zone_free(doc->zone);
    *doc = (struct wire_doc){0};
}

static struct text str_of(const msgpack_object *object)
{
    return (struct text){object->via.str.ptr, object->via.str.size};
}

const msgpack_object *wire_get(const msgpack_object *map, const char *key)
{
    struct text wanted = text_of(key);
    if (map->type != MSGPACK_OBJECT_MAP)
        return NULL;
    for (uint32_t i = map->via.map.size; i > 0; i--) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i - 1];
        if (pair->key.type == MSGPACK_OBJECT_STR && text_equal(str_of(&pair->key), wanted))
            return &pair->val;
    }
    return NULL;
}

const char *wire_type_name(const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return "nil";
    case MSGPACK_OBJECT_BOOLEAN:
        return "bool";
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return "uint";
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return "int";
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return "float";
    case MSGPACK_OBJECT_STR:
        return "str";
    case MSGPACK_OBJECT_ARRAY:
        return "array";
    case MSGPACK_OBJECT_MAP:
        return "map";
    case MSGPACK_OBJECT_BIN:
        return "bin";
    case MSGPACK_OBJECT_EXT:
        return "ext";
    }
    return "unknown";
}

bool wire_utf8_valid(struct text text)
{
    return utf8_valid(text);
}

const char *wire_path(char buffer[static WIRE_PATH_SIZE], const char *path, const char *key,
                      size_t index)
{
    if (!key)
        snprintf(buffer, WIRE_PATH_SIZE, "%s[%zu]", path, index);
    else
        snprintf(buffer, WIRE_PATH_SIZE, "%s%s%s", path, path[0] ? "." : "", key);
    return buffer;
}

/* ---- one value into its slot; `where` is its whole path ------------------------------------- */

static int wrong_type(const char *where, const char *expected, const msgpack_object *value,
                      struct wps_error *error)
{
    return wps_error_set(error, -EINVAL, "%s: expected %s, got %s", where, expected,
                         wire_type_name(value));
}

static int store_str(const msgpack_object *value, const char *where, struct text *slot,
                     struct wps_error *error)
{
    if (value->type != MSGPACK_OBJECT_STR)
        return wrong_type(where, "str", value, error);
    if (!utf8_valid(str_of(value)))
        return wps_error_set(error, -EINVAL, "%s: not valid UTF-8", where);
    *slot = str_of(value);
    return 0;
}

static int store_uint(const msgpack_object *value, const char *where, uint64_t max, uint64_t *slot,
                      struct wps_error *error)
{
    if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return wrong_type(where, "uint", value, error);
    if (value->via.u64 > max)
        return wps_error_set(error, -EINVAL, "%s: at most %" PRIu64 ", got %" PRIu64, where, max,
                             value->via.u64);
    *slot = value->via.u64;
    return 0;
}

static int store_uint32(const msgpack_object *value, const char *where, uint64_t max,
                        uint32_t *slot, struct wps_error *error)
{
    uint64_t number = 0;
    int result = store_uint(value, where, max < UINT32_MAX ? max : UINT32_MAX, &number, error);
    if (result == 0)
        *slot = (uint32_t)number;
    return result;
}

static int store_int(const msgpack_object *value, const char *where, int64_t *slot,
                     struct wps_error *error)
{
    if (value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        *slot = value->via.i64;
        return 0;
    }
    if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return wrong_type(where, "int", value, error);
    uint64_t number = 0;
    int result = store_uint(value, where, INT64_MAX, &number, error);
    if (result == 0)
        *slot = (int64_t)number;
    return result;
}

static int store_bool(const msgpack_object *value, const char *where, bool *slot,
                      struct wps_error *error)
{
    if (value->type != MSGPACK_OBJECT_BOOLEAN)
        return wrong_type(where, "bool", value, error);
    *slot = value->via.boolean;
    return 0;
}

static int store_object(const msgpack_object *value, const char *where, enum wire_type type,
                        const msgpack_object **slot, struct wps_error *error)
{
    if (type == WIRE_MAP && value->type != MSGPACK_OBJECT_MAP)
        return wrong_type(where, "map", value, error);
    if ((type == WIRE_ARRAY || type == WIRE_STR_LIST) && value->type != MSGPACK_OBJECT_ARRAY)
        return wrong_type(where, "array", value, error);
    *slot = value;
    return 0;
}

static int store_str_list(const msgpack_object *value, const char *where,
                          const msgpack_object **slot, struct wps_error *error)
{
    int result = store_object(value, where, WIRE_STR_LIST, slot, error);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < value->via.array.size; i++) {
        const msgpack_object *item = &value->via.array.ptr[i];
        struct text ignored;
        if (store_str(item, "", &ignored, NULL) < 0) {
            char path[WIRE_PATH_SIZE];
            return store_str(item, wire_path(path, where, NULL, i), &ignored, error);
        }
    }
    return 0;
}

int wire_read_value(const msgpack_object *value, const char *where, enum wire_type type,
                    uint64_t max, void *slot, struct wps_error *error)
{
    uint64_t limit = max ? max : UINT64_MAX;
    switch (type) {
    case WIRE_STR:
        return store_str(value, where, slot, error);
    case WIRE_BOOL:
        return store_bool(value, where, slot, error);
    case WIRE_UINT:
        return store_uint(value, where, limit, slot, error);
    case WIRE_UINT32:
        return store_uint32(value, where, limit, slot, error);
    case WIRE_INT:
        return store_int(value, where, slot, error);
    case WIRE_STR_LIST:
        return store_str_list(value, where, slot, error);
    case WIRE_MAP:
    case WIRE_ARRAY:
    case WIRE_ANY:
        return store_object(value, where, type, slot, error);
    }
    return -EINVAL;
}

/* ---- a map ---------------------------------------------------------------------------------- */

/* The path is put together only where something is wrong: for that the value is read again. */
static int read_field(const struct wire_field *field, const msgpack_object *value, const char *path,
                      void *slot, struct wps_error *error)
{
    int result = wire_read_value(value, "", field->type, field->max, slot, NULL);
    if (result < 0 && error) {
        char where[WIRE_PATH_SIZE];
        return wire_read_value(value, wire_path(where, path, field->key, 0), field->type,
                               field->max, slot, error);
    }
    return result;
}

int wire_read(const msgpack_object *map, const char *path, const struct wire_field *fields,
              size_t n_fields, void *ret, uint64_t *ret_present, struct wps_error *error)
{
    uint64_t present = 0;

    assert(n_fields <= FIELDS_MAX);
    if (map->type != MSGPACK_OBJECT_MAP)
        return wps_error_set(error, -EINVAL, "%s%sexpected map, got %s", path, path[0] ? ": " : "",
                             wire_type_name(map));
    for (size_t i = 0; i < n_fields; i++) {
        const msgpack_object *value = wire_get(map, fields[i].key);
        bool absent = !value || value->type == MSGPACK_OBJECT_NIL;
        if (absent && fields[i].required) {
            char where[WIRE_PATH_SIZE];
            return wps_error_set(error, -EINVAL, "%s: missing",
                                 wire_path(where, path, fields[i].key, 0));
        }
        if (absent)
            continue;
        int result = read_field(&fields[i], value, path, (char *)ret + fields[i].offset, error);
        if (result < 0)
            return result;
        present |= UINT64_C(1) << i;
    }
    if (ret_present)
        *ret_present = present;
    return 0;
}
