/* SPDX-License-Identifier: Apache-2.0 */

/* The envelopes: a request in any state gets its errorcode, its sentence and its reqid back. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "schemas/request.h"
#include "test_schemas_tools.h"

static struct wps_error error;
static enum errorcode code;

static int open_text(struct request *request, struct wire_out *out, const char *text)
{
    error.message[0] = '\0';
    wire_out_clear(out);
    pack_text(out, text);
    return request_open(request, out->bytes.data, out->bytes.size, &code, &error);
}

Test(request, a_whole_request_is_read)
{
    WIRE_OUT(out);
    struct request request;
    cr_assert_eq(open_text(&request, &out, "{'command': 'c', 'reqid': 'r', 'data': {'a': 1}}"), 0,
                 "%s", error.message);
    assert_text(request.command, "c");
    cr_assert_eq(request.reqid.kind, REQID_STR);
    assert_text(((struct text){request.reqid.string, request.reqid.size}), "r");
    cr_assert_eq(wire_get(request.data, "a")->via.u64, 1);
    request_close(&request);
    request_close(&request);
}

Test(request, reqid_and_data_may_be_absent_or_nil)
{
    WIRE_OUT(out);
    struct request request;
    static const char *const texts[] = {"{'command': 'c'}",
                                        "{'command': 'c', 'reqid': nil, 'data': nil, 'x': 1}"};
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(open_text(&request, &out, texts[i]), 0);
        cr_assert_eq(request.reqid.kind, REQID_ABSENT);
        cr_assert_null(request.data);
        request_close(&request);
    }
}

Test(request, a_reqid_is_any_uint_or_a_str_of_256_bytes)
{
    WIRE_OUT(out);
    struct request request;
    cr_assert_eq(open_text(&request, &out, "{'command': 'c', 'reqid': 18446744073709551615}"), 0);
    cr_assert_eq(request.reqid.kind, REQID_UINT);
    cr_assert_eq(request.reqid.number, UINT64_MAX);
    request_close(&request);

    struct reqid longest = {.kind = REQID_STR, .size = sizeof longest.string};
    memset(longest.string, 'r', sizeof longest.string);
    wire_out_clear(&out);
    request_pack(&out, "c", &longest, (struct text){0});
    cr_assert_eq(request_open(&request, out.bytes.data, out.bytes.size, &code, &error), 0);
    cr_assert_eq(request.reqid.size, 256);
    cr_assert_eq(memcmp(request.reqid.string, longest.string, 256), 0);
    request_close(&request);

    cr_assert_eq(open_text(&request, &out, "{'command': 'c', 'reqid': ''}"), 0);
    cr_assert_eq(request.reqid.kind, REQID_STR);
    cr_assert_eq(request.reqid.size, 0);
    request_close(&request);
}

static const struct {
    const char *text;
    enum errorcode code;
    int result;
    const char *sentence;
    const char *reqid; /* as text; null: none is repeated */
} refusals[] = {
    {"<c1>", ERRORCODE_BAD_REQUEST, -EBADMSG,
     "the request cannot be read: not msgpack: 0xc1 at byte 0", NULL},
    {"<dd ff ff ff ff>", ERRORCODE_BAD_REQUEST, -EBADMSG,
     "the request cannot be read: cut short: the value at byte 0 is longer than the 5 bytes left",
     NULL},
    {"[1]", ERRORCODE_BAD_REQUEST, -EINVAL,
     "expected a map {command, reqid?, data?} as the request, got array", NULL},
    {"'describe'", ERRORCODE_BAD_REQUEST, -EINVAL,
     "expected a map {command, reqid?, data?} as the request, got str", NULL},
    {"{}", ERRORCODE_BAD_REQUEST, -EINVAL, "command: missing", NULL},
    {"{'reqid': 5}", ERRORCODE_BAD_REQUEST, -EINVAL, "command: missing", "5"},
    {"{'reqid': 'x', 'command': nil}", ERRORCODE_BAD_REQUEST, -EINVAL, "command: missing", "'x'"},
    {"{'reqid': 5, 'command': 7}", ERRORCODE_BAD_REQUEST, -EINVAL,
     "command: expected str, got uint", "5"},
    {"{'reqid': 5, 'command': <c4 01 61>}", ERRORCODE_BAD_REQUEST, -EINVAL,
     "command: expected str, got bin", "5"},
    {"{'reqid': 5, 'command': '\\xff'}", ERRORCODE_BAD_REQUEST, -EINVAL, "command: not valid UTF-8",
     "5"},
    {"{'reqid': -5, 'command': 'c'}", ERRORCODE_BAD_REQUEST, -EINVAL,
     "reqid: expected str or uint, got int", NULL},
    {"{'reqid': [5], 'command': 'c'}", ERRORCODE_BAD_REQUEST, -EINVAL,
     "reqid: expected str or uint, got array", NULL},
    {"{'reqid': 1.5, 'command': 'c'}", ERRORCODE_BAD_REQUEST, -EINVAL,
     "reqid: expected str or uint, got float", NULL},
    {"{'reqid': true, 'command': 'c'}", ERRORCODE_BAD_REQUEST, -EINVAL,
     "reqid: expected str or uint, got bool", NULL},
    {"{'reqid': <c4 01 61>, 'command': 'c'}", ERRORCODE_BAD_REQUEST, -EINVAL,
     "reqid: expected str or uint, got bin", NULL},
    {"{'reqid': '\\xff', 'command': 'c'}", ERRORCODE_BAD_REQUEST, -EINVAL, "reqid: not valid UTF-8",
     NULL},
    {"{'reqid': 5, 'command': 'c', 'data': 'x'}", ERRORCODE_INVALID_ARGUMENT, -EINVAL,
     "data: expected map, got str", "5"},
    {"{'reqid': 5, 'command': 'c', 'data': []}", ERRORCODE_INVALID_ARGUMENT, -EINVAL,
     "data: expected map, got array", "5"},
    {"{'reqid': 'deep', 'command': 'c', 'data': {'a': [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}}",
     ERRORCODE_BAD_REQUEST, -EBADMSG,
     "the request cannot be read: too deep: over 16 arrays and maps in each other at byte 44",
     "'deep'"},
    {"{'data': {'a': [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}, 'reqid': 6, 'command': 'c'}",
     ERRORCODE_BAD_REQUEST, -EBADMSG,
     "the request cannot be read: too deep: over 16 arrays and maps in each other at byte 23", "6"},
    {"<83 a5 72 65 71 69 64 07 a7 63 6f>", ERRORCODE_BAD_REQUEST, -EBADMSG,
     "the request cannot be read: cut short: the value at byte 8 is longer than the 3 bytes left",
     "7"},
};

