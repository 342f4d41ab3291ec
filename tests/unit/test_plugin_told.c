/* SPDX-License-Identifier: Apache-2.0 */

/* A published event: decoding it, and writing it so that a test can name it. */

#include "test_plugin_told.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/names.h"
#include "test_plugin_proc.h"

/* ---- decoding ---- */

static void copy(char *to, size_t room, struct text text)
{
    cr_assert_lt(text.size, room);
    text_copy(to, text);
    to[text.size] = '\0';
}
#define COPY(to, text) copy(to, sizeof to, text)

static int decode_process(struct told *told, const msgpack_object *data, struct wps_error *error)
{
    struct process_event event;
    int r = process_event_read(&event, data, error);
    if (r < 0)
        return r;
    const struct process_record *record = &event.process;
    told->pid = record->pid;
    told->parent_pid = record->parent_pid;
    told->started_at_ms = record->started_at_ms;
    told->rss_bytes = record->rss_bytes;
    told->root = record->root;
    told->started = record->started;
    told->truncated = record->command_truncated;
    COPY(told->command, record->command);
    COPY(told->scope, record->scope);
    COPY(told->source, event.source);
    return 0;
}

static int decode_exit(struct told *told, const msgpack_object *data, struct wps_error *error)
{
    struct process_exit event;
    int r = process_exit_read(&event, data, error);
    if (r < 0)
        return r;
    told->pid = event.pid;
    told->started_at_ms = event.started_at_ms;
    told->has_status = event.has_status;
    told->status = event.status;
    told->runtime_ms = event.runtime_ms;
    told->cpu_ms = event.cpu_ms;
    told->max_rss_bytes = event.max_rss_bytes;
    COPY(told->source, event.source);
    return 0;
}

static int decode_escape(struct told *told, const msgpack_object *data, struct wps_error *error)
{
    struct process_escape event;
    int r = process_escape_read(&event, data, error);
    if (r < 0)
        return r;
    told->pid = event.pid;
    told->started_at_ms = event.started_at_ms;
    COPY(told->reason, event.reason);
    COPY(told->where, event.where);
    return 0;
}

static int decode_block(struct told *told, const msgpack_object *data, struct wps_error *error)
{
    struct block_resync resync;
    struct block_removed removed;
    struct block_state state;
    int r = 0;
    if (strcmp(told->name, "block-resync") == 0) {
        r = block_resync_read(&resync, data, error);
        if (r == 0) {
            COPY(told->reason, resync.reason);
            told->lost = resync.lost;
        }
    } else if (strcmp(told->name, "block-removed") == 0) {
        r = block_removed_read(&removed, data, error);
        if (r == 0)
            COPY(told->reason, removed.reason);
    } else if (strcmp(told->name, "block-mark") != 0) {
        r = block_state_read(&state, data, error);
    }
    return r;
}

int told_decode(struct told *told, const msgpack_object *data, struct wps_error *error)
{
    struct block_point at;
    int r = block_point_read(&at, data, error);
    if (r < 0)
        return r;
    COPY(told->block, at.block_id);
    COPY(told->epoch, at.epoch);
    told->seq = at.seq;
    if (strcmp(told->name, "exited") == 0)
        return decode_exit(told, data, error);
    if (strcmp(told->name, "escaped") == 0)
        return decode_escape(told, data, error);
    if (strncmp(told->name, "block-", 6) == 0)
        return decode_block(told, data, error);
    return decode_process(told, data, error);
}

/* ---- in words ---- */

static void put_encoded(char **at, const char *text)
{
    static const char safe[] = "/[]().,:{}|;_-~";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     strchr(safe, c);
        *at += sprintf(*at, plain ? "%c" : "%%%02X", c);
    }
}

char *told_line(const struct told *told)
{
    char *line = malloc(3 * sizeof *told), *at = line;
    cr_assert(line);
    at += sprintf(at, "%s block=%s pid=%u", told->name, told->block, told->pid);
    if (strcmp(told->name, "exited") == 0) {
        sprintf(at, " status=%d", told->has_status ? told->status : -1);
    } else if (strcmp(told->name, "escaped") == 0) {
        at += sprintf(at, " reason=%s where=", told->reason);
        put_encoded(&at, told->where);
    } else {
        at += sprintf(at, " parent=%u scope=%s started=%d command=", told->parent_pid, told->scope,
                      told->started);
        put_encoded(&at, told->command);
    }
    return line;
}

size_t told_story(char *text, size_t room, const struct told *told)
{
    char what[4300] = "";
    if (strncmp(told->name, "block-", 6) == 0)
        snprintf(what, sizeof what, "%s%s%s", told->name, *told->reason ? " " : "", told->reason);
    else if (strcmp(told->name, "exited") == 0 && told->has_status)
        snprintf(what, sizeof what, "exited %u %#x", told->pid - PROC_FIRST,
                 (unsigned)told->status);
    else if (strcmp(told->name, "exited") == 0)
        snprintf(what, sizeof what, "exited %u", told->pid - PROC_FIRST);
    else if (strcmp(told->name, "escaped") == 0)
        snprintf(what, sizeof what, "escaped %u %s%s%s", told->pid - PROC_FIRST, told->reason,
                 *told->where ? " " : "", told->where);
    else
        snprintf(what, sizeof what, "%s %u %s%s%s%s", told->name, told->pid - PROC_FIRST,
                 told->command, told->root ? " [root]" : "", told->started ? " [started]" : "",
                 strcmp(told->scope, SUBSCOPE_DEFAULT) == 0 ? "" : " [elsewhere]");
    bool elsewhere = strcmp(told->block, "one") != 0;
    return (size_t)snprintf(text, room, "%s%s%s%s%s; ", elsewhere ? told->block : "",
                            elsewhere ? ":" : "", what, *told->source ? " by " : "", told->source);
}
