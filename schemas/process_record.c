/* SPDX-License-Identifier: Apache-2.0 */

/* The process record: what readers are told of one process. */

#include "schemas/process_record.h"

#include <errno.h>

void process_record_pack(struct wire_out *out, const struct process_record *record)
{
    const struct process_detail *detail = record->detail;
    wire_put_map(out, 7 + record->command_truncated + (record->parent_pid != 0) +
                          (detail ? process_detail_pairs(detail) : 0));
    wire_pair_uint(out, "pid", record->pid);
    if (record->parent_pid != 0)
        wire_pair_uint(out, "parent_pid", record->parent_pid);
    wire_pair_text(out, "command", record->command);
    if (record->command_truncated)
        wire_pair_bool(out, "command_truncated", true);
    wire_pair_bool(out, "root", record->root);
    wire_pair_bool(out, "started", record->started);
    wire_pair_text(out, "scope", record->scope);
    wire_pair_uint(out, "rss_bytes", record->rss_bytes);
    wire_pair_uint(out, "started_at_ms", record->started_at_ms);
    if (detail)
        process_detail_pack(out, detail);
}

#define RECORD(member) offsetof(struct process_record, member)

static const struct wire_field record_fields[] = {
    {"pid", WIRE_UINT32, true, RECORD(pid), INT32_MAX},
    {"parent_pid", WIRE_UINT32, false, RECORD(parent_pid), INT32_MAX},
    {"command", WIRE_STR, true, RECORD(command)},
    {"command_truncated", WIRE_BOOL, false, RECORD(command_truncated)},
    {"root", WIRE_BOOL, true, RECORD(root)},
    {"started", WIRE_BOOL, true, RECORD(started)},
    {"scope", WIRE_STR, true, RECORD(scope)},
    {"rss_bytes", WIRE_UINT, true, RECORD(rss_bytes)},
    {"started_at_ms", WIRE_UINT, true, RECORD(started_at_ms)},
};

int process_record_read(struct process_record *ret, const msgpack_object *map, const char *path,
                        struct wps_error *error)
{
    struct process_record record = {0};
    int result = wire_read(map, path, record_fields, sizeof record_fields / sizeof *record_fields,
                           &record, NULL, error);
    if (result < 0)
        return result;
    if (record.pid == 0) {
        char where[WIRE_PATH_SIZE];
        return wps_error_set(error, -EINVAL, "%s: at least 1, got 0",
                             wire_path(where, path, "pid", 0));
    }
    *ret = record;
    return 0;
}
