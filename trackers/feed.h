/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_FEED_H
#define TRACKERS_FEED_H

/*
 * A feed tells of births, program changes and deaths of processes. It knows nothing of blocks: who
 * belongs to one is the tracker's question (tracker.h). Every tracker takes any feed.
 *
 * A feed belongs to one thread: all calls come from it. Events are handed to a callback of the
 * caller's, one at a time; what they point to lives until the callback returns.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"
#include "trackers/mover.h"

enum feed_event_kind {
    FEED_FORK = 1,    /* a process was born */
    FEED_THREAD,      /* a process got one more thread (only feeds that count threads so) */
    FEED_EXEC,        /* a process replaced its program, by whichever thread */
    FEED_THREAD_EXIT, /* a thread ended; whether the process did, the reader counts */
    FEED_EXIT,        /* a process ended: its last thread did */
    FEED_MOVE,        /* a process was moved to another cgroup */
    FEED_SCAN_DUE,    /* time for a scan: of no process; only with FEED_WANTS_SCANS */
};

enum {
    FEED_PLACES = 4, /* cgroups told per event: the block and three levels of sub-scopes */
    FEED_COMM = 16,
};

/* What is known of an event. A value that the feed does not know is 0, a text that it does not know
 * is empty. Times are nanoseconds of CLOCK_BOOTTIME. */
struct feed_event {
    enum feed_event_kind kind;
    uint32_t pid;     /* the process (its thread group id), in the reader's pid namespace */
    uint32_t tid;     /* the thread concerned, with FEED_THREAD and FEED_THREAD_EXIT */
    uint32_t parent;  /* the real parent at birth */
    uint32_t creator; /* the process that called fork: another than the parent with CLONE_PARENT */
    uint64_t time_ns;
    uint64_t start_ns; /* creation of the process */

    /* The cgroups it is in below the root that the feed watches, outermost first, by id; ids of 0
     * behind the last. Only where `has_place`; all 0 then means outside of the root. */
    bool has_place;
    uint64_t place[FEED_PLACES];

    struct text comm;
    bool has_argv; /* FEED_EXEC: else argv is to be read from /proc */
    bool argv_cut; /* it was longer than what is told */
    struct text argv;
    uint64_t rss_bytes;
    struct text path; /* FEED_MOVE: of the cgroup it is in now */

    bool has_status; /* FEED_EXIT, FEED_THREAD_EXIT */
    int status;      /* a wait status */
    uint64_t cpu_ns;
    uint64_t max_rss_bytes;
};

typedef void feed_sink(void *context, const struct feed_event *event);

/* What a feed can be relied on for. */
enum feed_trait {
    FEED_TELLS_BIRTHS = 1 << 0, /* every fork and exec is told, so short lives are seen */
    FEED_TELLS_PLACES = 1 << 1, /* events say in which cgroups, and moves are told at once */
    FEED_WATCHES = 1 << 2,     /* only of processes given to feed_watch is anything told, and, where
                                  births are, of the descendants that they have from then on */
    FEED_WANTS_SCANS = 1 << 3, /* births are found by scans alone, at every `poll_ms` */
};

struct feed_options {
    int root_fd;               /* the cgroup directory to watch (kept by the caller); -1: none */
    const struct mover *mover; /* for the trial (mover.h); null: none */
    unsigned ring_kib;         /* room for events not read yet, in KiB; 0: the feed's own default */
    unsigned poll_ms;          /* how often scans are wanted, milliseconds */
    unsigned max_watched; /* processes that may be watched at a time; 0: the feed's own default */
    int fd_end;           /* what is held for long has to be below it (fd_budget.h); 0: any */
};

struct feed;

/* The feeds there are, best first, null at the end: "bpf", "netlink", "poll". */
const char *const *feed_names(void);

/* Opens a feed and tries it for real: subscribes, makes a child (without SIGCHLD to the process)
 * and sees its birth and end arrive; once more where events were lost meanwhile, for that says
 * nothing of the feed. Takes up to a second: call it from a thread that may wait.
 * -ENOSYS: not built in; -EAGAIN: something was lost at each try; -EPERM and others: does not work
 * here; the sentence says why and what to do. On success the caller owns `*ret_feed`. */
int feed_open(const char *name, const struct feed_options *options, struct feed **ret_feed,
              struct wps_error *error);

/* Frees it and clears the caller's pointer. A null pointer is fine. */
void feed_close(struct feed **feed_p);

const char *feed_name(const struct feed *feed);
unsigned feed_traits(const struct feed *feed); /* enum feed_trait */

/* A descriptor that is readable while there is something to drain. The feed owns it. */
int feed_fd(const struct feed *feed);

/* Hands over what there is, at most about `max` events. Returns how many, so that a caller can
 * share its time; fewer than `max` means that it was emptied. A negative errno: the feed is dead,
 * close it. Loss is no error: see feed_lost. */
int feed_drain(struct feed *feed, unsigned max, feed_sink *sink, void *context);

/* How many events were lost so far, as exactly as the feed can know; it never falls. In the
 * callback: lost before this event. Behind a drain that emptied the feed: lost at all. Cheap. */
uint64_t feed_lost(const struct feed *feed);

/* Has the feed find out whether it still is subscribed: a socket that was closed or unsubscribed
 * under it says nothing, for ever. Where it is not, the next drain that empties it fails with
 * -ENOLINK. Takes some microseconds. Drain soon: some feeds make themselves readable by it, and
 * wake other readers of the same kind, so do not let it follow from being woken by the feed. */
void feed_check(struct feed *feed);

/* True: the caller will look again by itself within a millisecond, so a feed that can wakes nobody
 * meanwhile. Say it only behind a drain that took something and emptied the feed, and no longer
 * than until the descriptor is waited for again: that it was readable is then still known to epoll,
 * which looks whether it is. */
void feed_doze(struct feed *feed, bool dozes);

/* Asks to be told of one process, for feeds with FEED_WATCHES; nothing for the others.
 * `start_ns` is its creation, so that a pid used again is not taken for it. -ESRCH: it is gone, no
 * event will come. -ENOSPC: no room for it, whenever it is asked for. Another error, as -EMFILE: it
 * could not be looked at or not be kept, and may be asked for again. Until it is watched, scans
 * have to find its end. */
int feed_watch(struct feed *feed, uint32_t pid, uint64_t start_ns);
void feed_unwatch(struct feed *feed, uint32_t pid);

/* Holds what this feed says of itself, for counters: bytes or messages taken so far. */
uint64_t feed_received(const struct feed *feed);

#endif
