/* SPDX-License-Identifier: Apache-2.0 */

/* The `data` of the events of a block. They are packed for every birth and death, so nothing here
 * allocates or formats unless something is wrong. */

#include "schemas/block_event.h"

#include <errno.h>
#include <sys/wait.h>

#include "schemas/names.h"

/* ---- packing -------------------------------------------------------------------------------- */

enum { POINT_KEYS = 3 };

/* Begins the map of an event with the block's three keys; `n_others` more follow. */
static void begin(struct wire_out *out, const struct block_point *at, size_t n_others)
{
    wire_put_map(out, POINT_KEYS + n_others);
    wire_pair_text(out, "block_id", at->block_id);
    wire_pair_text(out, "epoch", at->epoch);
    wire_pair_uint(out, "seq", at->seq);
}

static void put_source(struct wire_out *out, struct text source)
{
    if (source.size > 0)
        wire_pair_text(out, "source", source);
}

void process_event_pack(struct wire_out *out, const struct process_event *event)
{
    begin(out, &event->at, 1 + (event->source.size > 0));
    wire_put_str(out, "process");
    process_record_pack(out, &event->process);
    put_source(out, event->source);
}

static size_t count_status(const struct process_exit *event)
{
    if (!event->has_status)
        return 0;
    return WIFEXITED(event->status) ? 1 : WIFSIGNALED(event->status) ? 2 : 0;
}

static void put_status(struct wire_out *out, const struct process_exit *event)
{
    if (!event->has_status)
        return;
    if (WIFEXITED(event->status)) {
        wire_pair_uint(out, "exit_code", (uint64_t)WEXITSTATUS(event->status));
    } else if (WIFSIGNALED(event->status)) {
        wire_pair_uint(out, "signal", (uint64_t)WTERMSIG(event->status));
        wire_pair_bool(out, "core_dumped", WCOREDUMP(event->status));
    }
}

void process_exit_pack(struct wire_out *out, const struct process_exit *event)
{
    begin(out, &event->at, 5 + count_status(event) + (event->source.size > 0));
    wire_pair_uint(out, "pid", event->pid);
    wire_pair_uint(out, "started_at_ms", event->started_at_ms);
    put_status(out, event);
    wire_pair_uint(out, "runtime_ms", event->runtime_ms);
    wire_pair_uint(out, "cpu_ms", event->cpu_ms);
    wire_pair_uint(out, "max_rss_bytes", event->max_rss_bytes);
    put_source(out, event->source);
}

void process_escape_pack(struct wire_out *out, const struct process_escape *event)
{
    begin(out, &event->at, 3 + (event->where.size > 0));
    wire_pair_uint(out, "pid", event->pid);
    wire_pair_uint(out, "started_at_ms", event->started_at_ms);
    wire_pair_text(out, "reason", event->reason);
    /* The name of a cgroup is any bytes, and the escaped process may have chosen it. */
    if (event->where.size > 0)
        wire_pair_repaired(out, "where", event->where);
}

void block_state_pack(struct wire_out *out, const struct block_state *event)
{
    begin(out, &event->at, 5);
    wire_pair_text(out, "confidence", event->confidence);
    wire_pair_text(out, "confidence_reason", event->confidence_reason);
    wire_pair_text(out, "tracker", event->tracker);
    wire_pair_text(out, "feed", event->feed);
    wire_pair_bool(out, "adopted", event->adopted);
}

void block_resync_pack(struct wire_out *out, const struct block_resync *event)
{
    begin(out, &event->at, 1 + (event->lost > 0));
    wire_pair_text(out, "reason", event->reason);
    if (event->lost > 0)
        wire_pair_uint(out, "lost", event->lost);
}

void block_removed_pack(struct wire_out *out, const struct block_removed *event)
{
    begin(out, &event->at, 1);
    wire_pair_text(out, "reason", event->reason);
}

void block_mark_pack(struct wire_out *out, const struct block_point *at)
{
    begin(out, at, 0);
}

