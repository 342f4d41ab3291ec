/* SPDX-License-Identifier: Apache-2.0 */

/* Values are the objects of msgpack-c, which its users need not know. */

#include "client/value.h"

#include "client/answer.h"

static const msgpack_object *object_of(const struct proctrack_value *value)
{
    return (const msgpack_object *)value;
}

static const struct proctrack_value *value_of(const msgpack_object *object)
{
    return (const struct proctrack_value *)object;
}

static bool is(const struct proctrack_value *value, msgpack_object_type type)
{
    return value && object_of(value)->type == type;
}

enum proctrack_type proctrack_value_type(const struct proctrack_value *value)
{
    if (!value)
        return PROCTRACK_TYPE_NONE;
    switch (object_of(value)->type) {
    case MSGPACK_OBJECT_NIL:
        return PROCTRACK_TYPE_NONE;
    case MSGPACK_OBJECT_BOOLEAN:
        return PROCTRACK_TYPE_BOOL;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return PROCTRACK_TYPE_UINT;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return PROCTRACK_TYPE_INT;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return PROCTRACK_TYPE_FLOAT;
    case MSGPACK_OBJECT_STR:
        return PROCTRACK_TYPE_STR;
    case MSGPACK_OBJECT_ARRAY:
        return PROCTRACK_TYPE_ARRAY;
    case MSGPACK_OBJECT_MAP:
        return PROCTRACK_TYPE_MAP;
    default:
        return PROCTRACK_TYPE_OTHER;
    }
}

bool proctrack_value_bool(const struct proctrack_value *value, bool otherwise)
{
    return is(value, MSGPACK_OBJECT_BOOLEAN) ? object_of(value)->via.boolean : otherwise;
}

uint64_t proctrack_value_uint(const struct proctrack_value *value, uint64_t otherwise)
{
    return is(value, MSGPACK_OBJECT_POSITIVE_INTEGER) ? object_of(value)->via.u64 : otherwise;
}

int64_t proctrack_value_int(const struct proctrack_value *value, int64_t otherwise)
{
    if (is(value, MSGPACK_OBJECT_NEGATIVE_INTEGER))
        return object_of(value)->via.i64;
    uint64_t number = proctrack_value_uint(value, UINT64_MAX);
    return number <= INT64_MAX ? (int64_t)number : otherwise;
}

double proctrack_value_float(const struct proctrack_value *value, double otherwise)
{
    switch (proctrack_value_type(value)) {
    case PROCTRACK_TYPE_FLOAT:
        return object_of(value)->via.f64;
    case PROCTRACK_TYPE_UINT:
        return (double)object_of(value)->via.u64;
    case PROCTRACK_TYPE_INT:
        return (double)object_of(value)->via.i64;
    default:
        return otherwise;
    }
}

const char *proctrack_value_str(const struct proctrack_value *value, const char *otherwise)
{
    return is(value, MSGPACK_OBJECT_STR) ? object_of(value)->via.str.ptr : otherwise;
}

size_t proctrack_value_size(const struct proctrack_value *value)
{
    switch (proctrack_value_type(value)) {
    case PROCTRACK_TYPE_STR:
        return object_of(value)->via.str.size;
    case PROCTRACK_TYPE_ARRAY:
        return object_of(value)->via.array.size;
    case PROCTRACK_TYPE_MAP:
        return object_of(value)->via.map.size;
    default:
        return 0;
    }
}

const struct proctrack_value *proctrack_value_get(const struct proctrack_value *map,
                                                  const char *key)
{
    return is(map, MSGPACK_OBJECT_MAP) ? value_of(wire_get(object_of(map), key)) : NULL;
}

static const msgpack_object_kv *pair_at(const struct proctrack_value *map, size_t place)
{
    if (!is(map, MSGPACK_OBJECT_MAP) || place >= object_of(map)->via.map.size)
        return NULL;
    return &object_of(map)->via.map.ptr[place];
}

const struct proctrack_value *proctrack_value_item(const struct proctrack_value *value,
                                                   size_t place)
{
    if (is(value, MSGPACK_OBJECT_ARRAY) && place < object_of(value)->via.array.size)
        return value_of(&object_of(value)->via.array.ptr[place]);
    const msgpack_object_kv *pair = pair_at(value, place);
    return pair ? value_of(&pair->val) : NULL;
}

const char *proctrack_value_key(const struct proctrack_value *map, size_t place)
{
    const msgpack_object_kv *pair = pair_at(map, place);
    return pair ? proctrack_value_str(value_of(&pair->key), NULL) : NULL;
}
