/* SPDX-License-Identifier: Apache-2.0 */

/* Reading of the replies on the control socket. An array becomes an array of structs: how many
 * there are is known to be true, because the message was decoded. */

#include "schemas/control_reply.h"

#include <errno.h>

#include "base/cleanup.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- pieces --------------------------------------------------------------------------------- */

/* The keys that more than one reply has, ready for a row of a table of fields. */
// NOLINTBEGIN(bugprone-macro-parentheses): a member's name takes none
#define EPOCH(type, version)         "epoch", WIRE_STR, false, offsetof(type, version.epoch)
#define SEQ(type, version)           "seq", WIRE_UINT, false, offsetof(type, version.seq)
#define CONFIDENCE(type, confidence) "confidence", WIRE_STR, true, offsetof(type, confidence)
#define REASON(type, reason)         "confidence_reason", WIRE_STR, true, offsetof(type, reason)
// NOLINTEND(bugprone-macro-parentheses)

/* At least one item is allocated: of none, calloc may give null. */
static int allocate(void *ret_array, size_t n, size_t size, struct wps_error *error)
{
    void *array = calloc(n ? n : 1, size);
    if (!array)
        return wps_error_set(error, -ENOMEM, "no memory for %zu items of the reply", n);
    memcpy(ret_array, &array, sizeof array);
    return 0;
}

typedef int read_item(void *item, const msgpack_object *object, const char *path,
                      struct wps_error *error);

/* Makes structs of `size` bytes out of a msgpack array. `*ret` is freed with free (3). */
static int read_array(void *ret, size_t *ret_n, const msgpack_object *array, const char *path,
                      size_t size, read_item *read, struct wps_error *error)
{
    uint32_t n = array->via.array.size;
    _cleanup_free_ char *items = NULL;
    int result = allocate(&items, n, size, error);
    for (uint32_t i = 0; i < n && result == 0; i++) {
        char where[WIRE_PATH_SIZE];
        result = read(items + i * size, &array->via.array.ptr[i], wire_path(where, path, NULL, i),
                      error);
    }
    if (result < 0)
        return result;
    memcpy(ret, &items, sizeof items);
    take_ptr(items);
    *ret_n = n;
    return 0;
}

/* One pair of a map of numbers: pair number `index` in errors. */
static int read_pair(const msgpack_object_kv *pair, const char *path, size_t index,
                     struct text *name, enum wire_type type, void *value, struct wps_error *error)
{
    char where[WIRE_PATH_SIZE];
    wire_path(where, path, NULL, index);
    int result = wire_read_value(&pair->key, where, WIRE_STR, 0, name, error);
    if (result < 0)
        return result;
    return wire_read_value(&pair->val, where, type, 0, value, error);
}

static int read_uints(struct uint_view **ret, size_t *ret_n, const msgpack_object *map,
                      const char *path, struct wps_error *error)
{
    uint32_t n = map->via.map.size;
    _cleanup_free_ struct uint_view *values = NULL;
    int result = allocate(&values, n, sizeof *values, error);
    for (uint32_t i = 0; i < n && result == 0; i++)
        result = read_pair(&map->via.map.ptr[i], path, i, &values[i].name, WIRE_UINT,
                           &values[i].value, error);
    if (result < 0)
        return result;
    *ret = take_ptr(values);
    *ret_n = n;
    return 0;
}

static int read_ints(struct int_view **ret, size_t *ret_n, const msgpack_object *map,
                     const char *path, struct wps_error *error)
{
    uint32_t n = map->via.map.size;
    _cleanup_free_ struct int_view *values = NULL;
    int result = allocate(&values, n, sizeof *values, error);
    for (uint32_t i = 0; i < n && result == 0; i++)
        result = read_pair(&map->via.map.ptr[i], path, i, &values[i].name, WIRE_INT,
                           &values[i].value, error);
    if (result < 0)
        return result;
    *ret = take_ptr(values);
    *ret_n = n;
    return 0;
}

