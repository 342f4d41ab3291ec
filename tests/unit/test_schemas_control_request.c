/* SPDX-License-Identifier: Apache-2.0 */

/* The control commands: which keys each needs and allows, and what is said of a wrong one. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "schemas/control_request.h"
#include "test_schemas_tools.h"

static struct wps_error error;

/* Opens and reads a request; `request` is left open for what `control` points to. */
static int read_text(struct control_request *control, struct request *request, struct wire_out *out,
                     const char *text, enum errorcode *code)
{
    error.message[0] = '\0';
    wire_out_clear(out);
    pack_text(out, text);
    cr_assert_eq(request_open(request, out->bytes.data, out->bytes.size, code, &error), 0, "%s: %s",
                 text, error.message);
    return control_request_read(control, request, code, &error);
}

Test(control_request, every_command_has_the_name_of_the_protocol)
{
    static const char *const names[CONTROL_COMMANDS] = {
        "describe",        "ensure_tracker", "assign_process", "list_block",
        "list_all_blocks", "confidence_of",  "kill_pid",       "kill_tree",
        "kill_started",    "signal_tree",    "stop_tree",      "wait_empty",
        "freeze",          "thaw",           "remove",         "stats"};
    for (unsigned i = 0; i < CONTROL_COMMANDS; i++)
        cr_assert_str_eq(control_command_name((enum control_command)i), names[i]);
}

Test(control_request, what_is_absent_has_its_default)
{
    WIRE_OUT(out);
    struct request request;
    struct control_request control;
    enum errorcode code;
    cr_assert_eq(read_text(&control, &request, &out,
                           "{'command': 'assign_process', 'data': {'block_id': 'b', 'pid': 5}}",
                           &code),
                 0, "%s", error.message);
    cr_assert_eq(control.command, CONTROL_ASSIGN_PROCESS);
    assert_text(control.block_id, "b");
    cr_assert_eq(control.pid, 5);
    cr_assert_eq(control.scope.size, 0);
    cr_assert_eq(control.started_at_ms, 0);
    cr_assert(control.root);
    cr_assert_not(control.keep_on_exit || control.kill_on_crash || control.has_on_exit ||
                  control.has_on_crash || control.only_started || control.detail ||
                  control.include_escaped);
    cr_assert_eq(control.timeout_ms, 10000);
    request_close(&request);
}

/* Each row: a request with all its keys, and what reading and packing it gives again. */
static const char *const whole_requests[] = {
    "{'command': 'describe', 'data': {}}",
    "{'command': 'ensure_tracker', 'data': {'block_id': 'b', 'scope': 'bg/7', 'on_exit': 'keep',"
    " 'on_crash': 'kill'}}",
    "{'command': 'ensure_tracker', 'data': {'block_id': 'b', 'on_exit': 'kill',"
    " 'on_crash': 'keep'}}",
    "{'command': 'ensure_tracker', 'data': {'block_id': 'b'}}",
    "{'command': 'assign_process', 'data': {'block_id': 'b', 'scope': 'main', 'pid': 2147483647,"
    " 'started_at_ms': 18446744073709551615, 'root': false}}",
    "{'command': 'assign_process', 'data': {'block_id': 'b', 'pid': 0}}",
    "{'command': 'list_block', 'data': {'block_id': 'b', 'scope': 'bg', 'only': 'started',"
    " 'detail': true}}",
    "{'command': 'list_block', 'data': {'block_id': 'b'}}",
    "{'command': 'list_all_blocks', 'data': {'detail': true}}",
    "{'command': 'list_all_blocks', 'data': {}}",
    "{'command': 'confidence_of', 'data': {'block_id': 'b'}}",
    "{'command': 'kill_pid', 'data': {'block_id': 'b', 'pid': 1, 'started_at_ms': 5}}",
    "{'command': 'kill_tree', 'data': {'block_id': 'b', 'scope': 'a/b/c'}}",
    "{'command': 'kill_started', 'data': {'block_id': 'b'}}",
    "{'command': 'kill_started', 'data': {'block_id': 'b', 'pid': 7}}",
    "{'command': 'signal_tree', 'data': {'block_id': 'b', 'scope': 'bg', 'signal': 64}}",
    "{'command': 'stop_tree', 'data': {'block_id': 'b'}}",
    "{'command': 'stop_tree', 'data': {'block_id': 'b', 'scope': 'bg', 'timeout_ms': 700,"
    " 'include_escaped': true, 'signal': 2, 'grace_ms': 500}}",
    "{'command': 'wait_empty', 'data': {'block_id': 'b', 'scope': 'bg', 'timeout_ms': 0}}",
    "{'command': 'freeze', 'data': {'block_id': 'b', 'scope': 'bg'}}",
    "{'command': 'thaw', 'data': {'block_id': 'b'}}",
    "{'command': 'remove', 'data': {'block_id': 'b', 'timeout_ms': 86400000,"
    " 'include_escaped': true}}",
    "{'command': 'remove', 'data': {'block_id': 'b', 'timeout_ms': 0}}",
    "{'command': 'stats', 'data': {}}",
};

