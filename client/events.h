/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCTRACK_EVENTS_H
#define PROCTRACK_EVENTS_H

/*
 * Events as they come, of proctrack and of whoever else publishes through the broker, with the
 * subscriptions of wps: to an event by its name, in all scopes, in exact ones, or in star scopes;
 * and each event is delivered once, however many of its scopes match.
 *
 *     const char *scopes[] = {"block:*"};
 *     const struct proctrack_event *event;
 *     proctrack_subscriber_open(&events, connection, &error);
 *     proctrack_subscriber_subscribe(events, "agent:process-exited", scopes, 1, &error);
 *     while (proctrack_subscriber_receive(events, -1, &event, &error) == 1)
 *         printf("%s: %llu\n", event->block_id, (unsigned long long)proctrack_value_uint(
 *                                                   proctrack_value_get(event->data, "pid"), 0));
 *     proctrack_subscriber_close(&events);
 *
 * Who wants to know what is there, rather than what happened, has a mirror: it does not miss
 * anything. Here the broker drops what a subscriber is too slow for, and what happens while no
 * broker is connected to is not told: events of a block tell that by their `epoch` and `seq`.
 *
 * Threads: one thread at a time for one subscriber and its events. It may be another one than that
 * of its connection, but for proctrack_subscriber_sync. After fork(2) the child may not touch it.
 *
 * Sources: PROTOCOL.md, section 3; waveterm, pkg/wps/wps.go (Subscribe).
 */

#include "value.h"

#ifdef __cplusplus
extern "C" {
#endif

struct proctrack_subscriber;

struct proctrack_event {
    const char *event; /* its name */
    const char *scope; /* the one of its scopes with which it was delivered; "": it has none */
    const char *const *scopes; /* all of them */
    size_t n_scopes;
    const char *sender;                 /* "": not told */
    const struct proctrack_value *data; /* null: none */
    /* Out of the data of events of a block, which count in `seq` within an `epoch`: */
    const char *block_id; /* null: it is none of these */
    const char *epoch;
    uint64_t seq;
};

/* Makes one, with no subscription yet. The connection must outlive it. There need not be a broker:
 * it connects when there is, and again, with its subscriptions, to one that comes back. -EMFILE,
 * -ENOMEM. */
PROCTRACK_API int proctrack_subscriber_open(struct proctrack_subscriber **ret,
                                            struct proctrack *connection,
                                            struct proctrack_error *error);

/* Closes it and clears the caller's pointer; null is fine. */
PROCTRACK_API void proctrack_subscriber_close(struct proctrack_subscriber **self_p);

/* Subscribes to an event in these scopes: exact ones, or star scopes, which have a part that is `*`
 * (any one part) or, at the end, `**` (all the rest). An event without scopes is in none of them.
 * There is one subscription to an event: a second one takes its place, and what both want arrives
 * without a gap. The strings are copied; each event takes time in proportion to their number. It is
 * in force a moment later: see proctrack_subscriber_sync. -EINVAL: no name, or a scope that is
 * none; -ENOMEM: what was subscribed to before still is. */
PROCTRACK_API int proctrack_subscriber_subscribe(struct proctrack_subscriber *self,
                                                 const char *event, const char *const *scopes,
                                                 size_t n_scopes, struct proctrack_error *error);

/* The same in all scopes, and without any. */
PROCTRACK_API int proctrack_subscriber_subscribe_all(struct proctrack_subscriber *self,
                                                     const char *event,
                                                     struct proctrack_error *error);

/* Ends the subscription to an event: none is delivered from here on. -ENOENT: there is none. */
PROCTRACK_API int proctrack_subscriber_unsubscribe(struct proctrack_subscriber *self,
                                                   const char *event);

/* Waits until the broker has taken over all subscriptions that were made, at most `timeout_ms`
 * milliseconds: what happens from now on arrives. (It has the broker send an event that comes back
 * here.) Events that come meanwhile are kept for receive. By the thread that asks over the
 * connection. -ETIMEDOUT; else as proctrack_ask. */
PROCTRACK_API int proctrack_subscriber_sync(struct proctrack_subscriber *self, int timeout_ms,
                                            struct proctrack_error *error);

/* Takes the next event, waiting at most `timeout_ms` milliseconds (-1: for ever; 0: not at all). 1:
 * `*ret` is one, which lives until the next receive; 0: none came in time. -EINTR: a signal came;
 * -ETERM: the ZeroMQ context ends; -ENOMEM. */
PROCTRACK_API int proctrack_subscriber_receive(struct proctrack_subscriber *self, int timeout_ms,
                                               const struct proctrack_event **ret,
                                               struct proctrack_error *error);

/* A descriptor for poll(2), epoll(7) and their like: readable while a receive may find something.
 * It is level-triggered, unlike ZeroMQ's own; with EPOLLET receive until there is none. It is the
 * subscriber's: neither read nor close it. It stays the same. */
PROCTRACK_API int proctrack_subscriber_fd(const struct proctrack_subscriber *self);

/* How many messages were passed over that are no events. */
PROCTRACK_API uint64_t proctrack_subscriber_malformed(const struct proctrack_subscriber *self);

#ifdef __cplusplus
}
#endif

#endif