/* ---- describe and stats --------------------------------------------------------------------- */

static const struct wire_field attempt_fields[] = {
    {"what", WIRE_STR, true, offsetof(struct attempt, what)},
    {"ok", WIRE_BOOL, true, offsetof(struct attempt, ok)},
    {"why", WIRE_STR, true, offsetof(struct attempt, why)},
};

static int read_attempt(void *item, const msgpack_object *object, const char *path,
                        struct wps_error *error)
{
    return wire_read(object, path, attempt_fields, COUNT(attempt_fields), item, NULL, error);
}

struct describe_keys {
    struct describe_view view;
    const msgpack_object *tried, *limits;
};

static const struct wire_field describe_fields[] = {
    {"protocol", WIRE_UINT, true, offsetof(struct describe_keys, view.protocol)},
    {"name", WIRE_STR, true, offsetof(struct describe_keys, view.name)},
    {"version", WIRE_STR, true, offsetof(struct describe_keys, view.version)},
    {"commands", WIRE_STR_LIST, true, offsetof(struct describe_keys, view.commands)},
    {"tracker", WIRE_STR, true, offsetof(struct describe_keys, view.tracker)},
    {"feed", WIRE_STR, true, offsetof(struct describe_keys, view.feed)},
    {CONFIDENCE(struct describe_keys, view.confidence.confidence)},
    {REASON(struct describe_keys, view.confidence.confidence_reason)},
    {"tried", WIRE_ARRAY, true, offsetof(struct describe_keys, tried)},
    {"limits", WIRE_MAP, true, offsetof(struct describe_keys, limits)},
};

int describe_reply_read(struct describe_view *ret, const msgpack_object *data,
                        struct wps_error *error)
{
    struct describe_keys keys = {0};
    int result =
        wire_read(data, "data", describe_fields, COUNT(describe_fields), &keys, NULL, error);
    if (result < 0)
        return result;
    _cleanup_free_ struct attempt *tried = NULL;
    result = read_array(&tried, &keys.view.n_tried, keys.tried, "data.tried", sizeof *tried,
                        read_attempt, error);
    if (result < 0)
        return result;
    result = read_uints(&keys.view.limits, &keys.view.n_limits, keys.limits, "data.limits", error);
    if (result < 0)
        return result;
    keys.view.tried = take_ptr(tried);
    *ret = keys.view;
    return 0;
}

struct stats_keys {
    const msgpack_object *counters, *gauges;
};

static const struct wire_field stats_fields[] = {
    {"counters", WIRE_MAP, true, offsetof(struct stats_keys, counters)},
    {"gauges", WIRE_MAP, true, offsetof(struct stats_keys, gauges)},
};

int stats_reply_read(struct stats_view *ret, const msgpack_object *data, struct wps_error *error)
{
    struct stats_keys keys;
    struct stats_view view = {0};
    int result = wire_read(data, "data", stats_fields, COUNT(stats_fields), &keys, NULL, error);
    if (result < 0)
        return result;
    _cleanup_free_ struct uint_view *counters = NULL;
    result = read_uints(&counters, &view.n_counters, keys.counters, "data.counters", error);
    if (result < 0)
        return result;
    result = read_ints(&view.gauges, &view.n_gauges, keys.gauges, "data.gauges", error);
    if (result < 0)
        return result;
    view.counters = take_ptr(counters);
    *ret = view;
    return 0;
}

/* ---- about one block ------------------------------------------------------------------------ */

static const struct wire_field ensure_fields[] = {
    {EPOCH(struct ensure_reply, version)},
    {SEQ(struct ensure_reply, version)},
    {"created", WIRE_BOOL, true, offsetof(struct ensure_reply, created)},
    {CONFIDENCE(struct ensure_reply, confidence.confidence)},
    {REASON(struct ensure_reply, confidence.confidence_reason)},
    {"tracker", WIRE_STR, true, offsetof(struct ensure_reply, tracker)},
    {"feed", WIRE_STR, true, offsetof(struct ensure_reply, feed)},
    {"procs_path", WIRE_STR, false, offsetof(struct ensure_reply, procs_path)},
};

