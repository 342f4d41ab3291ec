/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_CONTROL_REPLY_H
#define SCHEMAS_CONTROL_REPLY_H

/* The `data` of the replies on the control socket (PROTOCOL.md, section 4.1). Each `_pack` puts one
 * map; each `_read` takes one, its views point into the document, and arrays it allocates are freed
 * with free (3). Replies about one block hold `epoch` and `seq`; where the block is unknown, the
 * epoch is empty and both keys are left out. */

#include "schemas/block_event.h"
#include "schemas/request.h"

struct confidence_view {
    struct text confidence;        /* "high", "best_effort", "none" */
    struct text confidence_reason; /* a sentence */
};

struct attempt { /* one thing that was tried at start */
    struct text what;
    bool ok;
    struct text why;
};

struct named_uint {
    const char *name;
    uint64_t value;
};

struct named_int {
    const char *name;
    int64_t value;
};

struct describe_reply {
    uint64_t protocol; /* 1 */
    struct text name, version;
    struct text tracker, feed;
    struct confidence_view confidence;
    const struct attempt *tried;
    size_t n_tried;
    const struct named_uint *limits;
    size_t n_limits;
};

/* `commands` is made from the table of control_request.h. */
void describe_reply_pack(struct wire_out *out, const struct describe_reply *reply);

struct block_version { /* of the block a reply is about */
    struct text epoch; /* empty: unknown block */
    uint64_t seq;
};

struct ensure_reply {
    struct block_version version;
    bool created;
    struct confidence_view confidence;
    struct text tracker, feed;
    struct text procs_path; /* empty: left out */
};
void ensure_reply_pack(struct wire_out *out, const struct ensure_reply *reply);

void assign_reply_pack(struct wire_out *out, struct block_version version, uint64_t assigned);

struct list_reply_head {
    struct block_version version;
    bool tracked;
    struct confidence_view confidence;
    size_t n_processes;
};
/* Puts all but the records: the caller puts `n_processes` of them right behind, with
 * process_record_pack. */
void list_reply_begin(struct wire_out *out, const struct list_reply_head *head);

struct block_summary {
    struct text block_id;
    struct text confidence;
    struct block_version version;
    uint64_t processes;
    bool has_use; /* what it uses was asked for: the two keys that follow */
    uint64_t rss_bytes, cpu_ms;
    uint64_t created_at_ms; /* when its epoch began; 0: unknown, the key is left out */
};
void list_all_reply_pack(struct wire_out *out, const struct block_summary *blocks, size_t n_blocks);

void confidence_reply_pack(struct wire_out *out, struct block_version version,
                           struct confidence_view confidence);

/* kill_pid, kill_tree, freeze, thaw */
void ok_reply_pack(struct wire_out *out, struct block_version version, bool ok);

struct survivor {
    uint32_t pid;
    uint64_t started_at_ms;
    char state; /* the letter of /proc; 0: unknown, sent as "?" */
    struct text command;
    bool escaped;
};
void remove_reply_pack(struct wire_out *out, struct block_version version, bool ok,
                       const struct survivor *survivors, size_t n_survivors);

/* kill_started: `key` is "killed"; signal_tree: "signalled" */
void pids_reply_pack(struct wire_out *out, struct block_version version, const char *key,
                     const uint32_t *pids, size_t n_pids);

struct stop_reply {
    struct block_version version;
    uint64_t exited; /* how many ended before the kill */
    uint64_t killed; /* how many did not */
    uint64_t elapsed_ms;
    struct survivor *survivors; /* read: free (3) */
    size_t n_survivors;
};
void stop_reply_pack(struct wire_out *out, const struct stop_reply *reply);

void wait_reply_pack(struct wire_out *out, struct block_version version, bool empty,
                     uint64_t remaining);

void stats_reply_pack(struct wire_out *out, const struct named_uint *counters, size_t n_counters,
                      const struct named_int *gauges, size_t n_gauges);

/* ---- reading: what a client receives -------------------------------------------------------- */

/* Each reads the `data` of a reply. -EINVAL with the path of what is wrong; -ENOMEM. Where the
 * block is unknown, the version read is that of no epoch and seq 0. */

struct uint_view {
    struct text name;
    uint64_t value;
};

struct int_view {
    struct text name;
    int64_t value;
};

struct describe_view {
    uint64_t protocol;
    struct text name, version;
    const msgpack_object *commands; /* an array of str */
    struct text tracker, feed;
    struct confidence_view confidence;
    struct attempt *tried; /* free (3) */
    size_t n_tried;
    struct uint_view *limits; /* free (3) */
    size_t n_limits;
};
int describe_reply_read(struct describe_view *ret, const msgpack_object *data,
                        struct wps_error *error);

int ensure_reply_read(struct ensure_reply *ret, const msgpack_object *data,
                      struct wps_error *error);

int assign_reply_read(struct block_version *ret_version, uint64_t *ret_assigned,
                      const msgpack_object *data, struct wps_error *error);

struct list_reply {
    struct list_reply_head head;
    struct process_record *processes; /* head.n_processes of them; free (3) */
    const msgpack_object *maps;       /* their maps, as many, for process_detail_read */
};
int list_reply_read(struct list_reply *ret, const msgpack_object *data, struct wps_error *error);

/* `*ret_blocks` is freed with free (3). */
int list_all_reply_read(struct block_summary **ret_blocks, size_t *ret_n_blocks,
                        const msgpack_object *data, struct wps_error *error);

int confidence_reply_read(struct block_version *ret_version, struct confidence_view *ret_confidence,
                          const msgpack_object *data, struct wps_error *error);

int ok_reply_read(struct block_version *ret_version, bool *ret_ok, const msgpack_object *data,
                  struct wps_error *error);

struct remove_reply {
    struct block_version version;
    bool ok;
    struct survivor *survivors; /* free (3) */
    size_t n_survivors;
};
int remove_reply_read(struct remove_reply *ret, const msgpack_object *data,
                      struct wps_error *error);

/* `*ret_pids` is freed with free (3). */
int pids_reply_read(struct block_version *ret_version, uint32_t **ret_pids, size_t *ret_n_pids,
                    const char *key, const msgpack_object *data, struct wps_error *error);

int stop_reply_read(struct stop_reply *ret, const msgpack_object *data, struct wps_error *error);

int wait_reply_read(struct block_version *ret_version, bool *ret_empty, uint64_t *ret_remaining,
                    const msgpack_object *data, struct wps_error *error);

struct stats_view {
    struct uint_view *counters; /* free (3) */
    size_t n_counters;
    struct int_view *gauges; /* free (3) */
    size_t n_gauges;
};
int stats_reply_read(struct stats_view *ret, const msgpack_object *data, struct wps_error *error);

#endif
