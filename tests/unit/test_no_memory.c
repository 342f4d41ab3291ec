/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each allocation of schemas/ and client/ fails once, one after the other, in what the library does
 * without a socket: messages packed and read, and the mirror of a block. It says so, nothing leaks
 * (the address sanitizer looks), and with memory it goes on.
 *
 * The linker gives us the calls that these modules make (--wrap): those of other libraries succeed.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "client/mirror_block.h"
#include "schemas/control_reply.h"
#include "schemas/control_request.h"
#include "schemas/process_detail.h"

enum { MOST = 500 };

/* ---- the allocator -------------------------------------------------------------------------- */

static bool armed;
static unsigned calls, nth, injected_in_all;

static bool fails(void)
{
    return armed && ++calls == nth;
}

#define WRAP(type, name, parameters, arguments)                                                    \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails() ? NULL : __real_##name arguments;                                           \
    }

WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *old, size_t size), (old, size))
WRAP(void *, reallocarray, (void *old, size_t n, size_t size), (old, n, size))
WRAP(char *, strdup, (const char *text), (text))
WRAP(char *, strndup, (const char *text, size_t max), (text, max))

/* Runs it with the first, second, ... allocation failing, until none fails. It gives 0, or -ENOMEM.
 */
static void each(const char *name, int (*attempt)(void))
{
    for (nth = 1; nth < MOST; nth++) {
        calls = 0;
        armed = true;
        int result = attempt();
        armed = false;
        bool injected = calls >= nth;
        injected_in_all += injected;
        cr_assert(result == 0 || (injected && result == -ENOMEM), "%s, allocation %u: %d", name,
                  nth, result);
        if (!injected)
            break;
    }
    cr_assert(nth < MOST, "%s: there is no end of it", name);
    cr_log_info("%s: %u allocations", name, nth - 1);
}

/* What the module said of it. */
static int with_sentence(int result, const struct wps_error *error)
{
    if (result == -ENOMEM)
        cr_assert(strstr(error->message, "memory"), "it does not say so: %s", error->message);
    return result;
}

/* ---- messages ------------------------------------------------------------------------------- */

static const struct block_point point = {{"b", 1}, {"e", 1}, 7};
static const struct block_version version = {{"e", 1}, 7};
static const struct text topic = {"block:b", 7};
static const struct listening_port ports[] = {{{"::1", 3}, {"inet6", 5}, 80}};
static const struct process_detail detail = {.exe = {"/bin/sh", 7},
                                             .has_argv = true,
                                             .argv = {"sh\0-c", 5},
                                             .has_ports = true,
                                             .ports = ports,
                                             .n_ports = 1};

static struct process_record record_of(uint32_t pid)
{
    return (struct process_record){
        .pid = pid, .started_at_ms = pid, .command = text_of("sleep 9"), .scope = text_of("main")};
}

/* An event as it goes out. -ENOMEM. */
static int pack_event(struct wire_out *out, const char *name, const struct wire_out *data)
{
    const struct event event = {.event = text_of(name),
                                .scopes = &topic,
                                .n_scopes = 1,
                                .data = {data->bytes.data, data->bytes.size}};
    if (wire_out_failed(data))
        return -ENOMEM;
    event_pack(out, &event);
    return wire_out_failed(out) ? -ENOMEM : 0;
}

static int read_event(const struct wire_out *out)
{
    struct event_doc doc;
    struct wps_error error;
    struct process_event added;
    int result = event_open(&doc, out->bytes.data, out->bytes.size, "", &error);
    if (result < 0)
        return with_sentence(result, &error);
    result = process_event_read(&added, wire_get(&doc.doc.root, "data"), &error);
    event_close(&doc);
    return with_sentence(result, &error);
}

static int an_event(void)
{
    const struct process_event added = {.at = point, .process = record_of(1)};
    struct wire_out data, out;
    wire_out_init(&data);
    wire_out_init(&out);
    process_event_pack(&data, &added);
    int result = pack_event(&out, EVENT_PROCESS_ADDED, &data);
    if (result == 0)
        result = read_event(&out);
    wire_out_destroy(&out);
    wire_out_destroy(&data);
    return result;
}

