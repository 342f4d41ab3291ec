/* SPDX-License-Identifier: Apache-2.0 */

/* The data of each event of a block, and the process record in it: packed, read back, refused. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

#include "schemas/block_event.h"
#include "test_schemas_tools.h"

#define POINT "'block_id': 'b', 'epoch': 'e1', 'seq': 7"

static struct wps_error error;

static const struct block_point point = {{"b", 1}, {"e1", 2}, 7};

static struct process_record sample_record(void)
{
    return (struct process_record){.pid = 42,
                                   .parent_pid = 41,
                                   .command = text_of("sleep 9"),
                                   .command_truncated = true,
                                   .root = false,
                                   .started = true,
                                   .scope = text_of("bg/7"),
                                   .rss_bytes = 1u << 31,
                                   .started_at_ms = 1700000000123};
}

#define RECORD                                                                                     \
    "{'pid': 42, 'parent_pid': 41, 'command': 'sleep 9', 'command_truncated': true,"               \
    " 'root': false, 'started': true, 'scope': 'bg/7', 'rss_bytes': 2147483648,"                   \
    " 'started_at_ms': 1700000000123}"

static struct wire_doc open_packed(const struct wire_out *out)
{
    struct wire_doc doc;
    int result = wire_open(&doc, out->bytes.data, out->bytes.size, WIRE_DEPTH_MAX, &error);
    cr_assert_eq(result, 0, "%s", error.message);
    return doc;
}

static void assert_point(struct block_point at)
{
    assert_text(at.block_id, "b");
    assert_text(at.epoch, "e1");
    cr_assert_eq(at.seq, 7);
}

static void assert_record(const struct process_record *seen, const struct process_record *wanted)
{
    cr_assert_eq(seen->pid, wanted->pid);
    cr_assert_eq(seen->parent_pid, wanted->parent_pid);
    cr_assert(text_equal(seen->command, wanted->command));
    cr_assert_eq(seen->command_truncated, wanted->command_truncated);
    cr_assert_eq(seen->root, wanted->root);
    cr_assert_eq(seen->started, wanted->started);
    cr_assert(text_equal(seen->scope, wanted->scope));
    cr_assert_eq(seen->rss_bytes, wanted->rss_bytes);
    cr_assert_eq(seen->started_at_ms, wanted->started_at_ms);
}

Test(process_record, it_goes_there_and_back)
{
    WIRE_OUT(out);
    struct process_record record = sample_record(), seen;
    process_record_pack(&out, &record);
    assert_packed(&out, RECORD);
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(process_record_read(&seen, &doc.root, "process", &error), 0, "%s", error.message);
    assert_record(&seen, &record);
    wire_close(&doc);
}

Test(process_record, an_unknown_parent_and_a_whole_command_say_nothing)
{
    WIRE_OUT(out);
    struct process_record record = {
        .pid = 1, .command = text_of("[a]"), .root = true, .scope = text_of("main")};
    struct process_record seen;
    process_record_pack(&out, &record);
    assert_packed(&out, "{'pid': 1, 'command': '[a]', 'root': true, 'started': false,"
                        " 'scope': 'main', 'rss_bytes': 0, 'started_at_ms': 0}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(process_record_read(&seen, &doc.root, "process", &error), 0);
    assert_record(&seen, &record);
    wire_close(&doc);
}

Test(process_event, it_goes_there_and_back)
{
    WIRE_OUT(out);
    struct process_event event = {point, sample_record(), text_of("scan")}, seen;
    process_event_pack(&out, &event);
    assert_packed(&out, "{" POINT ", 'process': " RECORD ", 'source': 'scan'}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(process_event_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_point(seen.at);
    assert_record(&seen.process, &event.process);
    assert_text(seen.source, "scan");
    wire_close(&doc);
    wire_out_clear(&out);
    event.source = (struct text){0};
    process_event_pack(&out, &event);
    assert_packed(&out, "{" POINT ", 'process': " RECORD "}");
}

#define EXIT_HEAD "{" POINT ", 'pid': 42, 'started_at_ms': 9"
#define EXIT_TAIL ", 'runtime_ms': 1, 'cpu_ms': 2, 'max_rss_bytes': 3}"

static const struct {
    bool has_status;
    int status;
    const char *packed;
} statuses[] = {
    {false, 0, EXIT_HEAD EXIT_TAIL},
    {true, W_EXITCODE(0, 0), EXIT_HEAD ", 'exit_code': 0" EXIT_TAIL},
    {true, W_EXITCODE(255, 0), EXIT_HEAD ", 'exit_code': 255" EXIT_TAIL},
    {true, W_EXITCODE(0, 9), EXIT_HEAD ", 'signal': 9, 'core_dumped': false" EXIT_TAIL},
    {true, W_EXITCODE(0, 11) | WCOREFLAG,
     EXIT_HEAD ", 'signal': 11, 'core_dumped': true" EXIT_TAIL},
    {true, W_EXITCODE(0, 64), EXIT_HEAD ", 'signal': 64, 'core_dumped': false" EXIT_TAIL},
};

Test(process_exit, every_kind_of_wait_status_goes_there_and_back)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        WIRE_OUT(out);
        struct process_exit event = {.at = point,
                                     .pid = 42,
                                     .started_at_ms = 9,
                                     .has_status = statuses[i].has_status,
                                     .status = statuses[i].status,
                                     .runtime_ms = 1,
                                     .cpu_ms = 2,
                                     .max_rss_bytes = 3};
        struct process_exit seen;
        process_exit_pack(&out, &event);
        assert_packed(&out, statuses[i].packed);
        struct wire_doc doc = open_packed(&out);
        cr_assert_eq(process_exit_read(&seen, &doc.root, &error), 0, "%s", error.message);
        assert_point(seen.at);
        cr_assert_eq(seen.pid, 42);
        cr_assert_eq(seen.started_at_ms, 9);
        cr_assert_eq(seen.has_status, event.has_status);
        cr_assert_eq(seen.status, event.status);
        cr_assert_eq(seen.runtime_ms, 1);
        cr_assert_eq(seen.cpu_ms, 2);
        cr_assert_eq(seen.max_rss_bytes, 3);
        cr_assert_eq(seen.source.size, 0);
        wire_close(&doc);
    }
}

/* What is no death tells no cause of one. */
Test(process_exit, a_status_that_means_stopped_is_not_sent)
{
    WIRE_OUT(out);
    struct process_exit event = {.at = point,
                                 .pid = 1,
                                 .has_status = true,
                                 .status = W_STOPCODE(19),
                                 .source = text_of("scan")};
    process_exit_pack(&out, &event);
    assert_packed(&out, "{" POINT ", 'pid': 1, 'started_at_ms': 0, 'runtime_ms': 0, 'cpu_ms': 0,"
                        " 'max_rss_bytes': 0, 'source': 'scan'}");
}

