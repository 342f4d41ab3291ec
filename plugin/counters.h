/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_COUNTERS_H
#define PLUGIN_COUNTERS_H

/* What `stats` answers: counters that only grow since the start. One list names them all. */

#include <stdint.h>

#define COUNTERS(X)                                                                                \
    X(feed_events)     /* events that the feed handed over */                                      \
    X(feed_lost)       /* events that it lost */                                                   \
    X(feed_restarts)   /* times that it died and was opened again */                               \
    X(resyncs)         /* blocks that were scanned because of a loss */                            \
    X(scans)           /* scans of a block, for whatever reason */                                 \
    X(scans_late)      /* of them held up by a process that cannot be read, and begun anew */      \
    X(keeper_restarts) /* times that the keeper had ended by itself */                             \
    X(blocks_expired)  /* adopted ones that nobody wanted */                                       \
    X(scan_repairs)    /* births, deaths and changes that only a scan saw */                       \
    X(processes_added)                                                                             \
    X(processes_exited)                                                                            \
    X(processes_escaped)                                                                           \
    X(roots_unmarked)    /* roots that the next broker will not know as such */                    \
    X(escapees_left_out) /* of them not remembered, because there were too many */                 \
    X(outside_looks)     /* looks for what belongs to a block and is outside */                    \
    X(outside_late)      /* of them held up by a process that cannot be read, begun anew */        \
    X(execs)                                                                                       \
    X(published)         /* events handed to the host */                                           \
    X(unpublished)       /* events that the host could not take */                                 \
    X(requests)          /* received on the control socket */                                      \
    X(requests_refused)  /* of them answered with an error */                                      \
    X(replies_dropped)   /* of them whose client was gone */                                       \
    X(limits_hit)        /* times that any limit held; the next ones: by limit (limits.h) */       \
    X(limit_blocks)      /* blocks that were refused */                                            \
    X(limit_scopes)      /* sub-scopes that were refused */                                        \
    X(limit_processes)   /* news of members that there was no room for; and who was refused */     \
    X(limit_requests)    /* requests that were refused */                                          \
    X(limit_descriptors) /* waits and blocks refused, members that only scans see the end of */    \
    X(facts_late)        /* reads of /proc that did not come back in time */                       \
    X(details_late)      /* members of which a list could not tell all in time */                  \
    X(out_of_memory)

struct counters {
#define COUNTER_MEMBER(name) uint64_t name;
    COUNTERS(COUNTER_MEMBER)
#undef COUNTER_MEMBER
};

#endif