/* ---- reading -------------------------------------------------------------------------------- */

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct wire_field point_fields[] = {
    {"block_id", WIRE_STR, true, offsetof(struct block_point, block_id)},
    {"epoch", WIRE_STR, true, offsetof(struct block_point, epoch)},
    {"seq", WIRE_UINT, true, offsetof(struct block_point, seq)},
};

static int at_least_one(uint64_t value, const char *where, struct wps_error *error)
{
    if (value == 0)
        return wps_error_set(error, -EINVAL, "%s: at least 1, got 0", where);
    return 0;
}

int block_point_read(struct block_point *ret, const msgpack_object *data, struct wps_error *error)
{
    struct block_point at;
    int result = wire_read(data, "data", point_fields, COUNT(point_fields), &at, NULL, error);
    if (result < 0)
        return result;
    result = block_id_check(at.block_id, "data.block_id", error);
    if (result < 0)
        return result;
    if (at.epoch.size > EPOCH_MAX)
        return wps_error_set(error, -EINVAL, "data.epoch: at most %d bytes, got %zu", EPOCH_MAX,
                             at.epoch.size);
    result = at_least_one(at.seq, "data.seq", error);
    if (result < 0)
        return result;
    *ret = at;
    return 0;
}

/* Reads the block's three keys into `at` and those of `fields` into `ret`. */
static int read_event(const msgpack_object *data, struct block_point *at,
                      const struct wire_field *fields, size_t n_fields, void *ret,
                      uint64_t *ret_present, struct wps_error *error)
{
    int result = block_point_read(at, data, error);
    if (result < 0)
        return result;
    return wire_read(data, "data", fields, n_fields, ret, ret_present, error);
}

struct process_event_keys {
    const msgpack_object *process;
    struct text source;
};

static const struct wire_field process_event_fields[] = {
    {"process", WIRE_MAP, true, offsetof(struct process_event_keys, process)},
    {"source", WIRE_STR, false, offsetof(struct process_event_keys, source)},
};

int process_event_read(struct process_event *ret, const msgpack_object *data,
                       struct wps_error *error)
{
    struct process_event event = {0};
    struct process_event_keys keys = {0};
    int result = read_event(data, &event.at, process_event_fields, COUNT(process_event_fields),
                            &keys, NULL, error);
    if (result < 0)
        return result;
    result = process_record_read(&event.process, keys.process, "data.process", error);
    if (result < 0)
        return result;
    event.source = keys.source;
    *ret = event;
    return 0;
}

struct exit_keys {
    struct process_exit exit;
    uint64_t exit_code, signal;
    bool core_dumped;
};

enum { FIELD_EXIT_CODE = 0, FIELD_SIGNAL = 1 }; /* where they stand in exit_fields */

enum { SIGNAL_MAX = 126 }; /* 127 in a wait status means stopped */

static const struct wire_field exit_fields[] = {
    [FIELD_EXIT_CODE] = {"exit_code", WIRE_UINT, false, offsetof(struct exit_keys, exit_code), 255},
    [FIELD_SIGNAL] = {"signal", WIRE_UINT, false, offsetof(struct exit_keys, signal), SIGNAL_MAX},
    {"core_dumped", WIRE_BOOL, false, offsetof(struct exit_keys, core_dumped)},
    {"pid", WIRE_UINT32, true, offsetof(struct exit_keys, exit.pid), INT32_MAX},
    {"started_at_ms", WIRE_UINT, true, offsetof(struct exit_keys, exit.started_at_ms)},
    {"runtime_ms", WIRE_UINT, true, offsetof(struct exit_keys, exit.runtime_ms)},
    {"cpu_ms", WIRE_UINT, true, offsetof(struct exit_keys, exit.cpu_ms)},
    {"max_rss_bytes", WIRE_UINT, true, offsetof(struct exit_keys, exit.max_rss_bytes)},
    {"source", WIRE_STR, false, offsetof(struct exit_keys, exit.source)},
};

