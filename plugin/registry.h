/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_REGISTRY_H
#define PLUGIN_REGISTRY_H

/*
 * The registry: block -> sub-scopes -> processes. Data and its lookups, nothing that publishes,
 * asks or waits. One thread alone touches it, so no lock guards it.
 *
 * A process is in the registry from its birth in a block until all of it was told. Its identity is
 * pid and start time; a pid stands for one life at a time.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>
/* Where memory runs out uthash leaves the item out and its `tbl` null, rather than calling exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/text.h"
#include "plugin/marks.h"
#include "plugin/mask.h"
#include "schemas/block_event.h"
#include "schemas/names.h"
#include "trackers/life.h"

/* A command line as readers are told it; shared by the processes that a fork gave it to. */
struct command {
    uint32_t users;
    uint16_t size;
    bool truncated;
    bool shell; /* the program is a shell */
    char text[];
};

struct process {
    UT_hash_handle by_pid;
    struct block *block;
    struct scope *scope;
    struct process *parent; /* null: gone, or in no block, or in another */
    LIST_HEAD(, process) children;
    LIST_ENTRY(process) sibling;
    TAILQ_ENTRY(process) in_block; /* in the order of their births */
    TAILQ_ENTRY(process) timed;    /* while it settles or is read: in the list of those */
    TAILQ_ENTRY(process) in_unasked;
    TAILQ_ENTRY(process) freed; /* while its parent was told and it is to be told next */

    uint32_t pid;
    uint32_t parent_pid; /* at birth; 0: unknown */
    uint32_t threads;    /* counted by feeds that tell of threads; else 1 */
    uint32_t scan_mark;  /* of the last scan that saw it */
    uint64_t start_ticks;
    uint64_t start_ns;      /* the same, as exactly as it is known */
    uint64_t started_at_ms; /* fixed when it is told */
    uint64_t command_ns;    /* CLOCK_BOOTTIME: its command is at least as new as this; 0: unknown */
    uint64_t missed_ns;     /* CLOCK_MONOTONIC: since when a scan knows that it is no more; 0 */
    bool is_missed;         /* it is in the list of those that the feed may tell of yet */
    TAILQ_ENTRY(process) in_missed;
    uint64_t changed_ns; /* CLOCK_BOOTTIME of the newest event that was taken in */
    uint64_t due_ns;     /* CLOCK_MONOTONIC, while timed */
    uint64_t ask;        /* number of the question that is open; 0: none */

    enum life_state state;
    bool root;
    bool started;
    bool start_is_rough; /* start_ticks was made from an event's time */
    uint8_t early;       /* times that its facts were read before its birth was complete */
    bool is_guess;       /* its command was made of its name alone */
    bool is_stale;       /* it replaced its program since its command was read */
    bool leader_left;    /* its first thread ended; counted as `threads` is */
    bool has_outsider;   /* its parent is outside, and noted: lives.c */
    uint64_t late_ask;   /* number of a question that was given up: its answer still tells news */
    bool unasked;        /* it waits for its turn to be asked about (questions.h) */
    bool joined;         /* came in from outside: its end may have been before that */
    bool orphaned;       /* first seen with a foster parent outside of the block */
    bool started_open;   /* `started` waits for its parent's command */
    bool waits;          /* to be told as soon as its parent is */
    bool in_freed;
    bool unwatched; /* the feed could not be asked to tell of it, but can be again */
    bool stray;     /* found by its tag alone, beside any lineage */

    bool has_status;
    int status;
    uint64_t ended_ns, cpu_ns, max_rss_bytes;
    uint64_t scan_rss_bytes; /* as the scan of scan_mark read it */
    uint64_t cpu_seen_ns;    /* as it was read last, for a list: it used at least that much */

    struct command *command; /* null: not known yet */
};

/* Kills of one tree are one at a time: what is asked for meanwhile is one more behind it. */
struct kill_turn {
    bool running, wanted;
};

