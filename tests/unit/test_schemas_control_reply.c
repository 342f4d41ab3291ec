/* SPDX-License-Identifier: Apache-2.0 */

/* The replies on the control socket: packed, read back, refused. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/control_reply.h"
#include "schemas/control_request.h"
#include "test_schemas_tools.h"

#define VERSION    "'epoch': 'e1', 'seq': 7"
#define CONFIDENCE "'confidence': 'high', 'confidence_reason': 'why.'"

static struct wps_error error;

static const struct block_version version = {{"e1", 2}, 7}, no_version = {0};
static const struct confidence_view high = {{"high", 4}, {"why.", 4}};

static struct wire_doc open_packed(const struct wire_out *out)
{
    struct wire_doc doc;
    int result = wire_open(&doc, out->bytes.data, out->bytes.size, WIRE_DEPTH_MAX, &error);
    cr_assert_eq(result, 0, "%s", error.message);
    return doc;
}

static void assert_version(struct block_version seen, struct block_version wanted)
{
    cr_assert(text_equal(seen.epoch, wanted.epoch));
    cr_assert_eq(seen.seq, wanted.seq);
}

static void assert_high(struct confidence_view seen)
{
    assert_text(seen.confidence, "high");
    assert_text(seen.confidence_reason, "why.");
}

Test(control_reply, describe_goes_there_and_back)
{
    WIRE_OUT(out);
    const struct attempt tried[] = {{text_of("bpf"), false, text_of("no CAP_BPF")},
                                    {text_of("netlink"), true, text_of("")}};
    const struct named_uint limits[] = {{"blocks", 1000}, {"processes", UINT64_MAX}};
    const struct describe_reply reply = {1,
                                         text_of("proctrack"),
                                         text_of("0.1.0"),
                                         text_of("cgroup"),
                                         text_of("netlink"),
                                         high,
                                         tried,
                                         2,
                                         limits,
                                         2};
    describe_reply_pack(&out, &reply);
    assert_packed(
        &out, "{'protocol': 1, 'name': 'proctrack', 'version': '0.1.0', 'commands': ['describe',"
              " 'ensure_tracker', 'assign_process', 'list_block', 'list_all_blocks',"
              " 'confidence_of', 'kill_pid', 'kill_tree', 'kill_started', 'signal_tree',"
              " 'stop_tree', 'wait_empty', 'freeze', 'thaw', 'remove', 'stats'],"
              " 'tracker': 'cgroup', 'feed': 'netlink', " CONFIDENCE
              ", 'tried': [{'what': 'bpf', 'ok': false, 'why': 'no CAP_BPF'},"
              " {'what': 'netlink', 'ok': true, 'why': ''}],"
              " 'limits': {'blocks': 1000, 'processes': 18446744073709551615}}");
    struct wire_doc doc = open_packed(&out);
    struct describe_view seen;
    cr_assert_eq(describe_reply_read(&seen, &doc.root, &error), 0, "%s", error.message);
    cr_assert_eq(seen.protocol, 1);
    assert_text(seen.name, "proctrack");
    assert_text(seen.version, "0.1.0");
    cr_assert_eq(seen.commands->via.array.size, CONTROL_COMMANDS);
    assert_text(seen.tracker, "cgroup");
    assert_text(seen.feed, "netlink");
    assert_high(seen.confidence);
    cr_assert_eq(seen.n_tried, 2);
    assert_text(seen.tried[0].what, "bpf");
    cr_assert_not(seen.tried[0].ok);
    assert_text(seen.tried[0].why, "no CAP_BPF");
    cr_assert(seen.tried[1].ok);
    cr_assert_eq(seen.n_limits, 2);
    assert_text(seen.limits[1].name, "processes");
    cr_assert_eq(seen.limits[1].value, UINT64_MAX);
    free(seen.tried);
    free(seen.limits);
    wire_close(&doc);
}

Test(control_reply, ensure_tracker_goes_there_and_back)
{
    WIRE_OUT(out);
    struct ensure_reply reply = {version,        true,
                                 high,           text_of("cgroup"),
                                 text_of("bpf"), text_of("/sys/fs/cgroup/x/cgroup.procs")};
    struct ensure_reply seen;
    ensure_reply_pack(&out, &reply);
    assert_packed(&out, "{" VERSION ", 'created': true, " CONFIDENCE ", 'tracker': 'cgroup',"
                        " 'feed': 'bpf', 'procs_path': '/sys/fs/cgroup/x/cgroup.procs'}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(ensure_reply_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_version(seen.version, version);
    cr_assert(seen.created);
    assert_high(seen.confidence);
    assert_text(seen.tracker, "cgroup");
    assert_text(seen.feed, "bpf");
    assert_text(seen.procs_path, "/sys/fs/cgroup/x/cgroup.procs");
    wire_close(&doc);
    reply.procs_path = (struct text){0};
    wire_out_clear(&out);
    ensure_reply_pack(&out, &reply);
    assert_packed(&out, "{" VERSION ", 'created': true, " CONFIDENCE ", 'tracker': 'cgroup',"
                        " 'feed': 'bpf'}");
}

Test(control_reply, assign_process_goes_there_and_back)
{
    WIRE_OUT(out);
    struct block_version seen;
    uint64_t assigned;
    assign_reply_pack(&out, version, 3);
    assert_packed(&out, "{" VERSION ", 'assigned': 3}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(assign_reply_read(&seen, &assigned, &doc.root, &error), 0, "%s", error.message);
    assert_version(seen, version);
    cr_assert_eq(assigned, 3);
    wire_close(&doc);
}

Test(control_reply, list_block_goes_there_and_back)
{
    WIRE_OUT(out);
    struct list_reply_head head = {version, true, high, 2};
    struct process_record records[2] = {
        {.pid = 1, .command = text_of("a"), .scope = text_of("main")},
        {.pid = 2, .command = text_of("b"), .scope = text_of("bg")}};
    struct list_reply seen;
    list_reply_begin(&out, &head);
    process_record_pack(&out, &records[0]);
    process_record_pack(&out, &records[1]);
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(list_reply_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_version(seen.head.version, version);
    cr_assert(seen.head.tracked);
    assert_high(seen.head.confidence);
    cr_assert_eq(seen.head.n_processes, 2);
    cr_assert_eq(seen.processes[0].pid, 1);
    assert_text(seen.processes[1].command, "b");
    assert_text(seen.processes[1].scope, "bg");
    free(seen.processes);
    wire_close(&doc);
}

Test(control_reply, the_list_of_an_unknown_block_has_no_version)
{
    WIRE_OUT(out);
    struct list_reply_head head = {no_version, false, high, 0};
    struct list_reply seen;
    list_reply_begin(&out, &head);
    assert_packed(&out, "{'tracked': false, " CONFIDENCE ", 'processes': []}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(list_reply_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_version(seen.head.version, no_version);
    cr_assert_not(seen.head.tracked);
    cr_assert_eq(seen.head.n_processes, 0);
    free(seen.processes);
    wire_close(&doc);
}

/* There are so many; to be freed. */
static struct block_summary *read_summaries(const struct wire_doc *doc, size_t wanted)
{
    struct block_summary *seen;
    size_t n;
    cr_assert_eq(list_all_reply_read(&seen, &n, &doc->root, &error), 0, "%s", error.message);
    cr_assert_eq(n, wanted);
    return seen;
}