Test(control_request, every_command_goes_there_and_back)
{
    for (size_t i = 0; i < sizeof whole_requests / sizeof *whole_requests; i++) {
        WIRE_OUT(out);
        WIRE_OUT(data);
        WIRE_OUT(again);
        struct request request;
        struct control_request control;
        enum errorcode code;
        cr_assert_eq(read_text(&control, &request, &out, whole_requests[i], &code), 0, "%s: %s",
                     whole_requests[i], error.message);
        control_request_pack(&data, &control);
        request_pack(&again, control_command_name(control.command), NULL, packed(&data));
        assert_packed(&again, whole_requests[i]);
        request_close(&request);
    }
}

Test(control_request, a_short_time_out_leaves_half_of_it_to_the_polite_signal)
{
    static const struct {
        const char *request;
        uint64_t grace_ms;
    } cases[] = {
        {"{'command': 'stop_tree', 'data': {'block_id': 'b', 'timeout_ms': 5000}}", 2500},
        {"{'command': 'stop_tree', 'data': {'block_id': 'b', 'timeout_ms': 5001}}", 5000},
        {"{'command': 'stop_tree', 'data': {'block_id': 'b', 'timeout_ms': 0}}", 0},
        {"{'command': 'stop_tree', 'data': {'block_id': 'b', 'timeout_ms': 0, 'grace_ms': 0}}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        WIRE_OUT(out);
        struct request request;
        struct control_request control;
        enum errorcode code;
        cr_assert_eq(read_text(&control, &request, &out, cases[i].request, &code), 0, "%s",
                     error.message);
        cr_assert_eq(control.grace_ms, cases[i].grace_ms, "%s", cases[i].request);
        request_close(&request);
    }
}

Test(control_request, a_default_that_is_told_is_not_told_again)
{
    WIRE_OUT(out);
    WIRE_OUT(data);
    struct request request;
    struct control_request control;
    enum errorcode code;
    cr_assert_eq(read_text(&control, &request, &out,
                           "{'command': 'remove', 'data': {'block_id': 'b', 'timeout_ms': 10000,"
                           " 'include_escaped': false}}",
                           &code),
                 0);
    control_request_pack(&data, &control);
    assert_packed(&data, "{'block_id': 'b'}");
    request_close(&request);
}

Test(control_request, one_that_was_begun_with_the_defaults_tells_only_what_was_set)
{
    WIRE_OUT(data);
    struct control_request control = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_ASSIGN_PROCESS,
                                      .block_id = text_of("b"), .pid = 7};
    control_request_pack(&data, &control);
    assert_packed(&data, "{'block_id': 'b', 'pid': 7}");
}

Test(control_request, keys_of_other_commands_and_unknown_keys_are_passed_over)
{
    WIRE_OUT(out);
    struct request request;
    struct control_request control;
    enum errorcode code;
    cr_assert_eq(read_text(&control, &request, &out,
                           "{'command': 'confidence_of', 'data': {'block_id': 'b', 'pid': 'x',"
                           " 'scope': 7, 'timeout_ms': -1, 'later': [1], 5: nil}}",
                           &code),
                 0, "%s", error.message);
    cr_assert_eq(control.pid, 0);
    cr_assert_eq(control.timeout_ms, 10000);
    request_close(&request);
}

Test(control_request, a_command_without_keys_needs_no_data)
{
    static const char *const texts[] = {"{'command': 'describe'}", "{'command': 'stats'}",
                                        "{'command': 'list_all_blocks', 'data': nil}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        WIRE_OUT(out);
        struct request request;
        struct control_request control;
        enum errorcode code;
        cr_assert_eq(read_text(&control, &request, &out, texts[i], &code), 0, "%s", error.message);
        request_close(&request);
    }
}

