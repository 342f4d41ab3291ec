/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCTRACK_VALUE_H
#define PROCTRACK_VALUE_H

/*
 * Reading what a broker sent: a tree of values, as in JSON.
 *
 *     const struct proctrack_value *limits = proctrack_value_get(reply->data, "limits");
 *     uint64_t most = proctrack_value_uint(proctrack_value_get(limits, "processes"), 0);
 *
 * All of these take null and values of other types than they are for, and then say so by what they
 * return: a chain of them needs no checks in between. Pure, any thread; what they return lives as
 * long as the reply or the event that it is part of.
 */

#include <stdbool.h>

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

struct proctrack_value;

enum proctrack_type {
    PROCTRACK_TYPE_NONE, /* nil, or null: there is no such value */
    PROCTRACK_TYPE_BOOL,
    PROCTRACK_TYPE_UINT,
    PROCTRACK_TYPE_INT, /* a negative one */
    PROCTRACK_TYPE_FLOAT,
    PROCTRACK_TYPE_STR,
    PROCTRACK_TYPE_ARRAY,
    PROCTRACK_TYPE_MAP,
    PROCTRACK_TYPE_OTHER, /* of msgpack, but not of this protocol: bin, ext */
};

PROCTRACK_API enum proctrack_type proctrack_value_type(const struct proctrack_value *value);

/* What it holds; `otherwise` where it holds something else, or a number that is out of range. */
PROCTRACK_API bool proctrack_value_bool(const struct proctrack_value *value, bool otherwise);
PROCTRACK_API uint64_t proctrack_value_uint(const struct proctrack_value *value,
                                            uint64_t otherwise);
PROCTRACK_API int64_t proctrack_value_int(const struct proctrack_value *value, int64_t otherwise);
PROCTRACK_API double proctrack_value_float(const struct proctrack_value *value, double otherwise);
/* Ends in NUL; it may hold others before: proctrack_value_size tells its true length. */
PROCTRACK_API const char *proctrack_value_str(const struct proctrack_value *value,
                                              const char *otherwise);

/* Bytes of a str, items of an array, pairs of a map; else 0. */
PROCTRACK_API size_t proctrack_value_size(const struct proctrack_value *value);

/* The value of a key in a map (of repeated ones the last), or null. */
PROCTRACK_API const struct proctrack_value *proctrack_value_get(const struct proctrack_value *map,
                                                                const char *key);

/* The item of an array, or the value of a pair of a map, by its place from 0; null beyond the
 * last. */
PROCTRACK_API const struct proctrack_value *proctrack_value_item(
    const struct proctrack_value *value, size_t place);

/* The key of a pair of a map, by its place; null beyond the last, and where it is no str. */
PROCTRACK_API const char *proctrack_value_key(const struct proctrack_value *map, size_t place);

#ifdef __cplusplus
}
#endif

#endif