struct scope {
    UT_hash_handle by_place;
    uint64_t place; /* cgroup id; 0: none */
    struct block *block;
    SLIST_ENTRY(scope) in_block;
    struct kill_turn turn;
    unsigned n_processes; /* in it itself */
    bool made;            /* the tracker made it: it can be joined. Others have names alone */
    uint32_t number;      /* in the snapshot that was made last (snapshot.h) */
    char name[SUBSCOPE_MAX + 1];
};

enum block_phase {
    BLOCK_MAKING,   /* its place is being made; nobody was told of it */
    BLOCK_LIVE,     /* told */
    BLOCK_REMOVING, /* told; it is being ended */
};

struct ask; /* control.h: a request that waits for its answer */
TAILQ_HEAD(asks, ask);

struct escapee;   /* escapees.c */
struct remover;   /* removers.c */
struct root_mark; /* trackers/tracker.h */

struct block {
    UT_hash_handle by_id;
    UT_hash_handle by_place;
    char id[BLOCK_ID_MAX + 1];
    char topic[TOPIC_MAX + 1];
    char epoch[EPOCH_MAX + 1];
    uint64_t life;  /* unlike that of any other block, of this id or another */
    uint64_t place; /* cgroup id; 0: none */
    uint64_t seq;
    uint64_t created_at_ms; /* when its epoch began */
    enum block_phase state;
    bool adopted;
    bool keep_on_exit;
    uint8_t marks[2]; /* by enum tracker_fate, enum tracker_mark: as the next broker finds them */
    bool unclaimed;   /* adopted, and no client ensured it since */
    uint64_t expires_ns; /* CLOCK_MONOTONIC, while unclaimed: if it is empty then */
    TAILQ_ENTRY(block) in_unclaimed;
    struct root_mark *roots; /* adopted: roots of the last broker that were not seen yet */
    size_t n_roots;

    SLIST_HEAD(, scope) scopes;
    TAILQ_HEAD(, process) processes;
    uint32_t n_processes;           /* in the registry */
    uint32_t n_told;                /* told to readers: what lists hold */
    TAILQ_HEAD(, escapee) escapees; /* who left it, lives, and is in no block */
    uint32_t n_escapees;
    bool escapees_left_out; /* there were more than are remembered */
    uint32_t n_strays;      /* members that are `stray` */
    uint64_t gone_cpu_ns;   /* what those used that are in it no more, as far as that is known */
    uint32_t n_scopes, n_scopes_making; /* sub-scopes, and those that workers are about to make */

    uint32_t left_out;     /* news that there was no room for, since readers were told to resync */
    bool partial;          /* told: it may have members that are not listed */
    uint64_t partial_scan; /* the first scan that can find them all */

    int watch_fd;           /* says when it may be empty; -1: none */
    struct module *module;  /* while it is being removed, for what follows */
    sd_event_source *watch; /* its emptiness is waited for */
    sd_event_source *again; /* the next look, or the next kill */
    const char *removal;    /* the reason that block-removed will give */
    bool is_gone;           /* all of it but its block-removed, which the host could not take yet */
    unsigned patience_ms;   /* until the next kill */
    bool was_left;          /* without a watch_fd: the last kill of all of it left somebody */
    unsigned kills_in_row;  /* of what was born while the one before ran */
    bool kernel_empty;      /* nobody is in it; not all deaths may have been told */
    bool clearing;          /* its place is being removed */

    struct kill_turn turn; /* of the whole block */
    unsigned kills;        /* at the workers */
    unsigned busy;         /* operations at the workers that will come back to it, kills included */
    struct asks makers;    /* ensure_tracker: answered when it is made, or made again */
    LIST_HEAD(, remover) removers; /* remove: answered when it is gone, or late */
    struct asks waiting; /* assign_process: until a kill, or one of the same pid, is over */

