/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_MODULE_H
#define PLUGIN_MODULE_H

/*
 * The module's state, and who does what with it. All of it belongs to the loop's thread from start
 * to stop; the host's thread touches it only before and after.
 *
 *   loop       waits, drains the feed, keeps the timers
 *   lives      takes what feeds, scans and timers tell through the life table, into the registry
 *   publish    tells readers of it
 *   scan       compares the registry with the kernel
 *   blocks     makes and ends blocks
 *   keeper     the process that ends blocks when ours dies
 *   holder     the scope of the systemd manager that blocks are in, where we may make no cgroups
 *   escapees   remembers who left a block alive
 *   outside    looks for what belongs to a block and is not in it, and ends it
 *   expiry     takes away adopted blocks that nobody wants
 *   control    the socket: envelopes, rights, limits
 *   commands   what each request does
 *   limits     what is refused for being too much
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/claim.h"
#include "base/gather.h"
#include "base/give_way.h"
#include "broker_shim/wps_plugin.h"
#include "plugin/counters.h"
#include "plugin/options.h"
#include "plugin/registry.h"
#include "schemas/wire.h"
#include "trackers/feed.h"
#include "trackers/tracker.h"
#include "trackers/workers.h"

enum {
    ATTEMPTS_MAX = 12,
    ENDS_KEPT = 4096, /* a power of two */
};

/* One thing that was tried at start, for `describe`. */
struct attempt_made {
    char what[32];
    bool ok;
    char why[512];
};

struct assignment;    /* blocks.h: an assign_process at work */
struct detail_reader; /* details.c */
struct overview;      /* overview.c */

struct module {
    /* the host's */
    struct wps_host host;
    struct options options;
    enum wps_log_level log_level;

    /* the loop's thread: how its beginning went, and its end */
    pthread_t thread;
    pthread_mutex_t mutex; /* guards the phase, and hands over what was written before it changed */
    pthread_cond_t changed;
    enum { LOOP_OFF, LOOP_STARTING, LOOP_RUNNING, LOOP_ENDED } phase;
    int start_result, stop_result;
    struct wps_error start_error;
    /* CLOCK_MONOTONIC; set by the host's thread before it wakes the loop: when it gives up on
     * blocks, and on threads. */
    uint64_t stop_by_ns, join_by_ns;
    bool wound_up; /* nothing goes to the workers any more but what ends by itself */

    /* the loop's */
    sd_event *event;
    sd_event_source *feed_source, *settle_timer, *read_timer, *mark_timer, *retry_timer,
        *relief_timer, *scan_timer, *missed_timer, *expiry_timer, *escape_timer;
    int stop_event;       /* eventfd: the host wants us to stop */
    bool stopping;        /* it said so */
    struct gather gather; /* of the feed's events */
    struct claim claim;
    struct give_way way;
    uint64_t first_ns; /* when the first event of this drain was; 0: there was none */

    struct workers *workers;
    struct tracker *tracker;
    struct feed *feed;
    struct attempt_made attempts[ATTEMPTS_MAX];
    unsigned n_attempts;
    const char *confidence; /* of a block with nothing special */
    char confidence_reason[512];
    char doubt[1024]; /* the reason of the block that was asked for last */

    struct registry registry;
    struct proc_clock clock;
    TAILQ_HEAD(, process) settling; /* by the end of their settle time */
    TAILQ_HEAD(, process) reading;  /* by the deadline of their question */
    struct {
        uint32_t pid;
        uint64_t start_ticks, ended_ns;
    } ends[ENDS_KEPT]; /* the newest ends, by pid: /proc shows them as alive for a moment longer */
    TAILQ_HEAD(, process) freed; /* whose parent was told */
    uint64_t last_ask;
    TAILQ_HEAD(, process) unasked; /* questions.h: who waits for its turn to be asked about */
    unsigned n_asked;              /* questions that are with the workers */
    struct stranger *strangers;    /* strangers.h */
    TAILQ_HEAD(, stranger) unasked_strangers;
    unsigned n_strangers_asked;
    uint64_t strangers_due_ns; /* CLOCK_MONOTONIC: none is asked about before; 0: at once */
    bool asks_strangers;       /* in strangers_go_on */
    struct relative *relatives;
    struct outsider *outsiders; /* processes in no block that are parents of members: lives.c */
    uint32_t scan_mark;
    uint64_t scan; /* the same as in a block, where one scan serves all blocks */
    uint64_t scan_since_ns;
    const struct tracker_op *scan_op;
    bool scanning, scan_again;
    uint64_t loss_ns; /* as that of a block, where one scan is for all of them */
    TAILQ_HEAD(, block) scans_waiting, scans_running; /* scan.h */
    TAILQ_HEAD(, process) missed;                     /* in the order of missed_ns */
    unsigned n_scans;                                 /* of blocks, at the workers */
    struct known *snapshot;    /* snapshot.h: the newest; null: none was needed yet */
    uint64_t snapshot_version; /* of the registry, when it was made */
    uint64_t lost_seen;        /* of feed_lost */
    /* For feeds without places, CLOCK_MONOTONIC: blocks in which something happened are not scanned
     * earlier; all of them, because something happened on the machine, not earlier. */
    uint64_t next_scan_ns, next_wide_scan_ns;
    bool any_active;        /* some block is active */
    uint64_t next_check_ns; /* the same: when the feed is asked again whether it is subscribed */
    uint64_t last_epoch;
    uint32_t own_pid; /* the broker's */
    bool left_out;    /* max-processes was reached: there may be members that are not listed */
    char partial_reason[256]; /* what is said of a block with such members */
    int fd_end;               /* base/fd_budget.h */
    LIST_HEAD(, assignment) assignments;
    struct escapee *escapees;      /* by pid: escapees.h */
    unsigned escapees_watched;     /* of them have a descriptor */
    struct outside_desk *outside;  /* outside.h; null: none was needed yet */
    LIST_HEAD(, remover) removers; /* of all blocks, and of those that are gone: removers.h */
    LIST_HEAD(, wait) waits;       /* waits.h */
    sd_event_source *waits_look;   /* null: none was needed yet */

    struct marks marks;         /* marks.h */
    TAILQ_HEAD(, block) unsent; /* whose events could not be handed over */
    struct wire_out out;        /* for events, one at a time */

    struct detail_reader *detail_reader; /* null: none was needed yet */
    struct overview *overview;           /* the same */
    struct keeper *keeper;               /* keeper.h; null: the tracker has no use for one */
    struct holder *holder;               /* holder.h; null: there is no scope */
    TAILQ_HEAD(, block) unclaimed;       /* adopted, by the time when they expire: expiry.c */
    struct control *control;
    struct counters counters;
};

/* Logs a line through the host. */
void module_log(const struct module *module, enum wps_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
