/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCTRACK_MIRROR_H
#define PROCTRACK_MIRROR_H

/*
 * A mirror: the blocks and processes that a broker knows, kept up to date here by its events.
 *
 *     static void added(struct proctrack_mirror *mirror, const struct proctrack_block *block,
 *                       const struct proctrack_process *process, void *arg)
 *     {
 *         printf("%s: %u %s\n", block->block_id, process->pid, process->command);
 *     }
 *
 *     struct proctrack_mirror_options options = PROCTRACK_MIRROR_OPTIONS;
 *     options.scope = "block:demo";
 *     options.calls.added = added;
 *     proctrack_mirror_open(&mirror, connection, &options, &error);
 *     while (proctrack_mirror_wait(mirror, -1, &error) >= 0)
 *         ;
 *     proctrack_mirror_close(&mirror);
 *
 * It subscribes and proves that the subscription is in force, lists, and merges events by their
 * epoch and number. Where something was missed (a number was left out, the broker dropped what we
 * were too slow for, another broker took the place of the one that was there) it lists again by
 * itself, compares, and tells the difference by the same calls as ever: who draws what it is called
 * with has a right picture whenever the state is PROCTRACK_CURRENT. While it is not, what is there
 * is shown as it was last known.
 *
 * Nothing here waits, but for proctrack_mirror_wait. One descriptor says when there is something
 * to do; there is no thread but ZeroMQ's own, and calls come from within proctrack_mirror_dispatch
 * and _wait alone.
 *
 * Threads: one thread at a time for one mirror and all that is read from it. It may be another one
 * than that of its connection. After fork(2) the child may not touch it.
 *
 * Growing: structs that it gives out grow at their tail in later versions, so never make an array
 * of them, and do not depend on their size.
 *
 * Source: PROTOCOL.md, sections 3 and 5.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "process.h"

#ifdef __cplusplus
extern "C" {
#endif

struct proctrack_mirror;

/* ---- what there is -------------------------------------------------------------------------- */

/* A block. */
struct proctrack_block {
    const char *block_id;
    const char *confidence;        /* "high", "best_effort", "none" */
    const char *confidence_reason; /* a sentence */
    const char *tracker, *feed;    /* "" until an event told: lists do not have them */
    const char *epoch;
    uint64_t seq; /* of the last event that is in the picture */
    size_t n_processes;
    bool current; /* false: something was missed, and it is being listed again */
    void *user;   /* the caller's, null at first: proctrack_block_set_user */
};

enum proctrack_gone_how {
    PROCTRACK_GONE_EXITED,   /* it ended */
    PROCTRACK_GONE_ESCAPED,  /* it lives, outside of the block: see reason and where */
    PROCTRACK_GONE_MISSED,   /* it ended or left while we were not told */
    PROCTRACK_GONE_UNTRACKED /* its block is removed; it may live on */
};

/* How a process left. Times and sizes are 0 where they are not known. */
struct proctrack_gone {
    enum proctrack_gone_how how;
    int exit_code; /* 0 to 255; -1: not known, or a signal ended it */
    int signal;    /* number of the signal that ended it; 0: none, or not known */
    bool core_dumped;
    uint64_t runtime_ms, cpu_ms, max_rss_bytes;
    const char *reason; /* escaped: "moved", "reassigned", "found_outside"; else "" */
    const char *where;  /* escaped: path of its cgroup, where known; else "" */
};

/* What changed in a process: several may be set. */
enum {
    PROCTRACK_CHANGED_EXEC = 1 << 0,    /* it runs another program (the command may be the same) */
    PROCTRACK_CHANGED_COMMAND = 1 << 1, /* the command reads otherwise */
    PROCTRACK_CHANGED_SCOPE = 1 << 2,
    PROCTRACK_CHANGED_ROOT = 1 << 3,
    PROCTRACK_CHANGED_STARTED = 1 << 4,
    PROCTRACK_CHANGED_DETAIL = 1 << 5, /* detail and rss_bytes were sampled */
};

