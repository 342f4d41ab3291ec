/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_TRACKER_H
#define TRACKERS_TRACKER_H

/*
 * A tracker owns who belongs to a block: it makes a block's place in the kernel, puts processes
 * into it, finds them, ends them, and takes the place away again. How births and deaths are learned
 * is the feed's question (feed.h).
 *
 * Whatever can take the kernel's time is a `struct tracker_op`: a value that goes to a worker
 * thread and comes back with its result. What is not an op is quick and does not wait.
 */

#include <stdbool.h>
#include <stdint.h>

#include "trackers/facts.h"
#include "trackers/known.h"
#include "trackers/mover.h"
#include "trackers/workers.h"

enum {
    TRACKER_LEVELS = 3, /* parts of a sub-scope */
    TRACKER_PATH_MAX = 4096,
};

enum tracker_trait {
    TRACKER_OWNS = 1 << 0,       /* nothing leaves unseen, whatever it does */
    TRACKER_HAS_PLACES = 1 << 1, /* blocks are cgroups: feeds can tell them by id */
    TRACKER_TRACKS = 1 << 2,     /* it can have members at all; where it has no places, its owner
                                    remembers them and tells operations in `known` */
};

struct tracker_options {
    const char
        *cgroup_root;     /* directory to make the blocks in; null or "": the tracker finds one */
    const char *instance; /* names this broker among others on the machine: its runtime directory */
    const struct mover *mover; /* who may move processes where we may not; null: nobody */
};

struct tracker;

/* The trackers there are, best first, null at the end: "cgroup", "lineage", "none". */
const char *const *tracker_names(void);

/* Opens a tracker and tries it for real: makes a place, puts a child into it, ends it, removes it.
 * Can take some hundred milliseconds. The sentence of a failure says what to do about it. */
int tracker_open(const char *name, const struct tracker_options *options, struct tracker **ret,
                 struct wps_error *error);

/* Lets go of it and removes its root where that is empty. Clears the pointer. */
void tracker_close(struct tracker **tracker_p);

const char *tracker_name(const struct tracker *tracker);
unsigned tracker_traits(const struct tracker *tracker); /* enum tracker_trait */

/* The cgroup directory that all blocks are in, for feeds that filter by it; -1: none. */
int tracker_root_fd(const struct tracker *tracker);

/* Its path, for people; empty where there is none. */
const char *tracker_root_path(const struct tracker *tracker);

/* Which block and sub-scope a path of the unified hierarchy is in. `block` and `scope` have room
 * for the sizes above and their NULs. False: in none. Pure string work. */
bool tracker_locate(const struct tracker *tracker, const char *cgroup_path, char *block,
                    char *scope);

/* Makes the root again, which somebody took away, all blocks with it. Feeds that watch it have to
 * be opened anew. */
int tracker_renew_root(struct tracker *tracker, struct wps_error *error);

/* Path of the file to write `0` to in order to join; false where there is none. */
bool tracker_procs_path(const struct tracker *tracker, const char *block, const char *scope,
                        char path[static TRACKER_PATH_MAX]);

/* False where the place of the block, or of its sub-scope if given, is not there any more: somebody
 * else took it away. */
bool tracker_is_there(const struct tracker *tracker, const char *block, const char *scope);

/* Start times are told by the clocks as they were when a broker started, and a life is known by its
 * own: so what outlives a broker hands its reading on, or a step of the wall clock in between would
 * change them. `boot_ms` is that of struct proc_clock. False: none is kept. */
bool tracker_read_clock(const struct tracker *tracker, int64_t *ret_boot_ms);
void tracker_mark_clock(const struct tracker *tracker, int64_t boot_ms);

/* What is to become of a block when its broker stops in order, and when it dies: kept beside it for
 * the next start, where the tracker has a place that outlives us, and else not. CREATE writes and
 * reads it. */
enum tracker_fate { TRACKER_ON_EXIT, TRACKER_ON_CRASH, TRACKER_FATES };
enum tracker_mark { TRACKER_UNMARKED, TRACKER_MARK_KILL, TRACKER_MARK_KEEP };

/* Takes such a mark away. Quick: for the end of the module. */
void tracker_unmark(const struct tracker *tracker, const char *block, enum tracker_fate fate);

/* CPU time of all that ever was in the block, those that ended included, in microseconds. For a
 * worker's thread; any one. -ENOTSUP: this tracker's blocks have no such account; -ENOENT: no such
 * block. */
int tracker_cpu_us(const struct tracker *tracker, const char *block, uint64_t *ret_cpu_us);

/* All threads that run in any block now, as the kernel has it, sorted, each once. A process whose
 * first thread is among them, which has its number, is in a block; one whose first thread has ended
 * is told of by the others alone. Who moves meanwhile may be left out. `progress` grows while it
 * goes on, for a thread that looks on. The caller owns what is returned. For a worker's thread; any
 * one. -ENOTSUP: this tracker has no places; -ENOMEM, or what the files say. */
int tracker_threads(const struct tracker *tracker, unsigned *progress, uint32_t **ret_tids,
                    size_t *ret_n);

/* Name of the cgroup that all blocks of a broker are in. Brokers side by side do not meet, and
 * after a restart it is the same one again. */
enum { TRACKER_ROOT_NAME = 32 };
void tracker_root_name(char name[static TRACKER_ROOT_NAME], const char *instance);

