/* SPDX-License-Identifier: Apache-2.0 */

/* From msgpack to JSON. */

#include "cli/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"

json_t *json_of_text(struct text text)
{
    json_t *string = json_stringn(text.at ? text.at : "", text.size);
    return string ? string : json_null();
}

static json_t *number_of(double value)
{
    json_t *real = json_real(value); /* refuses NaN and infinity */
    return real ? real : json_null();
}

static json_t *array_of(const msgpack_object_array *array)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < array->size; i++)
        if (json_array_append_new(list, json_of(&array->ptr[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* Sets each pair whose key is a str. -ENOMEM. */
static int set_pairs(json_t *object, const msgpack_object_map *map)
{
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        if (key->type != MSGPACK_OBJECT_STR)
            continue;
        _cleanup_free_ char *name = strndup(key->via.str.ptr, key->via.str.size);
        if (!name || json_object_set_new(object, name, json_of(&map->ptr[i].val)) < 0)
            return -ENOMEM;
    }
    return 0;
}

static json_t *object_of(const msgpack_object_map *map)
{
    json_t *object = json_object();
    if (object && set_pairs(object, map) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *json_of(const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_BOOLEAN:
        return json_boolean(object->via.boolean);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (object->via.u64 > INT64_MAX)
            return number_of((double)object->via.u64);
        return json_integer((json_int_t)object->via.u64);
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return json_integer(object->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return number_of(object->via.f64);
    case MSGPACK_OBJECT_STR:
        return json_of_text((struct text){object->via.str.ptr, object->via.str.size});
    case MSGPACK_OBJECT_ARRAY:
        return array_of(&object->via.array);
    case MSGPACK_OBJECT_MAP:
        return object_of(&object->via.map);
    default:
        return json_null();
    }
}

json_t *json_of_block(const char *block_id, const msgpack_object *data)
{
    json_t *object = json_pack("{s:s}", "block_id", block_id);
    if (object && data && set_pairs(object, &data->via.map) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

int json_line(json_t *json)
{
    int result = json ? json_dumpf(json, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) : -1;
    json_decref(json);
    if (result < 0)
        return -ENOMEM;
    putchar('\n');
    fflush(stdout);
    return 0;
}
