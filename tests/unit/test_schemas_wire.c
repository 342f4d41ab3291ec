/* SPDX-License-Identifier: Apache-2.0 */

/* Reading msgpack: what wire_check lets through, what wire_open makes of it, what wire_read takes
 * out of a map, and the sentence where it does not. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "test_schemas_tools.h"

/* ---- wire_check ----------------------------------------------------------------------------- */

static struct wps_error error;

static int check(const char *bytes, size_t size)
{
    error.message[0] = '\0';
    return wire_check(bytes, size, WIRE_DEPTH_MAX, NULL, &error);
}

static void assert_said(const char *part)
{
    cr_assert(strstr(error.message, part), "'%s' is not in '%s'", part, error.message);
}

/* One value of each first byte, as text; what follows the first byte is as long as it has to be. */
static const char *const values[] = {
    "<00>",
    "<7f>",
    "<80>",
    "<81 a1 61 01>",
    "<90>",
    "<92 01 02>",
    "<a0>",
    "<a3 61 62 63>",
    "<c0>",
    "<c2>",
    "<c3>",
    "<c4 02 ff ff>",
    "<c5 00 02 ff ff>",
    "<c6 00 00 00 02 ff ff>",
    "<c7 02 07 ff ff>",
    "<c8 00 02 07 ff ff>",
    "<c9 00 00 00 02 07 ff ff>",
    "<ca 3f 80 00 00>",
    "<cb 3f f0 00 00 00 00 00 00>",
    "<cc ff>",
    "<cd ff ff>",
    "<ce ff ff ff ff>",
    "<cf ff ff ff ff ff ff ff ff>",
    "<d0 80>",
    "<d1 80 00>",
    "<d2 80 00 00 00>",
    "<d3 80 00 00 00 00 00 00 00>",
    "<d4 01 ff>",
    "<d5 01 ff ff>",
    "<d6 01 ff ff ff ff>",
    "<d7 01 ff ff ff ff ff ff ff ff>",
    "<d8 01 ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff>",
    "<d9 02 61 62>",
    "<da 00 02 61 62>",
    "<db 00 00 00 02 61 62>",
    "<dc 00 02 01 02>",
    "<dd 00 00 00 02 01 02>",
    "<de 00 01 a1 61 01>",
    "<df 00 00 00 01 a1 61 01>",
    "<e0>",
    "<ff>",
};
enum { N_VALUES = sizeof values / sizeof *values };

Test(wire, a_value_of_every_format_is_passed_whole)
{
    for (size_t i = 0; i < N_VALUES; i++) {
        WIRE_OUT(out);
        pack_text(&out, values[i]);
        size_t used = 0;
        int result = wire_check(out.bytes.data, out.bytes.size, WIRE_DEPTH_MAX, &used, &error);
        cr_assert_eq(result, 0, "%s: %s", values[i], error.message);
        cr_assert_eq(used, out.bytes.size, "%s: used %zu", values[i], used);
    }
}

Test(wire, a_value_cut_short_anywhere_is_refused)
{
    for (size_t i = 0; i < N_VALUES; i++) {
        WIRE_OUT(out);
        pack_text(&out, values[i]);
        for (size_t size = 0; size < out.bytes.size; size++) {
            char *bytes = exact_copy(out.bytes.data, size);
            cr_assert_eq(check(bytes, size), -EBADMSG, "%s cut at %zu", values[i], size);
            assert_said(size == 0 ? "empty" : "cut short");
            free(bytes);
        }
    }
}

Test(wire, bytes_behind_the_value_are_not_counted)
{
    size_t used = 0;
    cr_assert_eq(wire_check("\xa1xyz", 4, WIRE_DEPTH_MAX, &used, NULL), 0);
    cr_assert_eq(used, 2);
}

Test(wire, the_byte_that_msgpack_never_uses_is_refused)
{
    cr_assert_eq(check("\xc1", 1), -EBADMSG);
    assert_said("not msgpack: 0xc1 at byte 0");
    cr_assert_eq(check("\x92\x01\xc1", 3), -EBADMSG);
    assert_said("at byte 2");
}

Test(wire, a_str_that_is_not_utf8_is_refused_where_texts_are_checked)
{
    static const char *const wrong[] = {"\xa1\xff", "\x91\xa2\xe2\x82", "\x81\xa1\xc1\x01",
                                        "\xd9\x01\xff", "\xda\x00\x01\xff"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        size_t size = i < 4 ? strlen(wrong[i]) : 4;
        cr_assert_eq(wire_check(wrong[i], size, WIRE_DEPTH_MAX, NULL, &error), 0);
        cr_assert_eq(wire_check_texts(wrong[i], size, WIRE_DEPTH_MAX, NULL, &error), -EBADMSG);
        assert_said(i == 1 || i == 2 ? "not valid UTF-8: the str at byte 1"
                                     : "not valid UTF-8: the str at byte 0");
    }
}

