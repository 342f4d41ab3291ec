/* SPDX-License-Identifier: Apache-2.0 */

/* The event envelope: packing, reading, and `data` that goes through unchanged. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "schemas/event.h"
#include "test_schemas_tools.h"

static struct wps_error error;

static int open_text(struct event_doc *doc, struct wire_out *out, const char *text,
                     const char *path)
{
    error.message[0] = '\0';
    wire_out_clear(out);
    pack_text(out, text);
    return event_open(doc, out->bytes.data, out->bytes.size, path, &error);
}

Test(event, a_whole_event_goes_there_and_back)
{
    WIRE_OUT(out);
    const struct text scopes[] = {text_of("block:1"), text_of("")};
    const struct event event = {
        .event = text_of("greeting"),
        .sender = text_of("me"),
        .persist = 3,
        .scopes = scopes,
        .n_scopes = 2,
        .data = {"\x91\xc3", 2},
    };
    event_pack(&out, &event);
    assert_packed(&out, "{'event': 'greeting', 'scopes': ['block:1', ''], 'sender': 'me',"
                        " 'persist': 3, 'data': [true]}");
    struct event_doc doc;
    cr_assert_eq(event_open(&doc, out.bytes.data, out.bytes.size, "", &error), 0, "%s",
                 error.message);
    assert_text(doc.event.event, "greeting");
    assert_text(doc.event.sender, "me");
    cr_assert_eq(doc.event.persist, 3);
    cr_assert_eq(doc.event.n_scopes, 2);
    assert_text(doc.event.scopes[0], "block:1");
    assert_text(doc.event.scopes[1], "");
    cr_assert(text_equal(doc.event.data, event.data));
    event_close(&doc);
    event_close(&doc);
}

Test(event, keys_that_are_absent_are_left_out)
{
    WIRE_OUT(out);
    const struct event event = {.event = text_of("e")};
    event_pack(&out, &event);
    assert_packed(&out, "{'event': 'e'}");
    struct event_doc doc;
    cr_assert_eq(event_open(&doc, out.bytes.data, out.bytes.size, "", NULL), 0);
    cr_assert_eq(doc.event.n_scopes, 0);
    cr_assert_eq(doc.event.sender.size, 0);
    cr_assert_eq(doc.event.persist, 0);
    cr_assert_eq(doc.event.data.size, 0);
    event_close(&doc);
}

Test(event, nil_and_empty_are_absent)
{
    WIRE_OUT(out);
    struct event_doc doc;
    cr_assert_eq(open_text(&doc, &out,
                           "{'event': 'e', 'scopes': nil, 'sender': nil, 'persist': nil,"
                           " 'data': nil}",
                           ""),
                 0);
    cr_assert_eq(doc.event.n_scopes, 0);
    cr_assert_eq(doc.event.data.size, 0);
    event_close(&doc);
    cr_assert_eq(open_text(&doc, &out, "{'event': 'e', 'scopes': [], 'sender': ''}", ""), 0);
    cr_assert_eq(doc.event.n_scopes, 0);
    event_close(&doc);
}

/* Long forms and types that this code never packs must not be made into others on the way. */
Test(event, data_is_found_as_the_bytes_it_was_sent_in)
{
    static const char *const data[] = {
        "<cf 00 00 00 00 00 00 00 01>",
        "<db 00 00 00 01 61>",
        "<ca 3f 80 00 00>",
        "<c4 02 00 ff>",
        "<d6 ff 00 00 00 00>",
        "<de 00 01 a1 61 dd 00 00 00 00>",
        "{'data': {'data': 1}}",
        "[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]",
        "false",
    };
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
        WIRE_OUT(out);
        WIRE_OUT(wanted);
        struct event_doc doc;
        char text[256];
        snprintf(text, sizeof text, "{'x': {'data': 0}, 'event': 'e', 'data': %s, 'y': 1}",
                 data[i]);
        pack_text(&wanted, data[i]);
        cr_assert_eq(open_text(&doc, &out, text, ""), 0, "%s: %s", data[i], error.message);
        cr_assert(text_equal(doc.event.data, packed(&wanted)), "%s", data[i]);
        event_close(&doc);
    }
}