/* Helper processes of ours: they are put into no block. 0: none. Loop's thread. */
enum tracker_helper { TRACKER_KEEPER, TRACKER_HOLDER, TRACKER_HELPERS };
void tracker_spare(struct tracker *tracker, enum tracker_helper which, uint32_t pid);

/* ---- operations ---- */

enum tracker_op_kind {
    TRACKER_CREATE, /* make block and sub-scope; fine where they are there already */
    TRACKER_ASSIGN, /* put `pid` and its descendants into block and sub-scope */
    TRACKER_SCAN,   /* find the members of the block (of the sub-scope and below, if given); without
                       places: of all blocks, in one pass */
    TRACKER_KILL,   /* SIGKILL to all of them, once and thoroughly; not waiting for the end */
    TRACKER_SIGNAL, /* send `signal` to each of them, once to each, and where `thaws` is set let
                       what is frozen go on behind it */
    TRACKER_FREEZE, /* stop all of them where they are; -ENOTSUP without places */
    TRACKER_THAW,
    TRACKER_WATCH,  /* open a `watch_fd` for the block, or for the sub-scope and below */
    TRACKER_REMOVE, /* take the block's place away; it has to be empty */
    TRACKER_FACTS,  /* read the facts of one process */
    TRACKER_LIST,   /* find the blocks that are there, or the sub-scopes of `block` if given */
};

/* A life that was assigned as a root: kept in the same way. */
struct root_mark {
    uint32_t pid;
    uint64_t start_ticks;
};

struct tracker_op {
    struct job job; /* for the workers: leave it alone */
    struct tracker *tracker;
    enum tracker_op_kind kind;

    char block[TRACKER_BLOCK_MAX + 1];
    char scope[TRACKER_SCOPE_MAX + 1]; /* "": the whole block, where that makes sense */
    uint32_t pid;
    uint64_t start_ticks; /* ASSIGN: 0, or the life that is meant */
    bool root;            /* ASSIGN: it is a root, as the next broker is to know */
    int signal;           /* SIGNAL: its number */
    bool thaws;           /* SIGNAL */
    uint32_t client_uid;  /* ASSIGN: a process of another user is refused unless this is 0 */
    unsigned wanted;      /* FACTS: enum facts_wanted */
    /* CREATE: written to the block; unmarked: read, and told here */
    enum tracker_mark marks[TRACKER_FATES];
    bool wants_roots; /* CREATE: who is a root is read, too */
    bool is_watched;  /* CREATE: no watch_fd is wanted */
    int fd_end; /* CREATE, WATCH: watch_fd has to be below it, else -EMFILE; 0: any (fd_budget.h) */
    unsigned n_new;     /* CREATE: the owner's, untouched */
    uint64_t tag, life; /* the owner's, untouched */
    uint32_t tid;       /* the thread that does it; 0: none does. Atomic */
    /* SCAN, KILL without places: what the owner knows, held until the end. SCAN with places, where
     * it is given: who is still where it is known to be is told by its pid alone. */
    struct known *known;
    bool strays; /* KILL without places: strays too, whose tags are read, which can hang; and wait a
                    little for the end of all */

    /* ---- result */
    int result; /* 0 or a negative errno, with a sentence */
    struct wps_error error;
    uint64_t block_place; /* CREATE: its cgroup's id */
    uint64_t
        scope_place[TRACKER_LEVELS]; /* CREATE: of each level of the sub-scope, outermost first */
    int watch_fd; /* CREATE, WATCH: readable as POLLPRI when the block (WATCH: the sub-scope) may
                     have become empty; -1: none */
    struct root_mark *roots; /* CREATE: lives that were roots, over ones too; owned */
    size_t n_roots;
    bool root_unmarked; /* ASSIGN: the next broker will not know of this root */
    uint32_t *pids;     /* SIGNAL: who was signalled; SCAN: who is where it is known to be; owned */
    size_t n_pids;
    struct facts_list facts; /* ASSIGN: itself first, then descendants; SCAN, FACTS: who is there */
    uint64_t began_ns;       /* SCAN: CLOCK_BOOTTIME when it began */
    char **names;            /* LIST: null at the end; owned */
    size_t left;             /* KILL without places: how many were still there at the end */

    void (*done)(struct tracker_op *op, void *context);
    void *context;
};

/* Makes a zeroed one; null: out of memory. */
struct tracker_op *tracker_op_new(struct tracker *tracker, enum tracker_op_kind kind,
                                  void (*done)(struct tracker_op *op, void *context),
                                  void *context);

/* Hands it to a worker; `done` is called from workers_hand_out and frees it with tracker_op_free,
 * or submits it again. */
void tracker_op_submit(struct workers *workers, struct tracker_op *op);

/* True where it is being done, and a process hangs it that it reads (held.h). For its owner, while
 * it is at the workers. */
bool tracker_op_hangs(const struct tracker_op *op);

/* Does it here and now, without a worker and without `done`: for beginnings. Returns its result. */
int tracker_op_run(struct tracker_op *op);

/* Frees it and what it still holds; closes watch_fd. */
void tracker_op_free(struct tracker_op *op);

/* True where the descriptor of CREATE or WATCH says that nobody is in the block or below. Quick. It
 * also arms the descriptor for the next change: set the watch, then ask. */
bool tracker_is_empty(int watch_fd);

#endif