Test(wire, bin_ext_and_numbers_are_no_texts)
{
    static const char value[] = "\x94\xc4\x01\xff\xd4\x05\xff\xa3\xe2\x82\xac\xcc\xff";
    size_t used = 0;
    cr_assert_eq(wire_check_texts(value, sizeof value - 1, WIRE_DEPTH_MAX, &used, &error), 0);
    cr_assert_eq(used, sizeof value - 1);
}

Test(wire, array_that_claims_four_billion_items_is_refused)
{
    cr_assert_eq(check("\xdd\xff\xff\xff\xff", 5), -EBADMSG);
    assert_said("cut short: the value at byte 0 is longer than the 5 bytes left");
}

Test(wire, map_that_claims_four_billion_pairs_is_refused)
{
    cr_assert_eq(check("\xdf\xff\xff\xff\xff", 5), -EBADMSG);
}

Test(wire, string_bin_and_ext_that_claim_four_gigabytes_are_refused)
{
    cr_assert_eq(check("\xdb\xff\xff\xff\xff", 5), -EBADMSG);
    cr_assert_eq(check("\xc6\xff\xff\xff\xff", 5), -EBADMSG);
    cr_assert_eq(check("\xc9\xff\xff\xff\xff\x01", 6), -EBADMSG);
}

Test(wire, arrays_in_each_other_that_together_claim_too_much_are_refused)
{
    /* Each claim fits in what is left; the sum does not. */
    cr_assert_eq(check("\x93\x92\x01\x02", 4), -EBADMSG);
    cr_assert_eq(check("\x93\x93\x93\x01", 4), -EBADMSG);
}

static int check_nested(size_t depth, unsigned depth_max, char opener, char innermost)
{
    char *bytes = malloc(depth + 1);
    memset(bytes, opener, depth);
    bytes[depth] = innermost;
    int result = wire_check(bytes, depth + 1, depth_max, NULL, &error);
    free(bytes);
    return result;
}

Test(wire, nesting_counts_arrays_and_maps_from_the_outermost)
{
    cr_assert_eq(check_nested(16, 16, '\x91', '\x01'), 0);
    cr_assert_eq(check_nested(17, 16, '\x91', '\x01'), -EBADMSG);
    assert_said("too deep: over 16 arrays and maps in each other at byte 16");
    cr_assert_eq(check_nested(32, 32, '\x91', '\x01'), 0);
    cr_assert_eq(check_nested(33, 32, '\x91', '\x01'), -EBADMSG);
}

Test(wire, an_empty_array_counts_as_one_more_level)
{
    cr_assert_eq(check_nested(15, 16, '\x91', '\x90'), 0);
    cr_assert_eq(check_nested(16, 16, '\x91', '\x90'), -EBADMSG);
    cr_assert_eq(check_nested(16, 16, '\x91', '\x80'), -EBADMSG);
}

Test(wire, with_no_depth_allowed_only_plain_values_pass)
{
    cr_assert_eq(wire_check("\x01", 1, 0, NULL, NULL), 0);
    cr_assert_eq(wire_check("\x90", 1, 0, NULL, NULL), -EBADMSG);
    cr_assert_eq(wire_check("\x80", 1, 0, NULL, NULL), -EBADMSG);
}

Test(wire, a_hundred_thousand_arrays_in_each_other_are_too_deep)
{
    cr_assert_eq(check_nested(100000, 16, '\x91', '\x01'), -EBADMSG);
    assert_said("too deep");
}

Test(wire, siblings_do_not_add_up_to_depth)
{
    WIRE_OUT(out);
    pack_text(&out, "[[[1], [2], []], {'a': [3]}, [[4]]]");
    cr_assert_eq(wire_check(out.bytes.data, out.bytes.size, 3, NULL, &error), 0, "%s",
                 error.message);
    cr_assert_eq(wire_check(out.bytes.data, out.bytes.size, 2, NULL, NULL), -EBADMSG);
}

Test(wire, a_map_may_have_keys_of_any_type)
{
    WIRE_OUT(out);
    pack_text(&out, "{1: 2, [1, {}]: 'x', nil: nil, <c4 01 ff>: true}");
    cr_assert_eq(check(out.bytes.data, out.bytes.size), 0);
}

/* ---- wire_open ------------------------------------------------------------------------------ */

