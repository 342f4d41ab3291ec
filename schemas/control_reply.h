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
};
void list_all_reply_pack(struct wire_out *out, const struct block_summary *blocks, size_t n_blocks);

void confidence_reply_pack(struct wire_out *out, struct block_version version,
                           struct confidence_view confidence);

/* kill_pid, kill_tree */
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

void stats_reply_pack(struct wire_out *out, const struct named_uint *counters, size_t n_counters,
                      const struct named_int *gauges, size_t n_gauges);

#endif