Test(request, a_wrong_request_is_refused_and_its_reqid_repeated_where_it_can_be_read)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        WIRE_OUT(out);
        WIRE_OUT(reply);
        struct request request;
        cr_assert_eq(open_text(&request, &out, refusals[i].text), refusals[i].result, "%s",
                     refusals[i].text);
        cr_assert_eq(code, refusals[i].code, "%s", refusals[i].text);
        cr_assert_str_eq(error.message, refusals[i].sentence, "%s", refusals[i].text);

        char expected[256];
        snprintf(expected, sizeof expected, "{%s%s%s'error': 'x', 'errorcode': '%s'}",
                 refusals[i].reqid ? "'resid': " : "", refusals[i].reqid ? refusals[i].reqid : "",
                 refusals[i].reqid ? ", " : "", errorcode_name(code));
        reply_error(&reply, &request.reqid, code, "x");
        assert_packed(&reply, expected);
    }
}

/* A request of `size` bytes whose reqid stands before or behind what makes it so long. */
static void pack_long(struct wire_out *out, size_t size, bool reqid_last)
{
    static char filler[REQUEST_BYTES_MAX];
    const size_t others = 29; /* bytes of everything but the filler */
    memset(filler, 'f', sizeof filler);
    wire_out_clear(out);
    wire_put_map(out, 3);
    wire_pair_str(out, "command", "c");
    if (!reqid_last)
        wire_pair_uint(out, "reqid", 9);
    wire_put_str(out, "data");
    wire_put_map(out, 1);
    wire_pair_text(out, "x", (struct text){filler, size - others});
    if (reqid_last)
        wire_pair_uint(out, "reqid", 9);
    cr_assert_eq(out->bytes.size, size);
}

Test(request, one_of_64_kib_is_taken_and_one_byte_more_is_refused_with_its_reqid)
{
    for (int reqid_last = 0; reqid_last < 2; reqid_last++) {
        WIRE_OUT(out);
        struct request request;
        pack_long(&out, REQUEST_BYTES_MAX, reqid_last);
        cr_assert_eq(request_open(&request, out.bytes.data, out.bytes.size, &code, &error), 0, "%s",
                     error.message);
        cr_assert_eq(request.reqid.number, 9);
        request_close(&request);

        pack_long(&out, REQUEST_BYTES_MAX + 1, reqid_last);
        cr_assert_eq(request_open(&request, out.bytes.data, out.bytes.size, &code, &error),
                     -EMSGSIZE);
        cr_assert_eq(code, ERRORCODE_BAD_REQUEST);
        cr_assert_str_eq(error.message, "a request is at most 65536 bytes, this one has 65537");
        cr_assert_eq(request.reqid.kind, REQID_UINT);
        cr_assert_eq(request.reqid.number, 9);
    }
}

Test(request, a_reqid_that_is_too_long_is_refused_and_not_repeated)
{
    WIRE_OUT(out);
    char reqid[257];
    struct request request;
    memset(reqid, 'r', sizeof reqid);
    wire_put_map(&out, 2);
    wire_pair_text(&out, "reqid", (struct text){reqid, sizeof reqid});
    wire_pair_str(&out, "command", "c");
    cr_assert_eq(request_open(&request, out.bytes.data, out.bytes.size, &code, &error), -EINVAL);
    cr_assert_eq(code, ERRORCODE_BAD_REQUEST);
    cr_assert_str_eq(error.message, "reqid: at most 256 bytes, got 257");
    cr_assert_eq(request.reqid.kind, REQID_ABSENT);
}