Test(event, of_repeated_data_the_last_goes_through)
{
    WIRE_OUT(out);
    struct event_doc doc;
    cr_assert_eq(open_text(&doc, &out, "{'event': 'e', 'data': 1, 'data': 2}", ""), 0);
    cr_assert(text_equal(doc.event.data, (struct text){"\x02", 1}));
    event_close(&doc);
    cr_assert_eq(open_text(&doc, &out, "{'event': 'e', 'data': 1, 'data': nil}", ""), 0);
    cr_assert_eq(doc.event.data.size, 0);
    event_close(&doc);
}

Test(event, one_scope_is_the_common_case)
{
    WIRE_OUT(out);
    struct event_doc doc;
    cr_assert_eq(open_text(&doc, &out, "{'event': 'e', 'scopes': ['block:1']}", ""), 0);
    cr_assert_eq(doc.event.n_scopes, 1);
    assert_text(doc.event.scopes[0], "block:1");
    event_close(&doc);
}

Test(event, a_scope_that_is_named_twice_counts_once)
{
    WIRE_OUT(out);
    struct event_doc doc;
    cr_assert_eq(open_text(&doc, &out,
                           "{'event': 'e', 'scopes': ['b', 'a', 'b', '', 'ab', 'a', '', 'b']}", ""),
                 0);
    cr_assert_eq(doc.event.n_scopes, 4);
    assert_text(doc.event.scopes[0], "b");
    assert_text(doc.event.scopes[1], "a");
    assert_text(doc.event.scopes[2], "");
    assert_text(doc.event.scopes[3], "ab");
    event_close(&doc);
}

static void put_many_scopes(struct wire_out *out, size_t n)
{
    wire_out_clear(out);
    wire_put_map(out, 2);
    wire_pair_str(out, "event", "e");
    wire_put_str(out, "scopes");
    wire_put_array(out, n);
    for (size_t i = 0; i < n; i++) {
        char scope[32];
        snprintf(scope, sizeof scope, "block:%zu", i);
        wire_put_str(out, scope);
    }
}

Test(event, as_many_scopes_as_allowed_are_taken_and_one_more_is_refused)
{
    WIRE_OUT(out);
    struct event_doc doc;
    put_many_scopes(&out, EVENT_SCOPES_MAX);
    cr_assert_eq(event_open(&doc, out.bytes.data, out.bytes.size, "", &error), 0);
    cr_assert_eq(doc.event.n_scopes, EVENT_SCOPES_MAX);
    assert_text(doc.event.scopes[EVENT_SCOPES_MAX - 1], "block:1023");
    event_close(&doc);
    put_many_scopes(&out, EVENT_SCOPES_MAX + 1);
    cr_assert_eq(event_open(&doc, out.bytes.data, out.bytes.size, "", &error), -EINVAL);
    cr_assert_str_eq(error.message, "scopes: at most 1024 scopes, got 1025");
}

Test(event, a_greater_persist_counts_as_the_greatest)
{
    WIRE_OUT(out);
    struct event_doc doc;
    cr_assert_eq(open_text(&doc, &out, "{'event': 'e', 'persist': 4096}", ""), 0);
    cr_assert_eq(doc.event.persist, EVENT_PERSIST_MAX);
    event_close(&doc);
    cr_assert_eq(open_text(&doc, &out, "{'event': 'e', 'persist': 18446744073709551615}", ""), 0);
    cr_assert_eq(doc.event.persist, EVENT_PERSIST_MAX);
    event_close(&doc);
}

static const struct {
    const char *text;
    int result;
    const char *sentence, *below_data;
} refusals[] = {
    {"{}", -EINVAL, "event: missing", "data.event: missing"},
    {"{'event': ''}", -EINVAL, "event: must not be empty", "data.event: must not be empty"},
    {"{'event': 1}", -EINVAL, "event: expected str, got uint",
     "data.event: expected str, got uint"},
    {"{'event': '\\xff'}", -EINVAL, "event: not valid UTF-8", "data.event: not valid UTF-8"},
    {"{'event': 'e', 'scopes': 'a'}", -EINVAL, "scopes: expected array, got str",
     "data.scopes: expected array, got str"},
    {"{'event': 'e', 'scopes': ['a', 7]}", -EINVAL, "scopes[1]: expected str, got uint",
     "data.scopes[1]: expected str, got uint"},
    {"{'event': 'e', 'scopes': ['\\xe2\\x82']}", -EINVAL, "scopes[0]: not valid UTF-8",
     "data.scopes[0]: not valid UTF-8"},
    {"{'event': 'e', 'sender': []}", -EINVAL, "sender: expected str, got array",
     "data.sender: expected str, got array"},
    {"{'event': 'e', 'persist': -1}", -EINVAL, "persist: expected uint, got int",
     "data.persist: expected uint, got int"},
    {"{'event': 'e', 'data': '\\xc1'}", -EINVAL, "data: not valid UTF-8: the str at byte 0",
     "data.data: not valid UTF-8: the str at byte 0"},
    {"{'event': 'e', 'data': {'k': [1, {'\\xff': 2}]}}", -EINVAL,
     "data: not valid UTF-8: the str at byte 6", "data.data: not valid UTF-8: the str at byte 6"},
    {"[]", -EINVAL, "expected map, got array", "data: expected map, got array"},
    {"<c1>", -EBADMSG, "not msgpack: 0xc1 at byte 0", "not msgpack: 0xc1 at byte 0"},
};