Test(control_reply, list_all_blocks_goes_there_and_back)
{
    WIRE_OUT(out);
    const struct block_summary blocks[] = {
        {text_of("a"), text_of("high"), version, .processes = 5, .created_at_ms = 1767225600123},
        {text_of("b"), text_of("none"), {text_of("e2"), 1}, .processes = 0}};
    list_all_reply_pack(&out, blocks, 2);
    assert_packed(&out, "{'block_ids': ['a', 'b'], 'blocks': [{" VERSION
                        ", 'block_id': 'a', 'confidence': 'high', 'processes': 5,"
                        " 'created_at_ms': 1767225600123}, {'epoch': 'e2',"
                        " 'seq': 1, 'block_id': 'b', 'confidence': 'none', 'processes': 0}]}");
    struct wire_doc doc = open_packed(&out);
    struct block_summary *seen = read_summaries(&doc, 2);
    assert_text(seen[0].block_id, "a");
    assert_version(seen[0].version, version);
    cr_assert_eq(seen[0].processes, 5);
    cr_assert_eq(seen[0].created_at_ms, 1767225600123);
    cr_assert_eq(seen[1].created_at_ms, 0);
    assert_text(seen[1].confidence, "none");
    cr_assert_not(seen[0].has_use);
    free(seen);
    wire_close(&doc);
}

