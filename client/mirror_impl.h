/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_MIRROR_IMPL_H
#define CLIENT_MIRROR_IMPL_H

/* What a mirror is made of, for its own files: mirror.c has its life and look-ups, mirror_steps.c
 * the way from no connection to a picture, mirror_asks.c the requests that are under way. */

#include "base/clock.h"
#include "client/mirror_block.h"
#include "client/mirror_link.h"

enum {
    MIRROR_ASKS_MAX = 32, /* requests under way at once */
    MIRROR_BATCH = 500,   /* events of one dispatch */
};

/* From nothing to a picture that follows. Any failure leads back to the first. */
enum mirror_stage {
    STAGE_DOWN,       /* no sockets; they are made at next_ms */
    STAGE_CONNECTING, /* ZeroMQ tries to reach the broker */
    STAGE_SYNCING,    /* a sync event is published until it arrives */
    STAGE_SURVEYING,  /* which blocks there are was asked for */
    STAGE_FOLLOWING,  /* blocks are listed, and events applied */
};

enum ask_kind {
    ASK_BLOCKS, /* which blocks there are, after a connection: list_all_blocks */
    ASK_CHECK,  /* whether they are still there: the same, or confidence_of for one block */
    ASK_LIST,
    ASK_SAMPLE,
};

struct ask {
    TAILQ_ENTRY(ask) link;
    uint64_t reqid;
    enum ask_kind kind;
    struct mirror_block *block; /* of a list or a sample; else null */
    int64_t deadline_ms;
};

TAILQ_HEAD(ask_list, ask);
TAILQ_HEAD(waiting_list, mirror_block);

struct proctrack_mirror {
    struct mirror_teller teller;
    struct mirror_link link;
    char *scope;
    bool is_star;
    uint32_t timeout_ms, check_ms;

    struct mirror_block **blocks; /* sorted by id; also such as are not there (any more) */
    size_t n_blocks, n_room;
    struct waiting_list waiting; /* blocks that want a list or a sample */
    struct waiting_list gone;    /* that are not there and want nothing, by gone_ms */
    struct ask_list asks;        /* oldest first */
    size_t n_asks;
    uint64_t n_requests; /* their reqids */
    struct wire_out data, out;

    enum mirror_stage stage;
    char nonce[48];      /* topic of the sync event */
    int64_t next_ms;     /* of the stage: connect, publish once again, check */
    int64_t deadline_ms; /* of the stage; MIRROR_NEVER_MS */
    int wait_ms, retry_ms;
    bool checking;

    enum proctrack_mirror_state state;
    bool was_current;
    struct wps_error why; /* what is wrong, "" where nothing is */

    int trouble; /* -ENOMEM and the like, to be returned by this dispatch */
    bool dispatching;
};

/* ---- mirror.c ---- */

/* The block of that id, or null; the one that is made where it was not there (-ENOMEM: null). */
struct mirror_block *mirror_find(const struct proctrack_mirror *self, struct text id);
struct mirror_block *mirror_make(struct proctrack_mirror *self, struct text id);
/* A block may be asked for something, or be of no more use. */
void mirror_settle(struct proctrack_mirror *self, struct mirror_block *block);
/* Forgets those that have been gone for so long that nothing late of them can come. */
void mirror_forget_gone(struct proctrack_mirror *self, int64_t now_ms);
/* True where the mirror is of that block. */
bool mirror_wants(const struct proctrack_mirror *self, struct text topic);

/* ---- mirror_steps.c ---- */

/* Takes what there is, and does what is due. 1: something was done; 0; -ETERM. */
int mirror_step(struct proctrack_mirror *self, int *budget);
/* When something is due next; MIRROR_NEVER_MS. */
int64_t mirror_next_due(const struct proctrack_mirror *self);
/* This connection is of no use, for the reason in `why`. */
void mirror_fail(struct proctrack_mirror *self);
/* Which blocks there are is known. */
void mirror_follow(struct proctrack_mirror *self);

/* ---- mirror_asks.c ---- */

/* Asks. -EAGAIN: not now; -ENOMEM. */
int mirror_ask(struct proctrack_mirror *self, enum ask_kind kind, struct mirror_block *block);
/* Asks for what blocks want, as far as there is room. 1: something was asked. */
int mirror_ask_waiting(struct proctrack_mirror *self);
/* Takes one reply from the control socket. 1; 0: there is none; -ETERM. */
int mirror_take_reply(struct proctrack_mirror *self);
/* None will be answered. */
void mirror_forget_asks(struct proctrack_mirror *self);

#endif
