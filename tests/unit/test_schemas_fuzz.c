/* SPDX-License-Identifier: Apache-2.0 */

/* Bytes of chance, and real messages broken by chance, into everything that takes bytes from a
 * peer. Under the sanitizers this shows that nothing reads past the end; everywhere it shows that
 * the own walk and msgpack-c agree. The seed is fixed: a failure comes again. */

#include <criterion/criterion.h>
#include <stdlib.h>

#include "schemas/control_reply.h"
#include "schemas/control_request.h"
#include "schemas/event.h"
#include "test_schemas_tools.h"

enum { ROUNDS = 200000, SIZE_MAX_CHANCE = 64, SIZE_MAX_BROKEN = 1024 };

static uint64_t state = 0x9e3779b97f4a7c15;

/* xorshift64: small, and the same everywhere. */
static uint64_t chance(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* Every second byte begins a container or a string with a length, so that chance gets deep. */
static size_t random_bytes(char *bytes)
{
    static const uint8_t heads[] = {0x80, 0x81, 0x82, 0x90, 0x91, 0x93, 0xa0, 0xa1, 0xa5,
                                    0xc0, 0xc1, 0xc4, 0xc7, 0xca, 0xcb, 0xcf, 0xd3, 0xd4,
                                    0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0};
    size_t size = chance(SIZE_MAX_CHANCE + 1);
    for (size_t i = 0; i < size; i++) {
        if (chance(2))
            bytes[i] = (char)heads[chance(sizeof heads)];
        else
            bytes[i] = (char)(chance(4) ? chance(4) : chance(256));
    }
    return size;
}

static const char *const messages[] = {
    "{'command': 'assign_process', 'reqid': 'r', 'data': {'block_id': 'b', 'pid': 5,"
    " 'scope': 'bg/7', 'root': false}}",
    "{'command': 'ensure_tracker', 'reqid': 7, 'data': {'block_id': 'b', 'on_exit': 'keep'}}",
    "{'command': 'remove', 'data': {'block_id': 'b', 'timeout_ms': 5, 'include_escaped': true}}",
    "{'event': 'e', 'scopes': ['block:1', 'block:2', 'block:1'], 'sender': 's', 'persist': 3,"
    " 'data': {'a': [1, -1, 1.5, <c4 01 ff>, <d6 ff 00 00 00 00>]}}",
    "{'resid': 1, 'data': {'epoch': 'e', 'seq': 1, 'tracked': true, 'confidence': 'high',"
    " 'confidence_reason': 'x', 'processes': [{'pid': 1, 'command': 'a', 'root': true,"
    " 'started': true, 'scope': 'main', 'rss_bytes': 0, 'started_at_ms': 0}]}}",
    "{'data': {'tracked': true, 'confidence': 'high', 'confidence_reason': 'x', 'processes':"
    " [{'pid': 1, 'command': 'a', 'root': true, 'started': true, 'scope': 'main', 'rss_bytes': 0,"
    " 'started_at_ms': 0, 'exe': 'a', 'uid': 1, 'state': 'S', 'argv': ['a', ''], 'ports': [{'port':"
    " 80, 'address': '::', 'family': 'inet6'}]}]}}",
    "{'resid': 'x', 'error': 'no', 'errorcode': 'limit'}",
    "{'data': {'counters': {'a': 1}, 'gauges': {'b': -1}}}",
    "{'event': 'agent:process-exited', 'data': {'block_id': 'b', 'epoch': 'e', 'seq': 1, 'pid': 4,"
    " 'started_at_ms': 1, 'signal': 9, 'core_dumped': true, 'runtime_ms': 1, 'cpu_ms': 1,"
    " 'max_rss_bytes': 1}}",
};
enum { N_MESSAGES = sizeof messages / sizeof *messages };

/* A real message with up to four bytes changed, taken out or doubled, perhaps cut. */
static size_t broken_message(char *bytes, const struct wire_out *whole)
{
    size_t size = whole->bytes.size;
    memcpy(bytes, whole->bytes.data, size);
    for (uint64_t n = chance(5); n > 0 && size > 0; n--) {
        size_t at = chance(size);
        switch (chance(4)) {
        case 0:
            bytes[at] = (char)chance(256);
            break;
        case 1:
            bytes[at] = (char)(bytes[at] ^ 1 << chance(8));
            break;
        case 2:
            memmove(bytes + at, bytes + at + 1, --size - at);
            break;
        default:
            memmove(bytes + at + 1, bytes + at, size++ - at);
        }
    }
    return chance(4) || size == 0 ? size : chance(size);
}

/* How often chance got past each door: a loop that never does would test nothing. */
static struct {
    unsigned values, requests, controls, events, replies;
} passed;

/* What wire_check lets through, msgpack-c decodes, to the same end. */
static void check(const char *bytes, size_t size)
{
    struct wps_error error;
    size_t used, offset = 0;
    unsigned depth_max = (unsigned)chance(WIRE_DEPTH_LIMIT + 1);
    if (wire_check(bytes, size, depth_max, &used, &error) < 0)
        return;
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    msgpack_unpack_return result = msgpack_unpack_next(&unpacked, bytes, size, &offset);
    cr_assert_eq(result, MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(offset, used);
    passed.values++;
    msgpack_unpacked_destroy(&unpacked);
}

static void open_as_request(const char *bytes, size_t size)
{
    struct request request;
    struct control_request control;
    struct wps_error error;
    enum errorcode code = ERRORCODE_INTERNAL;
    if (request_open(&request, bytes, size, &code, &error) < 0) {
        cr_assert(code == ERRORCODE_BAD_REQUEST || code == ERRORCODE_INVALID_ARGUMENT);
        cr_assert(wire_utf8_valid(text_of(error.message)), "%s", error.message);
        return;
    }
    passed.requests++;
    if (control_request_read(&control, &request, &code, &error) < 0) {
        cr_assert(code == ERRORCODE_UNKNOWN_COMMAND || code == ERRORCODE_INVALID_ARGUMENT);
        cr_assert(wire_utf8_valid(text_of(error.message)), "%s", error.message);
    } else {
        passed.controls++;
    }
    request_close(&request);
}

static void read_as_event_data(const msgpack_object *data)
{
    struct block_point at;
    struct process_event process;
    struct process_exit exit_event;
    struct process_escape escape;
    struct block_state block;
    struct block_resync resync;
    block_point_read(&at, data, NULL);
    process_event_read(&process, data, NULL);
    process_exit_read(&exit_event, data, NULL);
    process_escape_read(&escape, data, NULL);
    block_state_read(&block, data, NULL);
    block_resync_read(&resync, data, NULL);
}

/* An event that is opened and packed again opens as the same. */
static void open_as_event(const char *bytes, size_t size)
{
    struct event_doc doc, again;
    struct wps_error error;
    if (event_open(&doc, bytes, size, "", &error) < 0) {
        cr_assert(wire_utf8_valid(text_of(error.message)), "%s", error.message);
        return;
    }
    passed.events++;
    WIRE_OUT(out);
    event_pack(&out, &doc.event);
    cr_assert_eq(event_open(&again, out.bytes.data, out.bytes.size, "", &error), 0, "%s",
                 error.message);
    cr_assert(text_equal(doc.event.event, again.event.event));
    cr_assert(text_equal(doc.event.data, again.event.data));
    cr_assert_eq(doc.event.n_scopes, again.event.n_scopes);
    cr_assert_eq(doc.event.persist, again.event.persist);
    const msgpack_object *data = wire_get(&doc.doc.root, "data");
    if (data)
        read_as_event_data(data);
    event_close(&again);
    event_close(&doc);
}

static void read_detail(const msgpack_object *map)
{
    struct process_detail_view detail;
    if (process_detail_read(&detail, map, "data", NULL) == 0)
        free(detail.ports);
}

static void read_as_reply_data(const msgpack_object *data)
{
    struct list_reply list;
    struct stats_view stats;
    struct ensure_reply ensure;
    if (list_reply_read(&list, data, NULL) == 0) {
        for (size_t i = 0; i < list.head.n_processes; i++)
            read_detail(&list.maps[i]);
        free(list.processes);
    }
    if (stats_reply_read(&stats, data, NULL) == 0) {
        free(stats.counters);
        free(stats.gauges);
    }
    ensure_reply_read(&ensure, data, NULL);
}

static void open_as_reply(const char *bytes, size_t size)
{
    struct reply reply;
    if (reply_open(&reply, bytes, size, NULL) < 0)
        return;
    passed.replies++;
    if (reply.ok)
        read_as_reply_data(reply.data);
    reply_close(&reply);
}

static void feed(const char *bytes, size_t size)
{
    char *exact = exact_copy(bytes, size);
    check(exact, size);
    open_as_request(exact, size);
    open_as_event(exact, size);
    open_as_reply(exact, size);
    free(exact);
}

Test(fuzz, bytes_of_chance_harm_nothing)
{
    char bytes[SIZE_MAX_CHANCE];
    for (int round = 0; round < ROUNDS; round++)
        feed(bytes, random_bytes(bytes));
    cr_assert_gt(passed.values, ROUNDS / 20);
}

Test(fuzz, messages_broken_by_chance_harm_nothing)
{
    char bytes[SIZE_MAX_BROKEN];
    struct wire_out whole[N_MESSAGES];
    for (size_t i = 0; i < N_MESSAGES; i++) {
        wire_out_init(&whole[i]);
        pack_text(&whole[i], messages[i]);
    }
    for (int round = 0; round < ROUNDS; round++)
        feed(bytes, broken_message(bytes, &whole[chance(N_MESSAGES)]));
    cr_assert_gt(passed.values, ROUNDS / 20);
    cr_assert_gt(passed.requests, ROUNDS / 20);
    cr_assert_gt(passed.controls, ROUNDS / 20);
    cr_assert_gt(passed.events, ROUNDS / 20);
    cr_assert_gt(passed.replies, ROUNDS / 20);
    for (size_t i = 0; i < N_MESSAGES; i++)
        wire_out_destroy(&whole[i]);
}