int ensure_reply_read(struct ensure_reply *ret, const msgpack_object *data, struct wps_error *error)
{
    struct ensure_reply reply = {0};
    int result = wire_read(data, "data", ensure_fields, COUNT(ensure_fields), &reply, NULL, error);
    if (result == 0)
        *ret = reply;
    return result;
}

struct assign_keys {
    struct block_version version;
    uint64_t assigned;
};

static const struct wire_field assign_fields[] = {
    {EPOCH(struct assign_keys, version)},
    {SEQ(struct assign_keys, version)},
    {"assigned", WIRE_UINT, true, offsetof(struct assign_keys, assigned)},
};

int assign_reply_read(struct block_version *ret_version, uint64_t *ret_assigned,
                      const msgpack_object *data, struct wps_error *error)
{
    struct assign_keys keys = {0};
    int result = wire_read(data, "data", assign_fields, COUNT(assign_fields), &keys, NULL, error);
    if (result < 0)
        return result;
    *ret_version = keys.version;
    *ret_assigned = keys.assigned;
    return 0;
}

struct confidence_keys {
    struct block_version version;
    struct confidence_view confidence;
};

static const struct wire_field confidence_fields[] = {
    {EPOCH(struct confidence_keys, version)},
    {SEQ(struct confidence_keys, version)},
    {CONFIDENCE(struct confidence_keys, confidence.confidence)},
    {REASON(struct confidence_keys, confidence.confidence_reason)},
};

int confidence_reply_read(struct block_version *ret_version, struct confidence_view *ret_confidence,
                          const msgpack_object *data, struct wps_error *error)
{
    struct confidence_keys keys = {0};
    int result =
        wire_read(data, "data", confidence_fields, COUNT(confidence_fields), &keys, NULL, error);
    if (result < 0)
        return result;
    *ret_version = keys.version;
    *ret_confidence = keys.confidence;
    return 0;
}

struct ok_keys {
    struct block_version version;
    bool ok;
};

static const struct wire_field ok_fields[] = {
    {EPOCH(struct ok_keys, version)},
    {SEQ(struct ok_keys, version)},
    {"ok", WIRE_BOOL, true, offsetof(struct ok_keys, ok)},
};

int ok_reply_read(struct block_version *ret_version, bool *ret_ok, const msgpack_object *data,
                  struct wps_error *error)
{
    struct ok_keys keys = {0};
    int result = wire_read(data, "data", ok_fields, COUNT(ok_fields), &keys, NULL, error);
    if (result < 0)
        return result;
    *ret_version = keys.version;
    *ret_ok = keys.ok;
    return 0;
}

/* ---- lists ---------------------------------------------------------------------------------- */

struct list_keys {
    struct list_reply_head head;
    const msgpack_object *processes;
};

static const struct wire_field list_fields[] = {
    {EPOCH(struct list_keys, head.version)},
    {SEQ(struct list_keys, head.version)},
    {"tracked", WIRE_BOOL, true, offsetof(struct list_keys, head.tracked)},
    {CONFIDENCE(struct list_keys, head.confidence.confidence)},
    {REASON(struct list_keys, head.confidence.confidence_reason)},
    {"processes", WIRE_ARRAY, true, offsetof(struct list_keys, processes)},
};

static int read_process(void *item, const msgpack_object *object, const char *path,
                        struct wps_error *error)
{
    return process_record_read(item, object, path, error);
}