Test(process_escape, it_goes_there_and_back)
{
    WIRE_OUT(out);
    struct process_escape event = {point, 42, 9, text_of("moved"), text_of("/user.slice/x")}, seen;
    process_escape_pack(&out, &event);
    assert_packed(&out, "{" POINT ", 'pid': 42, 'started_at_ms': 9, 'reason': 'moved',"
                        " 'where': '/user.slice/x'}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(process_escape_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_point(seen.at);
    cr_assert_eq(seen.pid, 42);
    cr_assert_eq(seen.started_at_ms, 9);
    assert_text(seen.reason, "moved");
    assert_text(seen.where, "/user.slice/x");
    wire_close(&doc);
}

Test(process_escape, a_cgroup_path_that_is_not_utf8_is_repaired)
{
    WIRE_OUT(out);
    struct process_escape event = {point, 42, 9, text_of("moved"), text_of("/x\xff")};
    process_escape_pack(&out, &event);
    assert_packed(&out, "{" POINT ", 'pid': 42, 'started_at_ms': 9, 'reason': 'moved',"
                        " 'where': '/x\\xef\\xbf\\xbd'}");
    event.where = (struct text){0};
    wire_out_clear(&out);
    process_escape_pack(&out, &event);
    assert_packed(&out, "{" POINT ", 'pid': 42, 'started_at_ms': 9, 'reason': 'moved'}");
}

Test(block_state, it_goes_there_and_back)
{
    WIRE_OUT(out);
    struct block_state event = {
        point, text_of("high"), text_of("cgroup and bpf."), text_of("cgroup"), text_of("bpf"),
        true};
    struct block_state seen;
    block_state_pack(&out, &event);
    assert_packed(&out, "{" POINT ", 'confidence': 'high', 'confidence_reason': 'cgroup and bpf.',"
                        " 'tracker': 'cgroup', 'feed': 'bpf', 'adopted': true}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(block_state_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_point(seen.at);
    assert_text(seen.confidence, "high");
    assert_text(seen.confidence_reason, "cgroup and bpf.");
    assert_text(seen.tracker, "cgroup");
    assert_text(seen.feed, "bpf");
    cr_assert(seen.adopted);
    wire_close(&doc);
}

Test(block_resync, it_goes_there_and_back)
{
    WIRE_OUT(out);
    struct block_resync event = {point, text_of("overflow"), 12}, seen;
    block_resync_pack(&out, &event);
    assert_packed(&out, "{" POINT ", 'reason': 'overflow', 'lost': 12}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(block_resync_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_point(seen.at);
    assert_text(seen.reason, "overflow");
    cr_assert_eq(seen.lost, 12);
    wire_close(&doc);
    event.lost = 0;
    wire_out_clear(&out);
    block_resync_pack(&out, &event);
    assert_packed(&out, "{" POINT ", 'reason': 'overflow'}");
}

Test(block_removed, it_goes_there_and_back)
{
    WIRE_OUT(out);
    struct block_removed event = {point, text_of("shutdown")}, seen;
    block_removed_pack(&out, &event);
    assert_packed(&out, "{" POINT ", 'reason': 'shutdown'}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(block_removed_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_point(seen.at);
    assert_text(seen.reason, "shutdown");
    wire_close(&doc);
}

Test(block_mark, it_goes_there_and_back)
{
    WIRE_OUT(out);
    struct block_point seen;
    block_mark_pack(&out, &point);
    assert_packed(&out, "{" POINT "}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(block_point_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_point(seen);
    wire_close(&doc);
}

/* One reading function of many shapes, so that a table can hold it. */
typedef int read_event(const msgpack_object *data);

static int read_point(const msgpack_object *data)
{
    struct block_point seen;
    return block_point_read(&seen, data, &error);
}

static int read_process(const msgpack_object *data)
{
    struct process_event seen;
    return process_event_read(&seen, data, &error);
}

static int read_exit(const msgpack_object *data)
{
    struct process_exit seen;
    return process_exit_read(&seen, data, &error);
}

static int read_escape(const msgpack_object *data)
{
    struct process_escape seen;
    return process_escape_read(&seen, data, &error);
}

static int read_state(const msgpack_object *data)
{
    struct block_state seen;
    return block_state_read(&seen, data, &error);
}

static int read_resync(const msgpack_object *data)
{
    struct block_resync seen;
    return block_resync_read(&seen, data, &error);
}

static int read_removed(const msgpack_object *data)
{
    struct block_removed seen;
    return block_removed_read(&seen, data, &error);
}

static const struct {
    read_event *read;
    const char *data, *sentence;
} refusals[] = {
    {read_point, "[]", "data: expected map, got array"},
    {read_point, "{'epoch': 'e1', 'seq': 7}", "data.block_id: missing"},
    {read_point, "{'block_id': 'b', 'seq': 7}", "data.epoch: missing"},
    {read_point, "{'block_id': 'b', 'epoch': 'e1'}", "data.seq: missing"},
    {read_point, "{'block_id': 'b', 'epoch': 'e1', 'seq': 0}", "data.seq: at least 1, got 0"},
    {read_point, "{'block_id': 'b', 'epoch': 'e1', 'seq': -1}", "data.seq: expected uint, got int"},
    {read_point, "{'block_id': '', 'epoch': 'e1', 'seq': 7}",
     "data.block_id: a block id must not be empty"},
    {read_point, "{'block_id': 'b', 'epoch': '012345678901234567890123456789012', 'seq': 7}",
     "data.epoch: at most 32 bytes, got 33"},
    {read_process, "{" POINT "}", "data.process: missing"},
    {read_process, "{" POINT ", 'process': 1}", "data.process: expected map, got uint"},
    {read_process, "{" POINT ", 'process': {}}", "data.process.pid: missing"},
    {read_process, "{" POINT ", 'process': {'pid': 'x'}}",
     "data.process.pid: expected uint, got str"},
    {read_process, "{" POINT ", 'process': {'pid': 2147483648}}",
     "data.process.pid: at most 2147483647, got 2147483648"},
    {read_process,
     "{" POINT ", 'process': {'pid': 0, 'command': 'x', 'root': true, 'started': false,"
     " 'scope': 'main', 'rss_bytes': 0, 'started_at_ms': 0}}",
     "data.process.pid: at least 1, got 0"},
    {read_process, "{" POINT ", 'process': " RECORD ", 'source': 1}",
     "data.source: expected str, got uint"},
    {read_exit, "{" POINT ", 'started_at_ms': 9" EXIT_TAIL, "data.pid: missing"},
    {read_exit, "{" POINT ", 'pid': 0, 'started_at_ms': 9" EXIT_TAIL,
     "data.pid: at least 1, got 0"},
    {read_exit, EXIT_HEAD ", 'exit_code': 256" EXIT_TAIL, "data.exit_code: at most 255, got 256"},
    {read_exit, EXIT_HEAD ", 'signal': 127" EXIT_TAIL, "data.signal: at most 126, got 127"},
    {read_exit, EXIT_HEAD ", 'signal': 0" EXIT_TAIL, "data.signal: at least 1, got 0"},
    {read_exit, EXIT_HEAD ", 'signal': 9, 'exit_code': 0" EXIT_TAIL,
     "data.signal: excludes data.exit_code"},
    {read_exit, EXIT_HEAD "}", "data.runtime_ms: missing"},
    {read_escape, "{" POINT ", 'pid': 1, 'started_at_ms': 9}", "data.reason: missing"},
    {read_escape, "{" POINT ", 'pid': 0, 'started_at_ms': 9, 'reason': 'moved'}",
     "data.pid: at least 1, got 0"},
    {read_state, "{" POINT ", 'confidence': true}", "data.confidence: expected str, got bool"},
    {read_state,
     "{" POINT ", 'confidence': 'high', 'confidence_reason': '', 'tracker': 't', 'feed': 'f'}",
     "data.adopted: missing"},
    {read_resync, "{" POINT ", 'reason': 'overflow', 'lost': 'x'}",
     "data.lost: expected uint, got str"},
    {read_removed, "{" POINT "}", "data.reason: missing"},
};

Test(block_event, wrong_data_is_refused_with_its_path)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        WIRE_OUT(out);
        pack_text(&out, refusals[i].data);
        struct wire_doc doc = open_packed(&out);
        cr_assert_eq(refusals[i].read(&doc.root), -EINVAL, "%s", refusals[i].data);
        cr_assert_str_eq(error.message, refusals[i].sentence, "%s", refusals[i].data);
        wire_close(&doc);
    }
}

Test(block_event, keys_and_words_of_later_versions_are_let_through)
{
    WIRE_OUT(out);
    struct block_removed seen;
    pack_text(&out, "{'new': [1], " POINT ", 'reason': 'a new one'}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(block_removed_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_text(seen.reason, "a new one");
    wire_close(&doc);
}