Test(wire, what_is_checked_is_decoded)
{
    WIRE_OUT(out);
    WIRE_OUT(again);
    struct wire_doc doc;
    pack_text(&out, "{'a': [1, -1, 1.5, true, nil, 'x', <c4 01 ff>, <d4 01 ff>], 2: {}}");
    cr_assert_eq(wire_open(&doc, out.bytes.data, out.bytes.size, WIRE_DEPTH_MAX, &error), 0);
    wire_put_object(&again, &doc.root);
    cr_assert(text_equal(packed(&out), packed(&again)));
    wire_close(&doc);
}

Test(wire, bytes_behind_the_one_value_are_refused)
{
    struct wire_doc doc;
    cr_assert_eq(wire_open(&doc, "\x01\x02\x03", 3, WIRE_DEPTH_MAX, &error), -EBADMSG);
    assert_said("2 bytes follow the one value");
}

Test(wire, a_document_of_the_greatest_depth_is_decoded)
{
    char bytes[WIRE_DEPTH_LIMIT + 1];
    struct wire_doc doc;
    memset(bytes, '\x91', WIRE_DEPTH_LIMIT);
    bytes[WIRE_DEPTH_LIMIT] = '\x01';
    cr_assert_eq(wire_open(&doc, bytes, sizeof bytes, WIRE_DEPTH_LIMIT, &error), 0, "%s",
                 error.message);
    wire_close(&doc);
    bytes[WIRE_DEPTH_LIMIT - 1] = '\x90';
    cr_assert_eq(wire_open(&doc, bytes, WIRE_DEPTH_LIMIT, WIRE_DEPTH_LIMIT, &error), 0);
    wire_close(&doc);
}

Test(wire, a_zeroed_document_can_be_closed)
{
    struct wire_doc doc = {0};
    wire_close(&doc);
    wire_close(&doc);
}

Test(wire, a_failed_open_leaves_the_document_alone)
{
    struct wire_doc doc = {.root = {.type = MSGPACK_OBJECT_BIN}};
    cr_assert_eq(wire_open(&doc, "\xc1", 1, WIRE_DEPTH_MAX, NULL), -EBADMSG);
    cr_assert_eq(doc.root.type, MSGPACK_OBJECT_BIN);
    cr_assert_null(doc.zone);
}

/* ---- wire_read ------------------------------------------------------------------------------ */

struct sample {
    struct text name;
    bool flag;
    uint64_t count, limited;
    uint32_t small;
    int64_t number;
    const msgpack_object *map, *array, *list, *any;
};

enum { NAME, FLAG, COUNT, LIMITED, SMALL, NUMBER, MAP, ARRAY, LIST, ANY, N_FIELDS };

static const struct wire_field fields[N_FIELDS] = {
    [NAME] = {"name", WIRE_STR, true, offsetof(struct sample, name)},
    [FLAG] = {"flag", WIRE_BOOL, false, offsetof(struct sample, flag)},
    [COUNT] = {"count", WIRE_UINT, false, offsetof(struct sample, count)},
    [LIMITED] = {"limited", WIRE_UINT, false, offsetof(struct sample, limited), 10},
    [SMALL] = {"small", WIRE_UINT32, false, offsetof(struct sample, small)},
    [NUMBER] = {"number", WIRE_INT, false, offsetof(struct sample, number)},
    [MAP] = {"map", WIRE_MAP, false, offsetof(struct sample, map)},
    [ARRAY] = {"array", WIRE_ARRAY, false, offsetof(struct sample, array)},
    [LIST] = {"list", WIRE_STR_LIST, false, offsetof(struct sample, list)},
    [ANY] = {"any", WIRE_ANY, false, offsetof(struct sample, any)},
};

/* Reads `text`; the document is left open for what the sample points to. */
static int read_sample(struct wire_out *out, struct wire_doc *doc, const char *text,
                       struct sample *sample, uint64_t *present)
{
    pack_text(out, text);
    int result = wire_open(doc, out->bytes.data, out->bytes.size, WIRE_DEPTH_MAX, &error);
    cr_assert_eq(result, 0, "%s: %s", text, error.message);
    error.message[0] = '\0';
    return wire_read(&doc->root, "data", fields, N_FIELDS, sample, present, &error);
}