enum proctrack_mirror_state {
    PROCTRACK_STARTING,  /* nothing is known yet */
    PROCTRACK_CURRENT,   /* it agrees with the broker, as far as events have arrived */
    PROCTRACK_REPAIRING, /* something was missed: it is being listed again */
    PROCTRACK_STALE,     /* no broker, or it does not answer: it is tried again and again */
};

/* ---- calls ---------------------------------------------------------------------------------- */

/*
 * What a mirror calls; each may be null. `arg` is that of the options.
 *
 * A call may look up and iterate, sample, set user pointers, ask and subscribe. It may not dispatch
 * or wait (-EBUSY). It may close the mirror: then it is the last call, and dispatch returns 0. What
 * it is given lives until it returns, unless something longer is said.
 *
 * Each call comes right after the change that it tells: look-ups show it already. In a repair they
 * show the picture as far as it was told.
 */
struct proctrack_mirror_calls {
    /* A process that was not there. It lives until `gone` was called with it has returned. */
    void (*added)(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                  const struct proctrack_process *process, void *arg);
    /* `changes`: PROCTRACK_CHANGED_*. The record is the same one, with new values in it. */
    void (*changed)(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                    const struct proctrack_process *process, unsigned changes, void *arg);
    /* It is not looked up any more. */
    void (*gone)(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                 const struct proctrack_process *process, const struct proctrack_gone *how,
                 void *arg);
    /* A block that was not there, without processes yet. It lives until `block_removed` with it has
     * returned. */
    void (*block_added)(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                        void *arg);
    /* Its confidence, tracker or feed changed, or `current`. A new epoch, as after a restart of the
     * broker, is listed and compared: who is in both by pid and time of birth is the same process,
     * and neither gone nor added; what the caller keeps with it stays. */
    void (*block_changed)(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                          void *arg);
    /* After `gone` for each process left in it. `reason`: "removed", "expired", "shutdown", or ""
     * where its end was missed. */
    void (*block_removed)(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                          const char *reason, void *arg);
    /* The state of the whole mirror changed. `why` is a sentence; "" when it is current. */
    void (*state)(struct proctrack_mirror *mirror, enum proctrack_mirror_state state,
                  const char *why, void *arg);
};

/* ---- its life ------------------------------------------------------------------------------- */

struct proctrack_mirror_options {
    uint32_t size; /* sizeof (struct proctrack_mirror_options): see PROCTRACK_MIRROR_OPTIONS */
    /* Which blocks: one, "block:demo" (it need not exist yet), or all that match a star scope,
     * "block:*". Null: all, also those that come later. */
    const char *scope;
    void *arg;           /* passed to each call */
    uint32_t timeout_ms; /* how long the broker may take to answer; 0: 5000 */
    uint32_t check_ms;   /* how often a quiet mirror asks whether its blocks are still there, for
                            the last event of a removed block may be lost; 0: 30000 */
    size_t buffer_bytes; /* events kept while a list is under way; one more and that block is
                            listed once again; 0: 16 MiB */
    struct proctrack_mirror_calls calls;
};

#define PROCTRACK_MIRROR_OPTIONS PROCTRACK_SIZED(struct proctrack_mirror_options)

/* Makes a mirror and begins to connect. The connection must outlive it; the options are copied. No
 * call is made before the first dispatch. -EINVAL: a scope that no block can have; -EMFILE;
 * -ENOMEM. That there is no broker is no error: the state will be PROCTRACK_STALE until there is.
 */
PROCTRACK_API int proctrack_mirror_open(struct proctrack_mirror **ret, struct proctrack *connection,
                                        const struct proctrack_mirror_options *options,
                                        struct proctrack_error *error);

/* Closes it and clears the caller's pointer; null is fine. No more calls are made: nobody is told
 * that the processes are gone. */
PROCTRACK_API void proctrack_mirror_close(struct proctrack_mirror **self_p);

/* A descriptor for poll(2), epoll(7) and their like: readable whenever there is something to do,
 * and until it is done. It is level-triggered, unlike ZeroMQ's own; with EPOLLET dispatch once
 * before the first wait. It is the mirror's: neither read nor close it. It stays the same. */
