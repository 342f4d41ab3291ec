/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_BLOCK_EVENT_H
#define SCHEMAS_BLOCK_EVENT_H

/* The `data` of each `agent:*` event (PROTOCOL.md, section 3.1). Every one begins with the block,
 * its epoch and its sequence number. */

#include "schemas/process_record.h"

#define EVENT_PROCESS_ADDED   "agent:process-added"
#define EVENT_PROCESS_EXEC    "agent:process-exec"
#define EVENT_PROCESS_CHANGED "agent:process-changed"
#define EVENT_PROCESS_EXITED  "agent:process-exited"
#define EVENT_PROCESS_ESCAPED "agent:process-escaped"
#define EVENT_BLOCK_ADDED     "agent:block-added"
#define EVENT_BLOCK_CHANGED   "agent:block-changed"
#define EVENT_BLOCK_RESYNC    "agent:block-resync"
#define EVENT_BLOCK_REMOVED   "agent:block-removed"
#define EVENT_BLOCK_MARK      "agent:block-mark"

enum { EPOCH_MAX = 32 }; /* bytes of an epoch */

/* Where in the life of which block. */
struct block_point {
    struct text block_id;
    struct text epoch;
    uint64_t seq;
};

/* added, exec, changed. `source` is "scan" where a scan found it, else empty (left out). */
struct process_event {
    struct block_point at;
    struct process_record process;
    struct text source;
};

/* exited */
struct process_exit {
    struct block_point at;
    uint32_t pid;
    uint64_t started_at_ms;
    bool has_status; /* else none of exit_code, signal, core_dumped is sent */
    int status;      /* a wait status, as of waitpid (2) */
    uint64_t runtime_ms;
    uint64_t cpu_ms;        /* 0: unavailable */
    uint64_t max_rss_bytes; /* 0: unavailable */
    struct text source;
};

/* escaped */
struct process_escape {
    struct block_point at;
    uint32_t pid;
    uint64_t started_at_ms;
    struct text reason; /* "moved", "reassigned", "found_outside" */
    struct text where;  /* cgroup path; empty: left out */
};

/* block-added, block-changed */
struct block_state {
    struct block_point at;
    struct text confidence;
    struct text confidence_reason;
    struct text tracker;
    struct text feed;
    bool adopted;
};

/* block-resync; `lost` is left out where it is 0 (unknown). */
struct block_resync {
    struct block_point at;
    struct text reason;
    uint64_t lost;
};

/* block-removed */
struct block_removed {
    struct block_point at;
    struct text reason; /* "removed", "expired", "shutdown" */
};

void process_event_pack(struct wire_out *out, const struct process_event *event);
void process_exit_pack(struct wire_out *out, const struct process_exit *event);
void process_escape_pack(struct wire_out *out, const struct process_escape *event);
void block_state_pack(struct wire_out *out, const struct block_state *event);
void block_resync_pack(struct wire_out *out, const struct block_resync *event);
void block_removed_pack(struct wire_out *out, const struct block_removed *event);
void block_mark_pack(struct wire_out *out, const struct block_point *at);

/* Reading: -EINVAL with the path of what is wrong, below "data". Views point into the document. */
int block_point_read(struct block_point *ret, const msgpack_object *data, struct wps_error *error);
int process_event_read(struct process_event *ret, const msgpack_object *data,
                       struct wps_error *error);
int process_exit_read(struct process_exit *ret, const msgpack_object *data,
                      struct wps_error *error);
int process_escape_read(struct process_escape *ret, const msgpack_object *data,
                        struct wps_error *error);
int block_state_read(struct block_state *ret, const msgpack_object *data, struct wps_error *error);
int block_resync_read(struct block_resync *ret, const msgpack_object *data,
                      struct wps_error *error);
int block_removed_read(struct block_removed *ret, const msgpack_object *data,
                       struct wps_error *error);

#endif