#define ALPHABET "a block id is made of A-Z a-z 0-9 . _ - only"
#define ID_128                                                                                     \
    "0123456789012345678901234567890123456789012345678901234567890123"                             \
    "0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
    const char *command, *data, *sentence;
} refusals[] = {
    {"list_block", "nil", "data.block_id: missing"},
    {"list_block", "{}", "data.block_id: missing"},
    {"list_block", "{'block_id': nil}", "data.block_id: missing"},
    {"list_block", "{'block_id': 1}", "data.block_id: expected str, got uint"},
    {"list_block", "{'block_id': <c4 01 62>}", "data.block_id: expected str, got bin"},
    {"list_block", "{'block_id': ''}", "data.block_id: a block id must not be empty"},
    {"list_block", "{'block_id': 'a/b'}", "data.block_id: 'a/b' holds '/' at byte 2; " ALPHABET},
    {"list_block", "{'block_id': 'a\\x00'}",
     "data.block_id: 'a\\x00' holds '\\x00' at byte 2; " ALPHABET},
    {"list_block", "{'block_id': '\\xc3\\xa9'}",
     "data.block_id: '\xc3\xa9' holds '\\xc3' at byte 1; " ALPHABET},
    {"list_block", "{'block_id': '\\xff'}", "data.block_id: not valid UTF-8"},
    {"list_block", "{'block_id': '" ID_128 "x'}",
     "data.block_id: a block id is at most 128 bytes long, this one has 129"},
    {"list_block", "{'block_id': 'b', 'scope': ''}",
     "data.scope: a part of a scope must not be empty"},
    {"list_block", "{'block_id': 'b', 'scope': 'a/b/c/d'}",
     "data.scope: at most 3 parts joined by '/', as in bg/7"},
    {"list_block", "{'block_id': 'b', 'only': 'root'}",
     "data.only: expected 'started', got 'root'"},
    {"list_block", "{'block_id': 'b', 'only': true}", "data.only: expected str, got bool"},
    {"list_block", "{'block_id': 'b', 'detail': 1}", "data.detail: expected bool, got uint"},
    {"list_all_blocks", "{'detail': 'yes'}", "data.detail: expected bool, got str"},
    {"ensure_tracker", "{'block_id': 'b', 'on_exit': 'stay\\x0a'}",
     "data.on_exit: expected 'kill' or 'keep', got 'stay\\x0a'"},
    {"ensure_tracker", "{'block_id': 'b', 'on_crash': ''}",
     "data.on_crash: expected 'keep' or 'kill', got ''"},
    {"assign_process", "{'block_id': 'b'}", "data.pid: missing"},
    {"assign_process", "{'block_id': 'b', 'pid': '7'}", "data.pid: expected uint, got str"},
    {"assign_process", "{'block_id': 'b', 'pid': -7}", "data.pid: expected uint, got int"},
    {"assign_process", "{'block_id': 'b', 'pid': 2147483648}",
     "data.pid: at most 2147483647, got 2147483648"},
    {"assign_process", "{'block_id': 'b', 'pid': 7, 'root': 0}",
     "data.root: expected bool, got uint"},
    {"assign_process", "{'block_id': 'b', 'pid': 7, 'started_at_ms': 1.5}",
     "data.started_at_ms: expected uint, got float"},
    {"kill_pid", "{'block_id': 'b'}", "data.pid: missing"},
    {"signal_tree", "{'block_id': 'b'}", "data.signal: missing"},
    {"signal_tree", "{'block_id': 'b', 'signal': 0}",
     "data.signal: expected a number from 1 to 64, got 0"},
    {"signal_tree", "{'block_id': 'b', 'signal': 65}", "data.signal: at most 64, got 65"},
    {"stop_tree", "{'block_id': 'b', 'signal': 0}",
     "data.signal: expected a number from 1 to 64, got 0"},
    {"stop_tree", "{'block_id': 'b', 'grace_ms': 10000}",
     "data.grace_ms: 10000 leaves no time to kill within timeout_ms (10000)"},
    {"stop_tree", "{'block_id': 'b', 'grace_ms': 500, 'timeout_ms': 500}",
     "data.grace_ms: 500 leaves no time to kill within timeout_ms (500)"},
    {"wait_empty", "{'block_id': 'b'}", "data.timeout_ms: missing"},
    {"remove", "{'block_id': 'b', 'timeout_ms': 86400001}",
     "data.timeout_ms: at most 86400000, got 86400001"},
    {"remove", "{'block_id': 'b', 'include_escaped': 'x'}",
     "data.include_escaped: expected bool, got str"},
};

Test(control_request, a_wrong_argument_is_refused_with_what_was_expected)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        WIRE_OUT(out);
        struct request request;
        struct control_request control;
        enum errorcode code = ERRORCODE_INTERNAL;
        char text[512];
        snprintf(text, sizeof text, "{'command': '%s', 'data': %s}", refusals[i].command,
                 refusals[i].data);
        cr_assert_eq(read_text(&control, &request, &out, text, &code), -EINVAL, "%s", text);
        cr_assert_eq(code, ERRORCODE_INVALID_ARGUMENT);
        cr_assert_str_eq(error.message, refusals[i].sentence, "%s", text);
        request_close(&request);
    }
}

static void assert_unknown(const char *text, const char *sentence)
{
    WIRE_OUT(out);
    struct request request;
    struct control_request control;
    enum errorcode code = ERRORCODE_INTERNAL;
    cr_assert_eq(read_text(&control, &request, &out, text, &code), -ENOSYS, "%s", text);
    cr_assert_eq(code, ERRORCODE_UNKNOWN_COMMAND);
    cr_assert_str_eq(error.message, sentence);
    request_close(&request);
}

#define COMMANDS                                                                                   \
    "describe, ensure_tracker, assign_process, list_block, list_all_blocks, confidence_of, "       \
    "kill_pid, kill_tree, kill_started, signal_tree, stop_tree, wait_empty, freeze, thaw, "        \
    "remove, "                                                                                     \
    "stats"

Test(control_request, an_unknown_command_is_answered_with_those_there_are)
{
    assert_unknown("{'command': 'explode'}", "command: 'explode' is not one of " COMMANDS);
    assert_unknown("{'command': ''}", "command: '' is not one of " COMMANDS);
    assert_unknown("{'command': 'List_block'}", "command: 'List_block' is not one of " COMMANDS);
    assert_unknown("{'command': 'stats\\x00'}", "command: 'stats\\x00' is not one of " COMMANDS);
}
