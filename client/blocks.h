/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCTRACK_BLOCKS_H
#define PROCTRACK_BLOCKS_H

/*
 * Blocks: making one, putting processes in it, listing them, and their end.
 *
 *     struct proctrack_stopped *stopped;
 *     if (proctrack_stop(connection, "demo", NULL, &stopped, &error) == 0) {
 *         printf("%llu left in order\n", (unsigned long long)stopped->exited);
 *         proctrack_free(stopped);
 *     }
 *
 * Each function asks the broker one thing and waits for the answer, at most as long as the
 * connection says (see proctrack_options), and for stop, wait_empty and remove as much longer as
 * they may take themselves. They fail as proctrack_ask does, and besides as it is said here.
 * Options may be null: all defaults. An answer is to be freed with proctrack_free; where `ret` is
 * null nobody wants it.
 *
 * `block_id`: 1 to 128 of A-Z a-z 0-9 . _ -, not beginning with . or -. `scope`: a sub-scope and
 * all below it, as "bg" or "bg/7"; null: the whole block. `started_at_ms`: with it a pid means one
 * life and no later one; 0: whoever has the pid now.
 *
 * Source: PROTOCOL.md, section 4.1.
 */

#include "ask.h"
#include "process.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what there is -------------------------------------------------------------------------- */

struct proctrack_attempt { /* what the module tried when it started */
    const char *what;
    const char *why;
    bool ok;
};

struct proctrack_described {
    uint64_t protocol; /* 1 */
    const char *name, *version, *tracker, *feed;
    const char *confidence;        /* "high", "best_effort", "none" */
    const char *confidence_reason; /* a sentence */
    const struct proctrack_attempt *tried;
    size_t n_tried;
};

/* What the module is and how it works here. */
PROCTRACK_API int proctrack_describe(struct proctrack *self, struct proctrack_described **ret,
                                     struct proctrack_error *error);

struct proctrack_summary { /* of one block */
    const char *block_id;
    const char *confidence;
    const char *epoch;
    uint64_t seq;
    uint64_t created_at_ms; /* when its epoch began; 0: not known */
    uint64_t n_processes;
    bool has_use; /* the two that follow were asked for */
    uint64_t rss_bytes, cpu_ms;
};

struct proctrack_blocks {
    const struct proctrack_summary *const *blocks;
    size_t n_blocks;
};

/* All blocks. `use`: with the memory and the time of their processes, which take time to read. */
PROCTRACK_API int proctrack_list_blocks(struct proctrack *self, bool use,
                                        struct proctrack_blocks **ret,
                                        struct proctrack_error *error);

struct proctrack_list_options {
    uint32_t size;
    const char *scope;
    bool only_started; /* only what an agent started through its tools */
    bool detail;       /* with all of struct proctrack_detail */
};

#define PROCTRACK_LIST_OPTIONS PROCTRACK_SIZED(struct proctrack_list_options)

struct proctrack_listed {
    bool tracked; /* false: there is no such block, and there are no processes */
    const char *confidence, *confidence_reason;
    const char *epoch; /* "" where it is not tracked */
    uint64_t seq;      /* all events up to this one were published before the answer */
    const struct proctrack_process *const *processes;
    size_t n_processes;
};

/* The processes of a block, once. Who wants to know them as they come and go has a mirror. */
PROCTRACK_API int proctrack_list(struct proctrack *self, const char *block_id,
                                 const struct proctrack_list_options *options,
                                 struct proctrack_listed **ret, struct proctrack_error *error);

/* ---- making, and putting processes in -------------------------------------------------------- */

struct proctrack_ensure_options {
    uint32_t size;
    const char *scope;  /* where procs_path is to lead; null: "main" */
    bool keep_on_exit;  /* when the broker is stopped in order its processes live on */
    bool kill_on_crash; /* when the broker is killed they are ended */
};

#define PROCTRACK_ENSURE_OPTIONS PROCTRACK_SIZED(struct proctrack_ensure_options)

struct proctrack_ensured {
    bool created; /* false: it was there */
    const char *confidence, *confidence_reason, *tracker, *feed;
    const char *procs_path; /* for birth.h: how a child is born in that scope; null: it cannot be */
    const char *epoch;
    uint64_t seq;
};

/* Makes a block, where it is not there. Options that are false leave what an earlier call said. */
PROCTRACK_API int proctrack_ensure(struct proctrack *self, const char *block_id,
                                   const struct proctrack_ensure_options *options,
                                   struct proctrack_ensured **ret, struct proctrack_error *error);

struct proctrack_assign_options {
    uint32_t size;
    uint32_t pid;
    uint64_t started_at_ms;
    const char *scope;
    bool not_root; /* it does not count as a root of the block */
};

