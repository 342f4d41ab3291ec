/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_MIRROR_BLOCK_H
#define CLIENT_MIRROR_BLOCK_H

/*
 * The rule of the mirror (PROTOCOL.md, section 5) for one block: events and lists go in, calls come
 * out, and it says when a list is needed. It knows no sockets and no clock but the one it is told.
 *
 * All of it rests on two facts. Events of a broker arrive in the order in which they were
 * published. And a list counts every event that had arrived before it was asked for, so that of
 * those only the epochs are of interest: one that is not the list's is over. A list may overtake
 * events, though: where one of an epoch that is over comes behind the first event of what is held
 * for the present one, that one is older, and over too.
 *
 * One thread at a time.
 */

#include "client/mirror_members.h"
#include "schemas/control_reply.h"
#include "schemas/event.h"

enum {
    MIRROR_EPOCHS = 4,           /* epochs that are over, remembered for each block */
    MIRROR_GONE_KEPT_MS = 15000, /* a block's last mark comes ten seconds behind its end */
    MIRROR_BACKOFF_MS = 10,      /* before a block is listed a second time at once, doubled */
    MIRROR_BACKOFF_MAX_MS = 1000 /* until here; after so long without a list it begins anew */
};

/* An epoch of ours; "" is none. */
struct mirror_epoch {
    char name[EPOCH_MAX + 1];
};

enum mirror_phase {
    MIRROR_WANTS_LIST, /* something was missed: ask for a list, not before due_ms */
    MIRROR_LISTING,    /* it is asked for; events are kept */
    MIRROR_WHOLE,      /* events are applied as they come */
};

/* What a block tells, and what all blocks of a mirror share. */
struct mirror_teller {
    struct proctrack_mirror *mirror; /* passed on */
    struct proctrack_mirror_calls calls;
    void *arg;
    bool closed; /* nobody is called any more */
    uint64_t n_calls;
    size_t kept_bytes, kept_max; /* events kept by all blocks, and how much that may be */
    size_t n_unsettled;          /* blocks that are not whole */
    struct proctrack_counts counts;
};

struct kept_event;
STAILQ_HEAD(kept_events, kept_event);

struct mirror_block {
    struct proctrack_block shown; /* first: what is given out is cast back */
    struct mirror_teller *teller;
    TAILQ_ENTRY(mirror_block) waiting; /* in the mirror's queue of those that want something */
    bool is_waiting;

    bool present;    /* it exists, as far as is known: it was told */
    int64_t gone_ms; /* a mirror of many: since when it is not there and wants nothing; 0: not so */
    TAILQ_ENTRY(mirror_block) in_gone;
    enum mirror_phase phase;
    struct mirror_epoch epoch;
    bool by_event;                           /* its first event began the epoch, not a list */
    struct mirror_epoch past[MIRROR_EPOCHS]; /* are over */
    struct mirror_epoch seen[MIRROR_EPOCHS]; /* of events that came before the list is asked for */
    unsigned n_past, n_seen;
    struct members members;

    struct kept_events kept; /* while it is listed */
    bool overflowed;

    int64_t due_ms, asked_ms; /* when a list may be asked for, and was */
    unsigned tries;           /* lists in a row */
    bool checked;             /* while a list of all blocks is compared: it is in it */
    bool wants_sample, sampling;
    struct proctrack_branch *tree; /* given out last */
};

/* An event of a block as it is needed here: `data` and the views live as long as its message. */
struct mirror_event {
    struct text name;
    struct block_point at;
    const msgpack_object *data;
    struct text bytes; /* of the whole message, to be kept */
};

/* Reads the message of an event whose topic is `topic`. 1: `*ret` is one that counts here, and
 * `doc` must be closed; 0: it is no affair of a mirror; -EINVAL: junk; -ENOMEM. */
int mirror_event_open(struct mirror_event *ret, struct event_doc *doc, struct text topic,
                      struct text bytes);

/* Makes one that wants a list; its id was checked. */
struct mirror_block *mirror_block_new(struct mirror_teller *teller, struct text id, int64_t now_ms);
void mirror_block_free(struct mirror_block *block);

/* Takes an event, in the order of arrival. -ENOMEM: a list is wanted in its place. */
int mirror_block_event(struct mirror_block *block, const struct mirror_event *event,
                       int64_t now_ms);

/* Nothing is known of it because there was no such block: no list is needed. */
void mirror_block_is_new(struct mirror_block *block);

/* A list is being asked for: all events so far are counted in it. */
void mirror_block_asked(struct mirror_block *block, int64_t now_ms);
/* It was not answered, and will not be. */
void mirror_block_unanswered(struct mirror_block *block, int64_t now_ms);
/* It is here: the picture is compared with it, and what was kept is applied. -ENOMEM, -EPROTO: it
 * makes no sense; a list is wanted still. */
int mirror_block_list(struct mirror_block *block, const struct list_reply *list, int64_t now_ms);

/* Something else says that it may be out of date. */
void mirror_block_want_list(struct mirror_block *block, int64_t now_ms);

/* What list_block with detail says. */
int mirror_block_sample(struct mirror_block *block, const struct list_reply *list, int64_t now_ms);

#endif