Test(control_reply, list_all_blocks_tells_what_a_block_uses_where_that_was_asked_for)
{
    WIRE_OUT(out);
    const struct block_summary block = {text_of("a"), text_of("high"), version, 5, true, 4096, 0};
    list_all_reply_pack(&out, &block, 1);
    assert_packed(&out, "{'block_ids': ['a'], 'blocks': [{" VERSION
                        ", 'block_id': 'a', 'confidence': 'high', 'processes': 5,"
                        " 'rss_bytes': 4096, 'cpu_ms': 0}]}");
    struct wire_doc doc = open_packed(&out);
    struct block_summary *seen = read_summaries(&doc, 1);
    cr_assert(seen[0].has_use);
    cr_assert_eq(seen[0].rss_bytes, 4096);
    cr_assert_eq(seen[0].cpu_ms, 0);
    free(seen);
    wire_close(&doc);
}

Test(control_reply, confidence_of_goes_there_and_back)
{
    WIRE_OUT(out);
    struct block_version seen_version;
    struct confidence_view seen;
    confidence_reply_pack(&out, version, high);
    assert_packed(&out, "{" VERSION ", " CONFIDENCE "}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(confidence_reply_read(&seen_version, &seen, &doc.root, &error), 0);
    assert_version(seen_version, version);
    assert_high(seen);
    wire_close(&doc);
}

Test(control_reply, ok_goes_there_and_back)
{
    WIRE_OUT(out);
    struct block_version seen;
    bool ok = false;
    ok_reply_pack(&out, version, true);
    assert_packed(&out, "{" VERSION ", 'ok': true}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(ok_reply_read(&seen, &ok, &doc.root, &error), 0);
    assert_version(seen, version);
    cr_assert(ok);
    wire_close(&doc);
    wire_out_clear(&out);
    ok_reply_pack(&out, no_version, false);
    assert_packed(&out, "{'ok': false}");
}

Test(control_reply, remove_goes_there_and_back)
{
    WIRE_OUT(out);
    const struct survivor survivors[] = {{1, 9, 'D', text_of("dd"), false},
                                         {2, 8, 0, text_of("x"), true}};
    struct remove_reply seen;
    remove_reply_pack(&out, version, true, survivors, 2);
    assert_packed(&out, "{" VERSION ", 'ok': true, 'survivors': [{'pid': 1, 'started_at_ms': 9,"
                        " 'state': 'D', 'command': 'dd', 'escaped': false}, {'pid': 2,"
                        " 'started_at_ms': 8, 'state': '?', 'command': 'x', 'escaped': true}]}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(remove_reply_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_version(seen.version, version);
    cr_assert(seen.ok);
    cr_assert_eq(seen.n_survivors, 2);
    cr_assert_eq(seen.survivors[0].pid, 1);
    cr_assert_eq(seen.survivors[0].state, 'D');
    assert_text(seen.survivors[0].command, "dd");
    cr_assert_eq(seen.survivors[1].state, 0);
    cr_assert(seen.survivors[1].escaped);
    free(seen.survivors);
    wire_close(&doc);
}

Test(control_reply, stop_goes_there_and_back)
{
    WIRE_OUT(out);
    struct survivor survivors[] = {{1, 9, 'D', text_of("dd"), false}};
    const struct stop_reply reply = {version, 3, 2, 70, survivors, 1};
    struct stop_reply seen;
    stop_reply_pack(&out, &reply);
    assert_packed(&out, "{" VERSION ", 'exited': 3, 'killed': 2, 'survivors': [{'pid': 1,"
                        " 'started_at_ms': 9, 'state': 'D', 'command': 'dd', 'escaped': false}],"
                        " 'elapsed_ms': 70}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(stop_reply_read(&seen, &doc.root, &error), 0, "%s", error.message);
    assert_version(seen.version, version);
    cr_assert(seen.exited == 3 && seen.killed == 2 && seen.elapsed_ms == 70);
    cr_assert_eq(seen.n_survivors, 1);
    cr_assert_eq(seen.survivors[0].state, 'D');
    free(seen.survivors);
    wire_close(&doc);
}

Test(control_reply, wait_goes_there_and_back)
{
    WIRE_OUT(out);
    struct block_version seen;
    bool empty;
    uint64_t remaining;
    wait_reply_pack(&out, version, false, 7);
    assert_packed(&out, "{" VERSION ", 'empty': false, 'remaining': 7}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(wait_reply_read(&seen, &empty, &remaining, &doc.root, &error), 0, "%s",
                 error.message);
    assert_version(seen, version);
    cr_assert(!empty && remaining == 7);
    wire_close(&doc);
}

Test(control_reply, pids_go_there_and_back)
{
    WIRE_OUT(out);
    const uint32_t pids[] = {5, 2147483647};
    struct block_version seen;
    uint32_t *read;
    size_t n;
    pids_reply_pack(&out, version, "killed", pids, 2);
    assert_packed(&out, "{" VERSION ", 'killed': [5, 2147483647]}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(pids_reply_read(&seen, &read, &n, "killed", &doc.root, &error), 0, "%s",
                 error.message);
    assert_version(seen, version);
    cr_assert(n == 2 && read[0] == 5 && read[1] == 2147483647);
    free(read);
    cr_assert_lt(pids_reply_read(&seen, &read, &n, "signalled", &doc.root, &error), 0);
    cr_assert_str_eq(error.message, "data.signalled: missing");
    wire_close(&doc);
}

Test(control_reply, stats_go_there_and_back)
{
    WIRE_OUT(out);
    const struct named_uint counters[] = {{"events", UINT64_MAX}};
    const struct named_int gauges[] = {{"blocks", 2}, {"drift", INT64_MIN}};
    struct stats_view seen;
    stats_reply_pack(&out, counters, 1, gauges, 2);
    assert_packed(&out, "{'counters': {'events': 18446744073709551615}, 'gauges': {'blocks': 2,"
                        " 'drift': -9223372036854775808}}");
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(stats_reply_read(&seen, &doc.root, &error), 0, "%s", error.message);
    cr_assert_eq(seen.n_counters, 1);
    cr_assert_eq(seen.counters[0].value, UINT64_MAX);
    cr_assert_eq(seen.n_gauges, 2);
    assert_text(seen.gauges[1].name, "drift");
    cr_assert_eq(seen.gauges[0].value, 2);
    cr_assert_eq(seen.gauges[1].value, INT64_MIN);
    free(seen.counters);
    free(seen.gauges);
    wire_close(&doc);
}

Test(control_reply, empty_stats_are_read_too)
{
    WIRE_OUT(out);
    struct stats_view seen;
    stats_reply_pack(&out, NULL, 0, NULL, 0);
    struct wire_doc doc = open_packed(&out);
    cr_assert_eq(stats_reply_read(&seen, &doc.root, &error), 0);
    cr_assert_eq(seen.n_counters + seen.n_gauges, 0);
    free(seen.counters);
    free(seen.gauges);
    wire_close(&doc);
}

/* ---- refusals ------------------------------------------------------------------------------- */

typedef int read_reply(const msgpack_object *data);

static int read_describe(const msgpack_object *data)
{
    struct describe_view seen;
    return describe_reply_read(&seen, data, &error);
}

static int read_list(const msgpack_object *data)
{
    struct list_reply seen;
    return list_reply_read(&seen, data, &error);
}

static int read_list_all(const msgpack_object *data)
{
    struct block_summary *seen;
    size_t n;
    return list_all_reply_read(&seen, &n, data, &error);
}

static int read_remove(const msgpack_object *data)
{
    struct remove_reply seen;
    return remove_reply_read(&seen, data, &error);
}

static int read_stats(const msgpack_object *data)
{
    struct stats_view seen;
    return stats_reply_read(&seen, data, &error);
}

static int read_ensure(const msgpack_object *data)
{
    struct ensure_reply seen;
    return ensure_reply_read(&seen, data, &error);
}

static int read_assign(const msgpack_object *data)
{
    struct block_version seen;
    uint64_t assigned;
    return assign_reply_read(&seen, &assigned, data, &error);
}

static int read_confidence(const msgpack_object *data)
{
    struct block_version seen_version;
    struct confidence_view seen;
    return confidence_reply_read(&seen_version, &seen, data, &error);
}

static int read_ok(const msgpack_object *data)
{
    struct block_version seen;
    bool ok;
    return ok_reply_read(&seen, &ok, data, &error);
}

#define DESCRIBE                                                                                   \
    "'protocol': 1, 'name': 'n', 'version': 'v', 'tracker': 't', 'feed': 'f', " CONFIDENCE ", "

static const struct {
    read_reply *read;
    const char *data, *sentence;
} refusals[] = {
    {read_describe, "{}", "data.protocol: missing"},
    {read_describe, "{" DESCRIBE "'commands': [1], 'tried': [], 'limits': {}}",
     "data.commands[0]: expected str, got uint"},
    {read_describe,
     "{" DESCRIBE "'commands': [], 'tried': [{'what': 'a', 'ok': true, 'why': ''}, {'what': 1}],"
     " 'limits': {}}",
     "data.tried[1].what: expected str, got uint"},
    {read_describe,
     "{" DESCRIBE "'commands': [], 'tried': [{'what': 'a', 'ok': true, 'why': ''}],"
     " 'limits': {'a': 1, 'b': -1}}",
     "data.limits[1]: expected uint, got int"},
    {read_list, "{'tracked': true, " CONFIDENCE "}", "data.processes: missing"},
    {read_list, "{'tracked': true, " CONFIDENCE ", 'processes': [7]}",
     "data.processes[0]: expected map, got uint"},
    {read_list,
     "{'tracked': true, " CONFIDENCE ", 'processes': [{'pid': 1, 'command': 'a', 'root': true,"
     " 'started': true, 'scope': 'main', 'rss_bytes': 0, 'started_at_ms': 0}, {'pid': nil}]}",
     "data.processes[1].pid: missing"},
    {read_list_all, "{'blocks': [{'block_id': 'a'}]}", "data.blocks[0].confidence: missing"},
    {read_list_all, "{}", "data.blocks: missing"},
    {read_remove, "{'ok': true, 'survivors': [{'pid': 'x'}]}",
     "data.survivors[0].pid: expected uint, got str"},
    {read_remove, "{'ok': true}", "data.survivors: missing"},
    {read_ensure, "{'created': 1}", "data.created: expected bool, got uint"},
    {read_ensure, "{'epoch': 5}", "data.epoch: expected str, got uint"},
    {read_assign, "{'assigned': -1}", "data.assigned: expected uint, got int"},
    {read_confidence, "{'confidence': 'high'}", "data.confidence_reason: missing"},
    {read_ok, "{'ok': 'yes'}", "data.ok: expected bool, got str"},
    {read_stats, "{'counters': {'a': 'b'}, 'gauges': {}}",
     "data.counters[0]: expected uint, got str"},
    {read_stats, "{'counters': {}}", "data.gauges: missing"},
    {read_stats, "{'counters': {'a': 1}, 'gauges': {2: 1}}",
     "data.gauges[0]: expected str, got uint"},
    {read_stats, "{'counters': {'a': 1}, 'gauges': {'a': 9223372036854775808}}",
     "data.gauges[0]: at most 9223372036854775807, got 9223372036854775808"},
};

Test(control_reply, a_wrong_reply_is_refused_with_its_path_and_leaves_nothing_behind)
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