PROCTRACK_API int proctrack_mirror_fd(const struct proctrack_mirror *self);

/* Does what there is to do, without waiting, and calls back. It stops after some hundred events, so
 * that a storm leaves time for others: the descriptor then stays readable. Returns how many calls
 * were made, or would have been where they are null. -EBUSY: from within a call. -ETERM: the
 * ZeroMQ context ends: close it. -ENOMEM: something was left out for want of memory; it will be
 * repaired: go on. */
PROCTRACK_API int proctrack_mirror_dispatch(struct proctrack_mirror *self,
                                            struct proctrack_error *error);

/* For programs without a loop of their own: waits until there is something to do, at most
 * `timeout_ms` milliseconds (-1: for ever; 0: not at all), and dispatches once. As dispatch; 0
 * also where the time was up, or what there was to do called nobody. -EINTR: a signal came. */
PROCTRACK_API int proctrack_mirror_wait(struct proctrack_mirror *self, int timeout_ms,
                                        struct proctrack_error *error);

PROCTRACK_API enum proctrack_mirror_state proctrack_mirror_state(
    const struct proctrack_mirror *self);

/* Asks the broker to read `detail` and `rss_bytes` of all processes of a block; `changed` with
 * PROCTRACK_CHANGED_DETAIL is called for each when the answer is there. While one is under way for
 * the block, or the mirror is not current, it does nothing (0). -ENOENT: no such block here. */
PROCTRACK_API int proctrack_mirror_sample(struct proctrack_mirror *self, const char *block_id);

/* What happened so far, for those who want to know how well it goes. */
struct proctrack_counts {
    uint64_t events;     /* of blocks, that arrived */
    uint64_t lists;      /* of single blocks, that arrived, the first ones too */
    uint64_t gaps;       /* how often events of a block were missing */
    uint64_t malformed;  /* messages that were none of the protocol */
    uint64_t overflows;  /* how often events came faster than a list */
    uint64_t reconnects; /* how often the broker went */
};

/* Copies at most `size` bytes of them: sizeof (struct proctrack_counts). */
PROCTRACK_API void proctrack_mirror_counts(const struct proctrack_mirror *self,
                                           struct proctrack_counts *ret, size_t size);

/* ---- look-ups ------------------------------------------------------------------------------- */

/* What they return lives until the next dispatch, and longer as the calls say. */

/* The blocks, sorted by id (bytes): begin with null; null at the end. */
PROCTRACK_API const struct proctrack_block *proctrack_mirror_next(
    const struct proctrack_mirror *self, const struct proctrack_block *after);

/* The block of that id, or null. */
PROCTRACK_API const struct proctrack_block *proctrack_mirror_block(
    const struct proctrack_mirror *self, const char *block_id);

/* The processes of a block, in the order in which they became known: begin with null; null at the
 * end. */
PROCTRACK_API const struct proctrack_process *proctrack_block_next(
    const struct proctrack_block *block, const struct proctrack_process *after);

/* The process that has this pid, or null. */
PROCTRACK_API const struct proctrack_process *proctrack_block_find(
    const struct proctrack_block *block, uint32_t pid);

/* One line of a tree. */
struct proctrack_branch {
    const struct proctrack_process *process;
    unsigned depth; /* 0: its parent is not in the block (any more) */
};

/* The processes of a block as a tree: each right before its children, siblings by age. Returns how
 * many there are; `*ret` is an array of as many, which lives until the next dispatch, or until this
 * is asked again. -ENOMEM. */
PROCTRACK_API ssize_t proctrack_block_tree(const struct proctrack_block *block,
                                           const struct proctrack_branch **ret);

/* Keeps a pointer of the caller's with a process or a block. Nothing is done with it: free what it
 * points to when the process is gone, or the block removed, and before the mirror is closed. */
PROCTRACK_API void proctrack_process_set_user(const struct proctrack_process *process, void *user);
PROCTRACK_API void proctrack_block_set_user(const struct proctrack_block *block, void *user);

#ifdef __cplusplus
}
#endif

#endif