Test(request, nobody_has_to_read_the_error)
{
    struct request request;
    cr_assert_eq(request_open(&request, "", 0, &code, NULL), -EBADMSG);
    cr_assert_eq(request_open(&request, "\x80", 1, &code, NULL), -EINVAL);
}

Test(request, it_is_packed_without_what_is_absent)
{
    WIRE_OUT(out);
    struct reqid number = {.kind = REQID_UINT, .number = 3}, absent = {0};
    request_pack(&out, "stats", NULL, (struct text){0});
    assert_packed(&out, "{'command': 'stats'}");
    wire_out_clear(&out);
    request_pack(&out, "stats", &absent, (struct text){0});
    assert_packed(&out, "{'command': 'stats'}");
    wire_out_clear(&out);
    request_pack(&out, "stats", &number, (struct text){"\x80", 1});
    assert_packed(&out, "{'command': 'stats', 'reqid': 3, 'data': {}}");
}

/* ---- replies -------------------------------------------------------------------------------- */

Test(reply, data_goes_there_and_back)
{
    WIRE_OUT(out);
    struct reqid reqid = {.kind = REQID_STR, .size = 2, .string = "r1"};
    struct reply reply;
    reply_begin(&out, &reqid);
    wire_put_map(&out, 1);
    wire_pair_bool(&out, "ok", true);
    assert_packed(&out, "{'resid': 'r1', 'data': {'ok': true}}");
    cr_assert_eq(reply_open(&reply, out.bytes.data, out.bytes.size, &error), 0, "%s",
                 error.message);
    cr_assert(reply.ok);
    cr_assert_eq(reply.resid.kind, REQID_STR);
    assert_text(((struct text){reply.resid.string, reply.resid.size}), "r1");
    cr_assert(wire_get(reply.data, "ok")->via.boolean);
    reply_close(&reply);
    reply_close(&reply);
}

Test(reply, an_error_goes_there_and_back)
{
    WIRE_OUT(out);
    struct reqid reqid = {.kind = REQID_UINT, .number = 8};
    struct reply reply;
    reply_error(&out, &reqid, ERRORCODE_NO_SUCH_BLOCK, "no block 'x'");
    assert_packed(&out, "{'resid': 8, 'error': 'no block \\x27x\\x27', 'errorcode': "
                        "'no_such_block'}");
    cr_assert_eq(reply_open(&reply, out.bytes.data, out.bytes.size, &error), 0);
    cr_assert_not(reply.ok);
    cr_assert_null(reply.data);
    cr_assert_eq(reply.resid.number, 8);
    assert_text(reply.error, "no block 'x'");
    assert_text(reply.errorcode, "no_such_block");
    reply_close(&reply);
}

Test(reply, a_sentence_that_was_cut_within_a_character_is_still_utf8)
{
    WIRE_OUT(out);
    struct reqid absent = {0};
    reply_error(&out, &absent, ERRORCODE_INTERNAL, "caf\xc3");
    assert_packed(&out, "{'error': 'caf\\xef\\xbf\\xbd', 'errorcode': 'internal'}");
}

Test(reply, every_errorcode_has_the_name_of_the_protocol)
{
    static const char *const names[] = {"bad_request",   "unknown_command", "invalid_argument",
                                        "no_such_block", "no_such_process", "not_permitted",
                                        "not_supported", "limit",           "timeout",
                                        "internal"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_assert_str_eq(errorcode_name((enum errorcode)i), names[i]);
}

static const struct {
    const char *text;
    int result;
    const char *sentence;
} bad_replies[] = {
    {"<c1>", -EBADMSG, "not msgpack: 0xc1 at byte 0"},
    {"[]", -EINVAL, "expected a map as the reply, got array"},
    {"{}", -EINVAL, "data: missing"},
    {"{'data': nil}", -EINVAL, "data: missing"},
    {"{'data': 1}", -EINVAL, "data: expected map, got uint"},
    {"{'error': 1, 'errorcode': 'x'}", -EINVAL, "error: expected str, got uint"},
    {"{'error': 'x'}", -EINVAL, "errorcode: missing"},
    {"{'resid': -1, 'data': {}}", -EINVAL, "resid: expected str or uint, got int"},
};

Test(reply, a_wrong_reply_is_refused)
{
    for (size_t i = 0; i < sizeof bad_replies / sizeof *bad_replies; i++) {
        WIRE_OUT(out);
        struct reply reply;
        pack_text(&out, bad_replies[i].text);
        cr_assert_eq(reply_open(&reply, out.bytes.data, out.bytes.size, &error),
                     bad_replies[i].result);
        cr_assert_str_eq(error.message, bad_replies[i].sentence);
    }
}