int list_reply_read(struct list_reply *ret, const msgpack_object *data, struct wps_error *error)
{
    struct list_keys keys = {0};
    struct process_record *processes;
    int result = wire_read(data, "data", list_fields, COUNT(list_fields), &keys, NULL, error);
    if (result < 0)
        return result;
    result = read_array(&processes, &keys.head.n_processes, keys.processes, "data.processes",
                        sizeof *processes, read_process, error);
    if (result < 0)
        return result;
    *ret = (struct list_reply){keys.head, processes, keys.processes->via.array.ptr};
    return 0;
}

static const struct wire_field summary_fields[] = {
    {EPOCH(struct block_summary, version)},
    {SEQ(struct block_summary, version)},
    {"block_id", WIRE_STR, true, offsetof(struct block_summary, block_id)},
    {"confidence", WIRE_STR, true, offsetof(struct block_summary, confidence)},
    {"processes", WIRE_UINT, true, offsetof(struct block_summary, processes)},
    {"created_at_ms", WIRE_UINT, false, offsetof(struct block_summary, created_at_ms)},
    {"rss_bytes", WIRE_UINT, false, offsetof(struct block_summary, rss_bytes)},
    {"cpu_ms", WIRE_UINT, false, offsetof(struct block_summary, cpu_ms)},
};

static int read_summary(void *item, const msgpack_object *object, const char *path,
                        struct wps_error *error)
{
    const uint64_t use = UINT64_C(3) << (COUNT(summary_fields) - 2); /* the last two */
    struct block_summary *summary = item;
    uint64_t present = 0;
    int r = wire_read(object, path, summary_fields, COUNT(summary_fields), item, &present, error);
    summary->has_use = r == 0 && (present & use) == use;
    return r;
}

int list_all_reply_read(struct block_summary **ret_blocks, size_t *ret_n_blocks,
                        const msgpack_object *data, struct wps_error *error)
{
    static const struct wire_field fields[] = {{"blocks", WIRE_ARRAY, true, 0}};
    const msgpack_object *blocks;
    int result = wire_read(data, "data", fields, COUNT(fields), &blocks, NULL, error);
    if (result < 0)
        return result;
    return read_array(ret_blocks, ret_n_blocks, blocks, "data.blocks", sizeof **ret_blocks,
                      read_summary, error);
}

/* ---- remove --------------------------------------------------------------------------------- */

struct survivor_keys {
    struct survivor survivor;
    struct text state;
};

static const struct wire_field survivor_fields[] = {
    {"pid", WIRE_UINT32, true, offsetof(struct survivor_keys, survivor.pid), INT32_MAX},
    {"started_at_ms", WIRE_UINT, true, offsetof(struct survivor_keys, survivor.started_at_ms)},
    {"state", WIRE_STR, true, offsetof(struct survivor_keys, state)},
    {"command", WIRE_STR, true, offsetof(struct survivor_keys, survivor.command)},
    {"escaped", WIRE_BOOL, true, offsetof(struct survivor_keys, survivor.escaped)},
};

static int read_survivor(void *item, const msgpack_object *object, const char *path,
                         struct wps_error *error)
{
    struct survivor_keys keys = {0};
    int result =
        wire_read(object, path, survivor_fields, COUNT(survivor_fields), &keys, NULL, error);
    if (result < 0)
        return result;
    if (keys.state.size > 0 && !text_is(keys.state, "?"))
        keys.survivor.state = keys.state.at[0];
    memcpy(item, &keys.survivor, sizeof keys.survivor);
    return 0;
}

static int read_survivors(struct survivor **ret, size_t *ret_n, const msgpack_object *survivors,
                          struct wps_error *error)
{
    return read_array(ret, ret_n, survivors, "data.survivors", sizeof **ret, read_survivor, error);
}

struct remove_keys {
    struct remove_reply reply;
    const msgpack_object *survivors;
};

static const struct wire_field remove_fields[] = {
    {EPOCH(struct remove_keys, reply.version)},
    {SEQ(struct remove_keys, reply.version)},
    {"ok", WIRE_BOOL, true, offsetof(struct remove_keys, reply.ok)},
    {"survivors", WIRE_ARRAY, true, offsetof(struct remove_keys, survivors)},
};

