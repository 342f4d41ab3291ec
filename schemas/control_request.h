/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_CONTROL_REQUEST_H
#define SCHEMAS_CONTROL_REQUEST_H

/* The commands of the control socket and the `data` that each takes (PROTOCOL.md, section 4.1): one
 * table says which keys a command needs and allows. */

#include "schemas/names.h"
#include "schemas/request.h"

enum control_command {
    CONTROL_DESCRIBE,
    CONTROL_ENSURE_TRACKER,
    CONTROL_ASSIGN_PROCESS,
    CONTROL_LIST_BLOCK,
    CONTROL_LIST_ALL_BLOCKS,
    CONTROL_CONFIDENCE_OF,
    CONTROL_KILL_PID,
    CONTROL_KILL_TREE,
    CONTROL_KILL_STARTED,
    CONTROL_SIGNAL_TREE,
    CONTROL_STOP_TREE,
    CONTROL_WAIT_EMPTY,
    CONTROL_FREEZE,
    CONTROL_THAW,
    CONTROL_REMOVE,
    CONTROL_STATS,
    CONTROL_COMMANDS, /* how many there are */
};

/* "describe" and so on; the string is constant. */
const char *control_command_name(enum control_command command);

enum {
    CONTROL_TIMEOUT_MS_DEFAULT = 10000,
    CONTROL_TIMEOUT_MS_MAX = 24 * 60 * 60 * 1000,
    CONTROL_SIGNAL_DEFAULT = 15,
    CONTROL_SIGNAL_MAX = 64,
    CONTROL_GRACE_MS_DEFAULT = 5000,
};

/* Values of all commands together; each command reads those of its row. What is absent has the
 * default that stands here. */
struct control_request {
    enum control_command command;
    struct text block_id;   /* checked: block_id_check */
    struct text scope;      /* checked: subscope_check; empty: absent */
    uint64_t pid;           /* 0 where absent; at most INT32_MAX */
    uint64_t started_at_ms; /* 0: absent */
    bool root;              /* true */
    bool keep_on_exit;      /* on_exit: "kill" false (default), "keep" true */
    bool kill_on_crash;     /* on_crash: "keep" false (default), "kill" true */
    bool has_on_exit, has_on_crash;
    bool only_started;    /* only: "started" */
    bool detail;          /* false */
    uint64_t timeout_ms;  /* 10000; at most one day */
    uint64_t signal;      /* 15; 1 to 64 */
    uint64_t grace_ms;    /* 5000, or half of a timeout_ms that leaves no more; less than that */
    bool include_escaped; /* false */
};

/* What is not zero by default, for who fills one in:
 *     struct control_request request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_KILL_TREE}; */
#define CONTROL_REQUEST_DEFAULTS                                                                   \
    .root = true, .timeout_ms = CONTROL_TIMEOUT_MS_DEFAULT, .signal = CONTROL_SIGNAL_DEFAULT,      \
    .grace_ms = CONTROL_GRACE_MS_DEFAULT

/* Reads command and data of an envelope. On failure `*ret_code` is the errorcode to answer with
 * (unknown_command, invalid_argument) and `error` the sentence: it names the key, what was
 * expected, and for an unknown command the ones there are. -EINVAL, -ENOSYS. Views point into the
 * request. */
int control_request_read(struct control_request *ret, const struct request *request,
                         enum errorcode *ret_code, struct wps_error *error);

/* Packs the `data` of a request: what the command's row needs, and what it allows and is not the
 * default. `request` was begun with CONTROL_REQUEST_DEFAULTS. */
void control_request_pack(struct wire_out *out, const struct control_request *request);

#endif