#define PROCTRACK_ASSIGN_OPTIONS PROCTRACK_SIZED(struct proctrack_assign_options)

/* Puts a process that runs, and its descendants, into a block. `*ret_assigned` (may be null): how
 * many; 0: all were there. What it started before may be missed: birth.h is better. */
PROCTRACK_API int proctrack_assign(struct proctrack *self, const char *block_id,
                                   const struct proctrack_assign_options *options,
                                   uint64_t *ret_assigned, struct proctrack_error *error);

/* ---- signals and ends ------------------------------------------------------------------------ */

/* Kills all of a block or a scope at once, whatever it does. 1: the kill is dispatched; 0: there is
 * no such block. */
PROCTRACK_API int proctrack_kill(struct proctrack *self, const char *block_id, const char *scope,
                                 struct proctrack_error *error);

/* Kills one member. 1; 0: that is no member, and nothing was signalled. */
PROCTRACK_API int proctrack_kill_pid(struct proctrack *self, const char *block_id, uint32_t pid,
                                     uint64_t started_at_ms, struct proctrack_error *error);

struct proctrack_pids {
    const uint32_t *pids;
    size_t n_pids;
};

/* Kills what an agent started through its tools, never a root: all of it, or, where `pid` is not 0,
 * that in the subtree of this process. `*ret`: what was killed. */
PROCTRACK_API int proctrack_kill_started(struct proctrack *self, const char *block_id, uint32_t pid,
                                         struct proctrack_pids **ret,
                                         struct proctrack_error *error);

/* Sends a signal (1 to 64) to all of a block or a scope. `*ret`: who got it. */
PROCTRACK_API int proctrack_signal(struct proctrack *self, const char *block_id, const char *scope,
                                   int signal, struct proctrack_pids **ret,
                                   struct proctrack_error *error);

struct proctrack_survivor { /* who is still there */
    uint32_t pid;
    uint64_t started_at_ms;
    const char *command;
    char state;   /* letter of /proc; 0: not known */
    bool escaped; /* it is outside of the block */
};

struct proctrack_stop_options {
    uint32_t size;
    const char *scope;
    int signal;          /* first all get this one; 0: SIGTERM */
    uint32_t grace_ms;   /* after that long what is left is killed; 0: 5000 */
    uint32_t timeout_ms; /* and then waited for, until so long after the call; 0: 10000 */
    bool include_escaped;
};

#define PROCTRACK_STOP_OPTIONS PROCTRACK_SIZED(struct proctrack_stop_options)

struct proctrack_stopped {
    uint64_t exited; /* how many ended before the kill */
    uint64_t killed; /* how many did not */
    uint64_t elapsed_ms;
    const struct proctrack_survivor *const *survivors;
    size_t n_survivors; /* 0: all of it has ended */
};

/* Stops a block or a scope: asks its processes to end, kills those that do not, waits. */
PROCTRACK_API int proctrack_stop(struct proctrack *self, const char *block_id,
                                 const struct proctrack_stop_options *options,
                                 struct proctrack_stopped **ret, struct proctrack_error *error);

/* Waits until a block or a scope is empty, at most `timeout_ms` milliseconds (up to a day). 1: it
 * is; 0: it is not, and `*ret_remaining` (may be null) processes are there. */
PROCTRACK_API int proctrack_wait_empty(struct proctrack *self, const char *block_id,
                                       const char *scope, uint32_t timeout_ms,
                                       uint64_t *ret_remaining, struct proctrack_error *error);

/* Halts all of a block or a scope, and lets it go on. -EREMOTEIO with PROCTRACK_NOT_SUPPORTED: this
 * tracker cannot. */
PROCTRACK_API int proctrack_freeze(struct proctrack *self, const char *block_id, const char *scope,
                                   struct proctrack_error *error);
PROCTRACK_API int proctrack_thaw(struct proctrack *self, const char *block_id, const char *scope,
                                 struct proctrack_error *error);

struct proctrack_remove_options {
    uint32_t size;
    uint32_t timeout_ms; /* how long it may take to end all; 0: 10000 */
    bool include_escaped;
};

#define PROCTRACK_REMOVE_OPTIONS PROCTRACK_SIZED(struct proctrack_remove_options)

struct proctrack_removed {
    bool ok; /* false: there was no such block, or it has survivors; then it goes on */
    const struct proctrack_survivor *const *survivors;
    size_t n_survivors;
};

/* Kills all of a block, waits until it is empty, and removes it. */
PROCTRACK_API int proctrack_remove(struct proctrack *self, const char *block_id,
                                   const struct proctrack_remove_options *options,
                                   struct proctrack_removed **ret, struct proctrack_error *error);

#ifdef __cplusplus
}
#endif

#endif