static int read_request(const struct wire_out *out)
{
    struct request request;
    struct control_request control;
    struct wps_error error;
    enum errorcode code;
    int result = request_open(&request, out->bytes.data, out->bytes.size, &code, &error);
    if (result < 0) {
        cr_assert_eq(code, ERRORCODE_INTERNAL);
        return with_sentence(result, &error);
    }
    result = control_request_read(&control, &request, &code, &error);
    request_close(&request);
    return with_sentence(result, &error);
}

static int a_request(void)
{
    const struct control_request control = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_STOP_TREE,
                                            .block_id = text_of("b")};
    const struct reqid reqid = {.kind = REQID_UINT, .number = 1};
    struct wire_out data, out;
    wire_out_init(&data);
    wire_out_init(&out);
    control_request_pack(&data, &control);
    if (!wire_out_failed(&data))
        request_pack(&out, control_command_name(control.command), &reqid,
                     (struct text){data.bytes.data, data.bytes.size});
    int result = wire_out_failed(&data) || wire_out_failed(&out) ? -ENOMEM : read_request(&out);
    wire_out_destroy(&out);
    wire_out_destroy(&data);
    return result;
}

/* A reply that `put` packs the data of, and `read` reads. */
typedef void put_function(struct wire_out *out);
typedef int read_function(const msgpack_object *data, struct wps_error *error);

static int a_reply(put_function *put, read_function *read)
{
    struct wire_out out;
    struct reply reply;
    struct wps_error error;
    wire_out_init(&out);
    reply_begin(&out, NULL);
    put(&out);
    int result =
        wire_out_failed(&out)
            ? -ENOMEM
            : with_sentence(reply_open(&reply, out.bytes.data, out.bytes.size, &error), &error);
    if (result == 0) {
        result = with_sentence(read(reply.data, &error), &error);
        reply_close(&reply);
    }
    wire_out_destroy(&out);
    return result;
}

static void put_list(struct wire_out *out)
{
    const struct list_reply_head head = {
        version, true, {text_of("high"), text_of("cgroup and bpf.")}, 1};
    struct process_record record = record_of(1);
    record.detail = &detail;
    list_reply_begin(out, &head);
    process_record_pack(out, &record);
}

static int read_list(const msgpack_object *data, struct wps_error *error)
{
    struct list_reply list;
    struct process_detail_view view;
    int result = list_reply_read(&list, data, error);
    if (result < 0)
        return result;
    result = process_detail_read(&view, &list.maps[0], "data", error);
    if (result == 0)
        free(view.ports);
    free(list.processes);
    return result;
}

static int a_list(void)
{
    return a_reply(put_list, read_list);
}

static void put_stats(struct wire_out *out)
{
    const struct named_uint counts[] = {{"blocks", 1000}};
    const struct named_int gauges[] = {{"drift", -1}};
    stats_reply_pack(out, counts, 1, gauges, 1);
}

static int read_stats(const msgpack_object *data, struct wps_error *error)
{
    struct stats_view stats;
    int result = stats_reply_read(&stats, data, error);
    if (result < 0)
        return result;
    free(stats.counters);
    free(stats.gauges);
    return 0;
}

static int stats(void)
{
    return a_reply(put_stats, read_stats);
}

static void put_describe(struct wire_out *out)
{
    const struct attempt tried[] = {{text_of("bpf"), false, text_of("no CAP_BPF")}};
    const struct named_uint limits[] = {{"blocks", 1000}};
    const struct describe_reply describe = {1,
                                            text_of("proctrack"),
                                            text_of("0.1.0"),
                                            text_of("cgroup"),
                                            text_of("bpf"),
                                            {text_of("high"), text_of("bpf.")},
                                            tried,
                                            1,
                                            limits,
                                            1};
    describe_reply_pack(out, &describe);
}

static int read_describe(const msgpack_object *data, struct wps_error *error)
{
    struct describe_view describe;
    int result = describe_reply_read(&describe, data, error);
    if (result < 0)
        return result;
    free(describe.tried);
    free(describe.limits);
    return 0;
}

static int describe(void)
{
    return a_reply(put_describe, read_describe);
}