Test(wire, a_map_is_read_into_a_struct)
{
    WIRE_OUT(out);
    struct wire_doc doc;
    struct sample sample = {0};
    uint64_t present;
    int result = read_sample(&out, &doc,
                             "{'name': 'x\\xc3\\xa9', 'flag': true, 'count': 18446744073709551615,"
                             " 'limited': 10, 'small': 4294967295, 'number': -5, 'map': {},"
                             " 'array': [1, 'a'], 'list': ['a', 'b'], 'any': 1.5}",
                             &sample, &present);
    cr_assert_eq(result, 0, "%s", error.message);
    assert_text(sample.name, "x\xc3\xa9");
    cr_assert(sample.flag);
    cr_assert_eq(sample.count, UINT64_MAX);
    cr_assert_eq(sample.limited, 10);
    cr_assert_eq(sample.small, UINT32_MAX);
    cr_assert_eq(sample.number, -5);
    cr_assert_eq(sample.map->via.map.size, 0);
    cr_assert_eq(sample.array->via.array.size, 2);
    cr_assert_eq(sample.list->via.array.size, 2);
    cr_assert_eq(sample.any->type, MSGPACK_OBJECT_FLOAT64);
    cr_assert_eq(present, (1u << N_FIELDS) - 1);
    wire_close(&doc);
}

Test(wire, absent_and_nil_keys_leave_the_default_alone)
{
    WIRE_OUT(out);
    struct wire_doc doc;
    struct sample sample = {.count = 7, .flag = true, .number = -1};
    uint64_t present;
    int result = read_sample(&out, &doc, "{'count': nil, 'name': '', 'flag': nil, 'other': 1}",
                             &sample, &present);
    cr_assert_eq(result, 0, "%s", error.message);
    cr_assert_eq(sample.count, 7);
    cr_assert_eq(sample.number, -1);
    cr_assert(sample.flag);
    cr_assert_eq(present, 1u << NAME);
    wire_close(&doc);
}

Test(wire, of_repeated_keys_the_last_counts)
{
    WIRE_OUT(out);
    struct wire_doc doc;
    struct sample sample = {0};
    int result =
        read_sample(&out, &doc, "{'name': 'a', 'count': 1, 'name': 'b', 'count': 2, 'name': 'c'}",
                    &sample, NULL);
    cr_assert_eq(result, 0);
    assert_text(sample.name, "c");
    cr_assert_eq(sample.count, 2);
    wire_close(&doc);
}

Test(wire, a_positive_number_is_an_int_too)
{
    WIRE_OUT(out);
    struct wire_doc doc;
    struct sample sample = {0};
    cr_assert_eq(
        read_sample(&out, &doc, "{'name': '', 'number': 9223372036854775807}", &sample, NULL), 0);
    cr_assert_eq(sample.number, INT64_MAX);
    wire_close(&doc);
}

Test(wire, what_is_no_map_has_no_keys)
{
    const msgpack_object number = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER};
    cr_assert_null(wire_get(&number, "name"));
}

static const struct {
    const char *text, *sentence;
} refusals[] = {
    {"{}", "data.name: missing"},
    {"{'name': nil}", "data.name: missing"},
    {"{<c4 04 6e 61 6d 65>: 'x'}", "data.name: missing"},
    {"{'name': 1}", "data.name: expected str, got uint"},
    {"{'name': <c4 01 61>}", "data.name: expected str, got bin"},
    {"{'name': <d4 01 61>}", "data.name: expected str, got ext"},
    {"{'name': 'a\\xff'}", "data.name: not valid UTF-8"},
    {"{'name': '', 'flag': 1}", "data.flag: expected bool, got uint"},
    {"{'name': '', 'flag': 'true'}", "data.flag: expected bool, got str"},
    {"{'name': '', 'count': '5'}", "data.count: expected uint, got str"},
    {"{'name': '', 'count': -5}", "data.count: expected uint, got int"},
    {"{'name': '', 'count': 5.0}", "data.count: expected uint, got float"},
    {"{'name': '', 'count': <ca 3f 80 00 00>}", "data.count: expected uint, got float"},
    {"{'name': '', 'count': true}", "data.count: expected uint, got bool"},
    {"{'name': '', 'count': []}", "data.count: expected uint, got array"},
    {"{'name': '', 'count': {}}", "data.count: expected uint, got map"},
    {"{'name': '', 'limited': 11}", "data.limited: at most 10, got 11"},
    {"{'name': '', 'limited': 18446744073709551615}",
     "data.limited: at most 10, got 18446744073709551615"},
    {"{'name': '', 'small': 4294967296}", "data.small: at most 4294967295, got 4294967296"},
    {"{'name': '', 'number': 9223372036854775808}",
     "data.number: at most 9223372036854775807, got 9223372036854775808"},
    {"{'name': '', 'number': 'x'}", "data.number: expected int, got str"},
    {"{'name': '', 'map': []}", "data.map: expected map, got array"},
    {"{'name': '', 'array': {}}", "data.array: expected array, got map"},
    {"{'name': '', 'list': 'a'}", "data.list: expected array, got str"},
    {"{'name': '', 'list': ['a', 2]}", "data.list[1]: expected str, got uint"},
    {"{'name': '', 'list': ['a', nil]}", "data.list[1]: expected str, got nil"},
    {"{'name': '', 'list': ['\\xc0\\x80']}", "data.list[0]: not valid UTF-8"},
    {"[1]", "data: expected map, got array"},
    {"'x'", "data: expected map, got str"},
};

