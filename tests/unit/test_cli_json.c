/* SPDX-License-Identifier: Apache-2.0 */

/* Values of msgpack as JSON. */

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/json.h"

/* It reads so; takes it over. */
static void assert_reads(json_t *json, const char *expected)
{
    _cleanup_free_ char *text =
        json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(json);
    cr_assert_str_eq(text, expected);
}

static msgpack_object text_object(const char *text)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_STR,
                            .via.str = {.ptr = text, .size = (uint32_t)strlen(text)}};
}

Test(json, numbers_are_as_great_as_they_are)
{
    msgpack_object of = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = INT64_MAX};
    assert_reads(json_of(&of), "9223372036854775807");
    of.via.u64 = UINT64_MAX; /* beyond what JSON's integers hold here */
    assert_reads(json_of(&of), "1.84467e19");
    of = (msgpack_object){.type = MSGPACK_OBJECT_NEGATIVE_INTEGER, .via.i64 = INT64_MIN};
    assert_reads(json_of(&of), "-9223372036854775808");
    of = (msgpack_object){.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = 1.5};
    assert_reads(json_of(&of), "1.5");
}

Test(json, what_json_cannot_say_is_null)
{
    msgpack_object of = {.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = NAN};
    assert_reads(json_of(&of), "null");
    of.via.f64 = INFINITY;
    assert_reads(json_of(&of), "null");
    of = (msgpack_object){.type = MSGPACK_OBJECT_EXT, .via.ext = {.size = 1, .ptr = "a"}};
    assert_reads(json_of(&of), "null");
    of = (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.size = 1, .ptr = "a"}};
    assert_reads(json_of(&of), "null");
    of = (msgpack_object){.type = MSGPACK_OBJECT_NIL};
    assert_reads(json_of(&of), "null");
    of = text_object("\xff");
    assert_reads(json_of(&of), "null");
}

Test(json, lists_and_maps_hold_the_same_and_of_a_map_the_keys_that_are_text)
{
    msgpack_object items[] = {{.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true},
                              {.type = MSGPACK_OBJECT_ARRAY, .via.array = {.size = 0}}};
    msgpack_object_kv pairs[] = {
        {.key = text_object("a"),
         .val = {.type = MSGPACK_OBJECT_ARRAY, .via.array = {.size = 2, .ptr = items}}},
        {.key = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 1},
         .val = text_object("left out")},
        {.key = text_object("\"\n"), .val = text_object("")},
    };
    msgpack_object map = {.type = MSGPACK_OBJECT_MAP, .via.map = {.size = 3, .ptr = pairs}};
    assert_reads(json_of(&map), "{\"a\":[true,[]],\"\\\"\\n\":\"\"}");
    assert_reads(json_of_block("b", &map), "{\"block_id\":\"b\",\"a\":[true,[]],\"\\\"\\n\":\"\"}");
    assert_reads(json_of_block("b", NULL), "{\"block_id\":\"b\"}");
}