static void put_stop(struct wire_out *out)
{
    const struct survivor survivors[] = {{1, 9, 'D', text_of("dd"), false}};
    const struct stop_reply stop = {version, 1, 2, 3, (struct survivor *)survivors, 1};
    stop_reply_pack(out, &stop);
}

static int read_stop(const msgpack_object *data, struct wps_error *error)
{
    struct stop_reply stop;
    int result = stop_reply_read(&stop, data, error);
    if (result == 0)
        free(stop.survivors);
    return result;
}

static int stop(void)
{
    return a_reply(put_stop, read_stop);
}

Test(no_memory, messages_are_packed_and_read_or_it_is_said)
{
    each("an event", an_event);
    each("a request", a_request);
    each("a list", a_list);
    each("stats", stats);
    each("describe", describe);
    each("stop", stop);
    cr_assert(injected_in_all > 10, "only %u", injected_in_all);
}

/* ---- a mirror ------------------------------------------------------------------------------- */

static int64_t now_ms;

static int tell(struct mirror_block *mirror, uint64_t seq, uint32_t pid, bool ends)
{
    struct mirror_event event;
    struct event_doc doc;
    struct wire_out data, out;
    const struct block_point at = {text_of("b"), text_of("e"), seq};
    bool was_armed = armed;
    armed = false;
    wire_out_init(&data);
    wire_out_init(&out);
    if (ends)
        process_exit_pack(&data,
                          &(struct process_exit){.at = at, .pid = pid, .started_at_ms = pid});
    else
        process_event_pack(&data, &(struct process_event){.at = at, .process = record_of(pid)});
    cr_assert_eq(pack_event(&out, ends ? EVENT_PROCESS_EXITED : EVENT_PROCESS_ADDED, &data), 0);
    armed = was_armed;
    int result =
        mirror_event_open(&event, &doc, topic, (struct text){out.bytes.data, out.bytes.size});
    if (result == 1) {
        result = mirror_block_event(mirror, &event, now_ms);
        event_close(&doc);
    } else if (result == -ENOMEM) {
        mirror_block_want_list(mirror, now_ms); /* as mirror.c does where one is lost */
    }
    wire_out_destroy(&out);
    wire_out_destroy(&data);
    return result;
}

static int list(struct mirror_block *mirror, uint64_t seq, uint32_t first, size_t n)
{
    struct process_record records[2] = {record_of(first), record_of(first + 1)};
    const struct list_reply reply = {
        .head = {.version = {text_of("e"), seq},
                 .tracked = true,
                 .confidence = {text_of("high"), text_of("a reason")},
                 .n_processes = n},
        .processes = records,
    };
    mirror_block_asked(mirror, now_ms);
    int result = mirror_block_list(mirror, &reply, now_ms);
    now_ms += MIRROR_BACKOFF_MAX_MS;
    return result;
}

/* What was missed is listed again, with memory; then it shows what there is. */
static void check_whole(struct mirror_block *mirror)
{
    bool was_armed = armed;
    armed = false;
    if (mirror->phase != MIRROR_WHOLE)
        cr_assert_eq(list(mirror, 4, 2, 2), 0);
    cr_assert_eq(mirror->phase, MIRROR_WHOLE);
    cr_assert_eq(mirror->shown.n_processes, 2);
    cr_assert(proctrack_block_find(&mirror->shown, 2) && proctrack_block_find(&mirror->shown, 3));
    armed = was_armed;
}

static int a_mirror(void)
{
    struct mirror_teller teller = {.kept_max = 4096};
    struct mirror_block *mirror = mirror_block_new(&teller, text_of("b"), now_ms);
    if (!mirror)
        return -ENOMEM;
    int result = list(mirror, 1, 1, 1);
    int events[] = {tell(mirror, 2, 2, false), tell(mirror, 3, 3, false), tell(mirror, 4, 1, true)};
    for (size_t i = 0; i < 3; i++)
        result = result < 0 ? result : events[i];
    check_whole(mirror);
    mirror_block_free(mirror);
    cr_assert_eq(teller.kept_bytes, 0);
    return result;
}

Test(no_memory, a_mirror_wants_a_list_where_it_lacked_memory_and_is_right_again)
{
    each("a mirror", a_mirror);
    cr_assert(injected_in_all > 5, "only %u", injected_in_all);
}