int remove_reply_read(struct remove_reply *ret, const msgpack_object *data, struct wps_error *error)
{
    struct remove_keys keys = {0};
    int result = wire_read(data, "data", remove_fields, COUNT(remove_fields), &keys, NULL, error);
    if (result < 0)
        return result;
    result = read_survivors(&keys.reply.survivors, &keys.reply.n_survivors, keys.survivors, error);
    if (result == 0)
        *ret = keys.reply;
    return result;
}

/* ---- stopping and waiting ------------------------------------------------------------------- */

struct stop_keys {
    struct stop_reply reply;
    const msgpack_object *survivors;
};

static const struct wire_field stop_fields[] = {
    {EPOCH(struct stop_keys, reply.version)},
    {SEQ(struct stop_keys, reply.version)},
    {"exited", WIRE_UINT, true, offsetof(struct stop_keys, reply.exited)},
    {"killed", WIRE_UINT, true, offsetof(struct stop_keys, reply.killed)},
    {"elapsed_ms", WIRE_UINT, true, offsetof(struct stop_keys, reply.elapsed_ms)},
    {"survivors", WIRE_ARRAY, true, offsetof(struct stop_keys, survivors)},
};

int stop_reply_read(struct stop_reply *ret, const msgpack_object *data, struct wps_error *error)
{
    struct stop_keys keys = {0};
    int result = wire_read(data, "data", stop_fields, COUNT(stop_fields), &keys, NULL, error);
    if (result < 0)
        return result;
    result = read_survivors(&keys.reply.survivors, &keys.reply.n_survivors, keys.survivors, error);
    if (result == 0)
        *ret = keys.reply;
    return result;
}

struct wait_keys {
    struct block_version version;
    bool empty;
    uint64_t remaining;
};

static const struct wire_field wait_fields[] = {
    {EPOCH(struct wait_keys, version)},
    {SEQ(struct wait_keys, version)},
    {"empty", WIRE_BOOL, true, offsetof(struct wait_keys, empty)},
    {"remaining", WIRE_UINT, true, offsetof(struct wait_keys, remaining)},
};

int wait_reply_read(struct block_version *ret_version, bool *ret_empty, uint64_t *ret_remaining,
                    const msgpack_object *data, struct wps_error *error)
{
    struct wait_keys keys = {0};
    int result = wire_read(data, "data", wait_fields, COUNT(wait_fields), &keys, NULL, error);
    if (result < 0)
        return result;
    *ret_version = keys.version;
    *ret_empty = keys.empty;
    *ret_remaining = keys.remaining;
    return 0;
}

struct pids_keys {
    struct block_version version;
    const msgpack_object *pids;
};

static int read_pid(void *item, const msgpack_object *object, const char *path,
                    struct wps_error *error)
{
    return wire_read_value(object, path, WIRE_UINT32, INT32_MAX, item, error);
}

int pids_reply_read(struct block_version *ret_version, uint32_t **ret_pids, size_t *ret_n_pids,
                    const char *key, const msgpack_object *data, struct wps_error *error)
{
    const struct wire_field fields[] = {
        {EPOCH(struct pids_keys, version)},
        {SEQ(struct pids_keys, version)},
        {key, WIRE_ARRAY, true, offsetof(struct pids_keys, pids)},
    };
    struct pids_keys keys = {0};
    char path[WIRE_PATH_SIZE];
    int result = wire_read(data, "data", fields, COUNT(fields), &keys, NULL, error);
    if (result < 0)
        return result;
    result = read_array(ret_pids, ret_n_pids, keys.pids, wire_path(path, "data", key, 0),
                        sizeof **ret_pids, read_pid, error);
    if (result == 0)
        *ret_version = keys.version;
    return result;
}
