/* SPDX-License-Identifier: Apache-2.0 */

/* Prints every message that the C code packs, one a line: the name of its schema, a tab, the
 * message as JSON. test_json_schemas.py holds the one against the other. */

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "schemas/control_reply.h"
#include "schemas/control_request.h"
#include "schemas/event.h"

/* ---- msgpack to JSON ------------------------------------------------------------------------ */

static void print_string(struct text text)
{
    putchar('"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if (byte < 0x20 || byte == '"' || byte == '\\')
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

static void print_value(const msgpack_object *value)
{
    switch (value->type) {
    case MSGPACK_OBJECT_STR:
        print_string((struct text){value->via.str.ptr, value->via.str.size});
        break;
    case MSGPACK_OBJECT_ARRAY:
        putchar('[');
        for (uint32_t i = 0; i < value->via.array.size; i++) {
            fputs(i ? ", " : "", stdout);
            print_value(&value->via.array.ptr[i]);
        }
        putchar(']');
        break;
    case MSGPACK_OBJECT_MAP:
        putchar('{');
        for (uint32_t i = 0; i < value->via.map.size; i++) {
            fputs(i ? ", " : "", stdout);
            print_value(&value->via.map.ptr[i].key);
            fputs(": ", stdout);
            print_value(&value->via.map.ptr[i].val);
        }
        putchar('}');
        break;
    default:
        msgpack_object_print(stdout, *value);
    }
}

static struct wire_out out;

/* Prints what was packed since the last time. */
static void print_as(const char *schema)
{
    struct wire_doc doc;
    struct wps_error error;
    if (wire_out_failed(&out) ||
        wire_open(&doc, out.bytes.data, out.bytes.size, WIRE_DEPTH_MAX, &error) < 0) {
        fprintf(stderr, "%s: packed what cannot be read\n", schema);
        exit(1);
    }
    printf("%s\t", schema);
    print_value(&doc.root);
    putchar('\n');
    wire_close(&doc);
    wire_out_clear(&out);
}

/* ---- events --------------------------------------------------------------------------------- */

static const struct block_point point = {{"block-1", 7}, {"e-1", 3}, 1};

static const struct process_record record = {.pid = 42,
                                             .parent_pid = 41,
                                             .command = {"sh -c \"x\"\n", 10},
                                             .command_truncated = true,
                                             .started = true,
                                             .scope = {"bg/7", 4},
                                             .rss_bytes = UINT64_MAX,
                                             .started_at_ms = 1700000000123};

static void print_process_events(void)
{
    struct process_event event = {.at = point, .process = record};
    process_event_pack(&out, &event);
    print_as("agent.process-added");
    event.source = text_of("scan");
    event.process.parent_pid = 0;
    event.process.command_truncated = false;
    process_event_pack(&out, &event);
    print_as("agent.process-added");
    process_event_pack(&out, &event);
    print_as("agent.process-exec");
    process_event_pack(&out, &event);
    print_as("agent.process-changed");

    struct process_escape escape = {point, 42, 9, text_of("reassigned"), {0}};
    process_escape_pack(&out, &escape);
    print_as("agent.process-escaped");
    escape.where = text_of("/x\xff");
    process_escape_pack(&out, &escape);
    print_as("agent.process-escaped");
}

static void print_exits(void)
{
    static const int statuses[] = {W_EXITCODE(0, 0), W_EXITCODE(255, 0), W_EXITCODE(0, 9),
                                   W_EXITCODE(0, 64) | WCOREFLAG};
    struct process_exit event = {.at = point, .pid = 42, .source = text_of("scan")};
    process_exit_pack(&out, &event);
    print_as("agent.process-exited");
    event.has_status = true;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        event.status = statuses[i];
        process_exit_pack(&out, &event);
        print_as("agent.process-exited");
    }
}

static void print_block_events(void)
{
    const struct block_state state = {
        point, text_of("best_effort"), text_of("Lineage."), text_of("lineage"), text_of("netlink"),
        true};
    block_state_pack(&out, &state);
    print_as("agent.block-added");
    block_state_pack(&out, &state);
    print_as("agent.block-changed");
    struct block_resync resync = {point, text_of("feed_restarted"), 0};
    block_resync_pack(&out, &resync);
    print_as("agent.block-resync");
    resync.lost = 5;
    block_resync_pack(&out, &resync);
    print_as("agent.block-resync");
    const struct block_removed removed = {point, text_of("expired")};
    block_removed_pack(&out, &removed);
    print_as("agent.block-removed");
    block_mark_pack(&out, &point);
    print_as("agent.block-mark");
}

static void print_envelopes(void)
{
    const struct text scopes[] = {text_of("block:1"), text_of("")};
    const struct event whole = {text_of("e"), text_of("s"), 9, scopes, 2, {"\xc3", 1}};
    const struct event least = {.event = text_of("e")};
    const struct reqid number = {.kind = REQID_UINT, .number = UINT64_MAX};
    const struct reqid string = {.kind = REQID_STR, .size = 1, .string = "r"};
    event_pack(&out, &whole);
    print_as("event");
    event_pack(&out, &least);
    print_as("event");
    event_pack(&out, &whole);
    print_as("rpc.eventpublish.request");
    request_pack(&out, "stats", NULL, (struct text){0});
    print_as("request");
    request_pack(&out, "stats", &number, (struct text){"\x80", 1});
    print_as("request");
    reply_begin(&out, &string);
    wire_put_map(&out, 0);
    print_as("reply");
    for (int code = ERRORCODE_BAD_REQUEST; code <= ERRORCODE_INTERNAL; code++) {
        reply_error(&out, &string, (enum errorcode)code, "Why.");
        print_as("error");
        reply_error(&out, NULL, (enum errorcode)code, "Why.");
        print_as("reply");
    }
}

/* ---- control -------------------------------------------------------------------------------- */

static void print_request(const struct control_request *request)
{
    char schema[128];
    snprintf(schema, sizeof schema, "control.%s.request", control_command_name(request->command));
    control_request_pack(&out, request);
    print_as(schema);
}

static void print_requests(void)
{
    for (int command = 0; command < CONTROL_COMMANDS; command++) {
        struct control_request request = {CONTROL_REQUEST_DEFAULTS,
                                          .command = (enum control_command)command,
                                          .block_id = text_of("block-1"), .pid = 42};
        print_request(&request);
        request.scope = text_of("bg/7");
        request.started_at_ms = 1;
        request.root = false;
        request.has_on_exit = request.has_on_crash = true;
        request.keep_on_exit = true;
        request.only_started = request.detail = request.include_escaped = true;
        request.timeout_ms = request.grace_ms = 0;
        request.signal = 64;
        print_request(&request);
        request.keep_on_exit = false;
        request.kill_on_crash = true;
        print_request(&request);
    }
}

static const struct block_version version = {{"e-1", 3}, 7}, no_version = {0};
static const struct confidence_view high = {{"high", 4}, {"cgroup and bpf.", 15}};
static const struct confidence_view none = {{"none", 4}, {"No such block.", 14}};

static void print_describe_and_stats(void)
{
    const struct attempt tried[] = {{text_of("bpf"), false, text_of("no CAP_BPF")}};
    const struct named_uint counts[] = {{"blocks", 1000}};
    const struct named_int gauges[] = {{"drift", -1}};
    const struct describe_reply describe = {1,
                                            text_of("proctrack"),
                                            text_of("0.1.0"),
                                            text_of("cgroup"),
                                            text_of("netlink"),
                                            high,
                                            tried,
                                            1,
                                            counts,
                                            1};
    describe_reply_pack(&out, &describe);
    print_as("control.describe.reply");
    stats_reply_pack(&out, counts, 1, gauges, 1);
    print_as("control.stats.reply");
}

static const struct listening_port ports[] = {{{"127.0.0.1", 9}, {"inet", 4}, 80},
                                              {{"fe80::1", 7}, {"inet6", 5}, 65535}};

static const struct process_detail detail = {.exe = {"/bin/sh (deleted)", 17},
                                             .cwd = {"/tmp/\xff", 6},
                                             .has_uid = true,
                                             .uid = UINT32_MAX,
                                             .state = 'T',
                                             .threads = 1,
                                             .has_cpu = true,
                                             .has_argv = true,
                                             .argv = {"sh\0\0-c\nx", 8},
                                             .argv_truncated = true,
                                             .has_ports = true,
                                             .ports = ports,
                                             .n_ports = 2};

static void print_details(void)
{
    const struct process_detail unknown = {0};
    const struct list_reply_head head = {version, true, high, 2};
    struct process_record with = record, without = record;
    with.detail = &detail;
    without.detail = &unknown;
    list_reply_begin(&out, &head);
    process_record_pack(&out, &with);
    process_record_pack(&out, &without);
    print_as("control.list_block.reply");
    const struct block_summary block = {text_of("block-1"), text_of("high"), version, 5, true, 4096,
                                        UINT64_MAX,         1767225600123};
    list_all_reply_pack(&out, &block, 1);
    print_as("control.list_all_blocks.reply");
}

static void print_lists(void)
{
    const struct list_reply_head head = {version, true, high, 1}, unknown = {.confidence = none};
    list_reply_begin(&out, &head);
    process_record_pack(&out, &record);
    print_as("control.list_block.reply");
    list_reply_begin(&out, &unknown);
    print_as("control.list_block.reply");
    const struct block_summary blocks[] = {
        {text_of("block-1"), text_of("high"), version, .processes = 5}};
    list_all_reply_pack(&out, blocks, 1);
    print_as("control.list_all_blocks.reply");
    confidence_reply_pack(&out, version, high);
    print_as("control.confidence_of.reply");
    confidence_reply_pack(&out, no_version, none);
    print_as("control.confidence_of.reply");
}

static void print_changes(void)
{
    struct ensure_reply ensure = {version, true, high, text_of("cgroup"), text_of("bpf"), {0}};
    ensure_reply_pack(&out, &ensure);
    print_as("control.ensure_tracker.reply");
    ensure.procs_path = text_of("/sys/fs/cgroup/x/cgroup.procs");
    ensure_reply_pack(&out, &ensure);
    print_as("control.ensure_tracker.reply");
    assign_reply_pack(&out, version, 0);
    print_as("control.assign_process.reply");

    static const char *const oks[] = {"control.kill_pid.reply", "control.kill_tree.reply"};
    static const char *const known_oks[] = {"control.freeze.reply", "control.thaw.reply"};
    for (size_t i = 0; i < 2; i++) {
        ok_reply_pack(&out, version, true);
        print_as(known_oks[i]);
        ok_reply_pack(&out, version, true);
        print_as(oks[i]);
        ok_reply_pack(&out, no_version, false);
        print_as(oks[i]);
    }
    const struct survivor survivors[] = {{1, 9, 'D', text_of("dd"), false},
                                         {2, 8, 0, text_of("x"), true}};
    remove_reply_pack(&out, version, true, survivors, 2);
    print_as("control.remove.reply");
    remove_reply_pack(&out, no_version, false, NULL, 0);
    print_as("control.remove.reply");
    const struct stop_reply stop = {version, 1, 2, 3, (struct survivor *)survivors, 2};
    stop_reply_pack(&out, &stop);
    print_as("control.stop_tree.reply");
}

static void print_signals(void)
{
    const uint32_t pids[] = {1, 2147483647};
    pids_reply_pack(&out, version, "killed", pids, 2);
    print_as("control.kill_started.reply");
    pids_reply_pack(&out, version, "signalled", NULL, 0);
    print_as("control.signal_tree.reply");
    wait_reply_pack(&out, version, false, 3);
    print_as("control.wait_empty.reply");
}

int main(void)
{
    wire_out_init(&out);
    process_record_pack(&out, &record);
    print_as("process-record");
    print_process_events();
    print_exits();
    print_block_events();
    print_envelopes();
    print_requests();
    print_describe_and_stats();
    print_lists();
    print_details();
    print_changes();
    print_signals();
    wire_out_destroy(&out);
    return fflush(stdout) == 0 ? 0 : 1;
}