Test(wire, a_wrong_value_is_refused_with_its_path_and_what_was_expected)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        WIRE_OUT(out);
        struct wire_doc doc;
        struct sample sample = {0};
        int result = read_sample(&out, &doc, refusals[i].text, &sample, NULL);
        cr_assert_eq(result, -EINVAL, "%s", refusals[i].text);
        cr_assert_str_eq(error.message, refusals[i].sentence, "%s", refusals[i].text);
        cr_assert_eq(wire_read(&doc.root, "data", fields, N_FIELDS, &sample, NULL, NULL), -EINVAL);
        wire_close(&doc);
    }
}

Test(wire, without_a_path_the_key_stands_alone)
{
    static const struct wire_field one[] = {{"count", WIRE_UINT, true, 0}};
    WIRE_OUT(out);
    struct wire_doc doc;
    uint64_t count;
    pack_text(&out, "{'count': 'x'}");
    cr_assert_eq(wire_open(&doc, out.bytes.data, out.bytes.size, WIRE_DEPTH_MAX, NULL), 0);
    cr_assert_eq(wire_read(&doc.root, "", one, 1, &count, NULL, &error), -EINVAL);
    cr_assert_str_eq(error.message, "count: expected uint, got str");
    wire_close(&doc);
}

Test(wire, a_path_too_long_for_its_buffer_is_cut)
{
    char path[WIRE_PATH_SIZE];
    char long_key[WIRE_PATH_SIZE * 2];
    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    cr_assert_eq(strlen(wire_path(path, "data", long_key, 0)), WIRE_PATH_SIZE - 1);
    cr_assert_str_eq(wire_path(path, "data.list", NULL, 3), "data.list[3]");
}

/* ---- raw pairs ------------------------------------------------------------------------------ */

Test(wire, the_bytes_of_a_value_are_found_by_its_key)
{
    WIRE_OUT(out);
    WIRE_OUT(value);
    struct text found;
    pack_text(&out, "{1: 'data', 'dat': 0, 'data': {'a': [1, <ca 3f 80 00 00>]}, 'z': 1}");
    pack_text(&value, "{'a': [1, <ca 3f 80 00 00>]}");
    cr_assert_eq(wire_find_raw(packed(&out), "data", &found), 0);
    cr_assert(text_equal(found, packed(&value)));
    cr_assert_eq(wire_find_raw(packed(&out), "nothing", &found), -ENOENT);
}

Test(wire, of_repeated_keys_the_bytes_of_the_last_are_found)
{
    WIRE_OUT(out);
    struct text found;
    pack_text(&out, "{'a': 1, 'a': 2}");
    cr_assert_eq(wire_find_raw(packed(&out), "a", &found), 0);
    cr_assert(text_equal(found, (struct text){"\x02", 1}));
}

Test(wire, bytes_that_are_no_map_have_no_pairs)
{
    struct text found;
    struct wire_pairs pairs;
    cr_assert_eq(wire_find_raw((struct text){"\x91\x01", 2}, "a", &found), -EBADMSG);
    cr_assert_eq(wire_find_raw((struct text){0}, "a", &found), -EBADMSG);
    cr_assert_eq(wire_find_raw((struct text){"\x81\xa1z\xc1", 4}, "a", &found), -EBADMSG);
    cr_assert_eq(wire_find_raw((struct text){"\x81\xa1", 2}, "a", &found), -EBADMSG);
    cr_assert_eq(wire_pairs_begin(&pairs, (struct text){"\xdf\xff\xff\xff\xff", 5}), -EBADMSG);
}

Test(wire, pairs_are_passed_however_deep_their_values_are)
{
    enum { DEPTH = 100000 };
    struct text found;
    char *bytes = malloc(DEPTH + 7);
    memcpy(bytes, "\x82\xa1x", 3);
    memset(bytes + 3, '\x91', DEPTH);
    memcpy(bytes + 3 + DEPTH, "\x01\xa1y\x05", 4);
    cr_assert_eq(wire_find_raw((struct text){bytes, DEPTH + 7}, "y", &found), 0);
    cr_assert(text_equal(found, (struct text){"\x05", 1}));
    free(bytes);
}