/* Makes a wait status again from what was sent of one. */
static int read_status(struct exit_keys *keys, uint64_t present, struct wps_error *error)
{
    bool exited = present & 1u << FIELD_EXIT_CODE;
    bool signalled = present & 1u << FIELD_SIGNAL;
    if (exited && signalled)
        return wps_error_set(error, -EINVAL, "data.signal: excludes data.exit_code");
    if (signalled && keys->signal == 0)
        return at_least_one(keys->signal, "data.signal", error);

    keys->exit.has_status = exited || signalled;
    if (exited)
        keys->exit.status = W_EXITCODE((int)keys->exit_code, 0);
    else if (signalled)
        keys->exit.status = (int)keys->signal | (keys->core_dumped ? WCOREFLAG : 0);
    return 0;
}

int process_exit_read(struct process_exit *ret, const msgpack_object *data, struct wps_error *error)
{
    struct exit_keys keys = {0};
    uint64_t present;
    int result =
        read_event(data, &keys.exit.at, exit_fields, COUNT(exit_fields), &keys, &present, error);
    if (result < 0)
        return result;
    result = at_least_one(keys.exit.pid, "data.pid", error);
    if (result < 0)
        return result;
    result = read_status(&keys, present, error);
    if (result < 0)
        return result;
    *ret = keys.exit;
    return 0;
}

static const struct wire_field escape_fields[] = {
    {"pid", WIRE_UINT32, true, offsetof(struct process_escape, pid), INT32_MAX},
    {"started_at_ms", WIRE_UINT, true, offsetof(struct process_escape, started_at_ms)},
    {"reason", WIRE_STR, true, offsetof(struct process_escape, reason)},
    {"where", WIRE_STR, false, offsetof(struct process_escape, where)},
};

int process_escape_read(struct process_escape *ret, const msgpack_object *data,
                        struct wps_error *error)
{
    struct process_escape event = {0};
    int result =
        read_event(data, &event.at, escape_fields, COUNT(escape_fields), &event, NULL, error);
    if (result < 0)
        return result;
    result = at_least_one(event.pid, "data.pid", error);
    if (result < 0)
        return result;
    *ret = event;
    return 0;
}

static const struct wire_field state_fields[] = {
    {"confidence", WIRE_STR, true, offsetof(struct block_state, confidence)},
    {"confidence_reason", WIRE_STR, true, offsetof(struct block_state, confidence_reason)},
    {"tracker", WIRE_STR, true, offsetof(struct block_state, tracker)},
    {"feed", WIRE_STR, true, offsetof(struct block_state, feed)},
    {"adopted", WIRE_BOOL, true, offsetof(struct block_state, adopted)},
};

int block_state_read(struct block_state *ret, const msgpack_object *data, struct wps_error *error)
{
    struct block_state event = {0};
    int result =
        read_event(data, &event.at, state_fields, COUNT(state_fields), &event, NULL, error);
    if (result == 0)
        *ret = event;
    return result;
}

static const struct wire_field resync_fields[] = {
    {"reason", WIRE_STR, true, offsetof(struct block_resync, reason)},
    {"lost", WIRE_UINT, false, offsetof(struct block_resync, lost)},
};

int block_resync_read(struct block_resync *ret, const msgpack_object *data, struct wps_error *error)
{
    struct block_resync event = {0};
    int result =
        read_event(data, &event.at, resync_fields, COUNT(resync_fields), &event, NULL, error);
    if (result == 0)
        *ret = event;
    return result;
}

static const struct wire_field removed_fields[] = {
    {"reason", WIRE_STR, true, offsetof(struct block_removed, reason)},
};

int block_removed_read(struct block_removed *ret, const msgpack_object *data,
                       struct wps_error *error)
{
    struct block_removed event = {0};
    int result =
        read_event(data, &event.at, removed_fields, COUNT(removed_fields), &event, NULL, error);
    if (result == 0)
        *ret = event;
    return result;
}
