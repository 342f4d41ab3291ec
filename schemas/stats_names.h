/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_STATS_NAMES_H
#define SCHEMAS_STATS_NAMES_H

/* What the replies to `stats` (of the module) and `brokerinfo` (of the broker) count: each name
 * with a sentence on what it is. Those who count make their structs of these lists, and those who
 * show the numbers find the sentences here, so that no counter is without one. Counters only grow,
 * from the start of the process on; gauges are as it is now. */

#include "base/text.h"

/* clang-format off */
#define MODULE_COUNTERS(X)                                                                         \
    X(feed_events,       "Events that the feed handed over")                                       \
    X(feed_lost,         "Events that the kernel dropped before the feed could read them")         \
    X(feed_restarts,     "Times that the feed died and was opened again")                          \
    X(resyncs,           "Blocks that were scanned because events were lost")                      \
    X(scans,             "Scans of a block, for whatever reason")                                  \
    X(scans_late,        "Scans that a process which cannot be read held up, begun anew")          \
    X(keeper_restarts,   "Times that the keeper had ended by itself and was started again")        \
    X(blocks_expired,    "Adopted blocks that were removed because no client wanted them")         \
    X(scan_repairs,      "Births, ends and changes of processes that only a scan saw")             \
    X(processes_added,   "Processes that were told as members of a block")                         \
    X(processes_exited,  "Members that were told to have ended")                                   \
    X(processes_escaped, "Members that were told to have left their block while alive")            \
    X(roots_unmarked,    "Roots that the next broker will not know to be roots")                   \
    X(escapees_left_out, "Escaped processes that are not remembered, for there were too many")     \
    X(outside_looks,     "Looks for processes that belong to a block and are outside of it")       \
    X(outside_late,      "Looks outside that a process which cannot be read held up, begun anew")  \
    X(execs,             "Members that were told to have replaced their program")                  \
    X(published,         "Events of blocks that the broker took")                                  \
    X(unpublished,       "Events of blocks that the broker could not take; a resync follows")      \
    X(requests,          "Requests received on the control socket")                                \
    X(requests_refused,  "Requests on the control socket that were answered with an error")        \
    X(peers_refused,     "Requests of users, and connections of keys, that may not ask")           \
    X(replies_dropped,   "Replies on the control socket whose client was gone or did not read")    \
    X(limits_hit,        "Times that any limit held")                                              \
    X(limit_blocks,      "Blocks that were refused because of max-blocks")                         \
    X(limit_scopes,      "Sub-scopes that were refused because of max-scopes")                     \
    X(limit_processes,   "News of processes, and assignments, that max-processes left no room for")\
    X(limit_requests,    "Requests that were refused because of max-requests")                     \
    X(limit_descriptors, "Blocks, waits and watches on members that had no descriptor left")       \
    X(facts_late,        "Reads of a process in /proc that did not come back in time")             \
    X(details_late,      "Members of which a list could not tell all in time")                     \
    X(out_of_memory,     "Times that memory could not be had, and something was left out")

#define MODULE_GAUGES(X)                                                                           \
    X(blocks,            "Blocks that there are")                                                  \
    X(processes,         "Members of all blocks together")                                         \
    X(escaped,           "Processes that left their block, still live and are remembered")         \
    X(requests_waiting,  "Requests on the control socket that wait for their answer")              \
    X(workers,           "Threads that wait for the kernel on behalf of the module")               \
    X(jobs_pending,      "Jobs that those threads have not finished")                              \
    X(details_held,      "Processes that cannot be read and hold up a worker")                          \
    X(keeper_pid,        "Process id of the keeper, which ends blocks if the broker dies; 0: none")\
    X(keeper_blocks,     "Blocks that the keeper ends if the broker dies")

#define BROKER_COUNTERS(X)                                                                         \
    X(events_accepted,      "Events taken from plugins")                                           \
    X(events_refused,       "Events of plugins that found the queue full")                         \
    X(events_invalid,       "Events of plugins that were no events")                               \
    X(events_routed,        "Events sent out, from plugins and from outside")                      \
    X(messages_sent,        "Messages sent: one for each scope of each event")                     \
    X(subscriber_overflows, "Times that the queue of a subscriber was found full")                 \
    X(publish_received,     "Messages received on the publish socket")                             \
    X(publish_dropped,      "Messages on the publish socket that were no events or not permitted") \
    X(requests,             "Requests received on the rpc socket")                                 \
    X(requests_refused,     "Requests on the rpc socket that were answered with an error")         \
    X(peers_refused,        "Messages of users, and connections, of those who may not")            \
    X(connections_refused,  "Connections that were refused for want of descriptors")               \
    X(history_evicted,      "Persisted events that were forgotten early, for want of room")        \
    X(log_lines_lost,       "Lines of the log that were dropped because stderr took no more")

#define BROKER_GAUGES(X)                                                                           \
    X(queue_events,      "Events of plugins that wait for the broker")                             \
    X(queue_bytes,       "Size of the events of plugins that wait for the broker")                 \
    X(unsent_bytes,      "Size of the messages that peers have not read yet")                      \
    X(history_events,    "Persisted events that are kept")                                         \
    X(history_bytes,     "Memory that persisted events take")
/* clang-format on */

enum stats_of { STATS_OF_MODULE, STATS_OF_BROKER };

/* The sentence on a counter or a gauge, static; null: it is of none that this build knows. */
const char *stats_help(enum stats_of of, bool counter, struct text name);

#endif