    struct asks listers;    /* list_block: until the scan that began behind them is over */
    uint64_t scan;          /* number of the newest scan that was begun */
    uint64_t scan_since_ns; /* CLOCK_MONOTONIC: since when it may be held up */
    const struct tracker_op *scan_op; /* the workers', while it is scanned */
    bool scanning, scan_again; /* a scan is at the workers; another one is wanted behind it */
    uint64_t loss_ns; /* CLOCK_BOOTTIME of the last loss, until a scan has repaired it; 0: none */
    bool scan_waits;  /* until it is its turn at the workers */
    bool scan_for_moves; /* then: who did not move need not be read */
    TAILQ_ENTRY(block) in_scans;
    uint64_t resync_seq; /* of the newest block-resync; 0: none */
    bool active;         /* something happened in it since it was scanned last */
    bool unpublished;    /* an event could not be handed over: resync when there is room */
    bool is_missing;     /* no memory for a member: scan it when there is some */
    TAILQ_ENTRY(block) unsent;

    struct mark block_mark; /* of its newest event */
};

struct registry {
    struct block *blocks; /* by id, in the order of their making */
    struct block *blocks_by_place;
    struct scope *scopes;      /* by place */
    struct process *processes; /* by pid */
    uint64_t last_life;
    TAILQ_HEAD(, process) spare; /* freed ones, for the next births */
    unsigned n_spare;
    uint64_t version; /* grows with every change of who is where */
};

void registry_init(struct registry *registry);
/* Frees everything. No event source may be left in a block. */
void registry_destroy(struct registry *registry);

/* Null: no such block, or out of memory for registry_add_block. The id was checked. */
struct block *registry_block(const struct registry *registry, struct text id);
struct block *registry_block_at(const struct registry *registry, uint64_t place);
struct block *registry_add_block(struct registry *registry, struct text id);
/* Makes it findable by its place. */
void registry_place_block(struct registry *registry, struct block *block, uint64_t place);
/* Its place is gone: it and all its sub-scopes are to be made again. The sub-scopes keep their
 * names and members. */
void registry_displace_block(struct registry *registry, struct block *block);
/* The same for one sub-scope. */
void registry_displace_scope(struct registry *registry, struct scope *scope);
/* Takes it out and frees it; it has no processes any more. */
void registry_remove_block(struct registry *registry, struct block *block);

/* A sub-scope of a block by its name; null: none such. */
struct scope *registry_scope(const struct block *block, struct text name);
struct scope *registry_scope_at(const struct registry *registry, uint64_t place);
/* How many levels of it would have to be made. */
unsigned registry_scopes_missing(const struct block *block, struct text name);
/* The sub-scope that a name falls into: itself, or the nearest one above it that was made; else the
 * default one. Null: out of memory. */
struct scope *registry_scope_for(struct registry *registry, struct block *block, struct text name);
/* Finds or makes it; null: out of memory. A `place` of 0 leaves what is known. */
struct scope *registry_add_scope(struct registry *registry, struct block *block, struct text name,
                                 uint64_t place);

struct process *registry_process(const struct registry *registry, uint32_t pid);
/* Makes one in a sub-scope, unborn; null: out of memory. No process with this pid is there. */
struct process *registry_add_process(struct registry *registry, struct scope *scope, uint32_t pid);
void registry_set_parent(struct process *process, struct process *parent);
/* It is in another sub-scope of its block now. */
void registry_set_scope(struct registry *registry, struct process *process, struct scope *scope);
/* Takes it out and frees it. Its children have no parent then. It is in no list of timed ones. */
void registry_remove_process(struct registry *registry, struct process *process);

unsigned registry_n_processes(const struct registry *registry);
unsigned registry_n_blocks(const struct registry *registry);

/* Makes a command out of an argument vector, of PROC_ARGV_MAX bytes at most, with what is secret in
 * it hidden (mask.h): it is never kept, so nobody is told and no comparison sees it. Null: out of
 * memory. One user. */
struct command *command_new(const struct mask *mask, struct text argv, bool cut, struct text comm);
struct command *command_share(struct command *command);
void command_release(struct command **command_p);
/* True where both read the same. */
bool command_equal(const struct command *a, const struct command *b);

#endif