Test(event, a_wrong_event_is_refused_with_the_path)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        WIRE_OUT(out);
        struct event_doc doc;
        cr_assert_eq(open_text(&doc, &out, refusals[i].text, ""), refusals[i].result);
        cr_assert_str_eq(error.message, refusals[i].sentence);
        cr_assert_eq(open_text(&doc, &out, refusals[i].text, "data"), refusals[i].result);
        cr_assert_str_eq(error.message, refusals[i].below_data);
    }
}

Test(event, a_scope_that_is_too_long_is_refused_with_its_place)
{
    WIRE_OUT(out);
    struct event_doc doc;
    char scope[TOPIC_MAX + 1];
    memset(scope, 's', sizeof scope);
    wire_put_map(&out, 2);
    wire_pair_str(&out, "event", "e");
    wire_put_str(&out, "scopes");
    wire_put_array(&out, 2);
    wire_put_str(&out, "ok");
    wire_put_text(&out, (struct text){scope, sizeof scope});
    cr_assert_eq(event_open(&doc, out.bytes.data, out.bytes.size, "data", &error), -EINVAL);
    cr_assert_str_eq(error.message,
                     "data.scopes[1]: a scope is at most 245 bytes long, this one has 246");
}

Test(event, an_event_that_is_too_deep_is_refused)
{
    WIRE_OUT(out);
    struct event_doc doc;
    cr_assert_eq(
        open_text(&doc, &out, "{'event': 'e', 'data': [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", ""),
        -EBADMSG);
    cr_assert(strstr(error.message, "too deep"), "%s", error.message);
}

/* As the broker's eventpublish does it: the request is decoded, its `data` is the event. */
Test(event, an_event_within_a_request_keeps_the_bytes_of_its_data)
{
    WIRE_OUT(out);
    struct wire_doc request;
    struct event_doc doc;
    struct text raw;
    pack_text(&out, "{'command': 'eventpublish', 'data': {'event': 'e', 'scopes': ['a', 'a'],"
                    " 'data': <de 00 01 a4 64 61 74 61 ca 3f 80 00 00>}, 'reqid': 1}");
    cr_assert_eq(wire_open(&request, out.bytes.data, out.bytes.size, WIRE_DEPTH_MAX, NULL), 0);
    cr_assert_eq(wire_find_raw(packed(&out), "data", &raw), 0);
    cr_assert_eq(event_open_object(&doc, wire_get(&request.root, "data"), raw, "data", &error), 0,
                 "%s", error.message);
    cr_assert_eq(doc.event.n_scopes, 1);
    cr_assert(text_equal(doc.event.data, (struct text){"\xde\0\x01\xa4"
                                                       "data\xca\x3f\x80\0\0",
                                                       13}));
    event_close(&doc);
    wire_close(&request);
}

Test(event, bytes_that_are_not_those_of_the_map_are_refused)
{
    WIRE_OUT(out);
    struct wire_doc map;
    struct event_doc doc;
    pack_text(&out, "{'event': 'e', 'data': 1}");
    cr_assert_eq(wire_open(&map, out.bytes.data, out.bytes.size, WIRE_DEPTH_MAX, NULL), 0);
    cr_assert_eq(event_open_object(&doc, &map.root, (struct text){"\x80", 1}, "", &error),
                 -EBADMSG);
    cr_assert_eq(event_open_object(&doc, &map.root, (struct text){0}, "", &error), -EBADMSG);
    wire_close(&map);
}

Test(event, a_zeroed_event_can_be_closed)
{
    struct event_doc doc = {0};
    event_close(&doc);
}
