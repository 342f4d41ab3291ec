/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_SUBSCRIBER_H
#define CLIENT_SUBSCRIBER_H

/*
 * A subscriber to a broker's events, as in wps: to an event by its name, in all scopes, in exact
 * scopes, or in star scopes; and each event is delivered once, however many of its scopes match.
 *
 *     struct subscriber *events;
 *     subscriber_open(&events, context, "ipc:///run/wps/events", &error);
 *     subscriber_subscribe(events, "agent:process-exited", (const char *[]){"block:*"}, 1, &error);
 *     while (subscriber_receive(events, -1, &event) == 1)
 *         ...
 *     subscriber_close(&events);
 *
 * ZeroMQ alone does less: it knows no event names, matches scopes by their beginning ("block:1"
 * lets "block:10" through), and brings an event with three scopes three times. The socket asks the
 * broker for as little as prefixes can say; the rest is done here.
 *
 * A subscription takes effect at the broker a moment after it returned; PROTOCOL.md, section 5,
 * says how to know when. The broker drops what a subscriber is too slow for: events of a block tell
 * that by their `seq`.
 *
 * One thread at a time. Sources: PROTOCOL.md, section 3; waveterm, pkg/wps/wps.go (Subscribe).
 */

#include <stddef.h>
#include <stdint.h>

#include "access/certificate.h"
#include "base/error.h"
#include "schemas/event.h"

struct subscriber;

/* Makes one, with no subscription yet. `context` is a ZeroMQ context, which stays the caller's and
 * must outlive it. There need not be a broker at `endpoint` yet: it connects when there is, and
 * again, with its subscriptions, to one that comes back. -EINVAL: no endpoint; -ENOMEM; -EMFILE. */
int subscriber_open(struct subscriber **ret, void *context, const char *endpoint,
                    struct wps_error *error);

/* The same with keys, for a broker on tcp with CURVE. */
int subscriber_open_with_keys(struct subscriber **ret, void *context, const char *endpoint,
                              const struct client_keys *keys, struct wps_error *error);

/* Closes the socket and frees all. Clears the caller's pointer; null is fine. */
void subscriber_close(struct subscriber **self_p);

/* Subscribes to an event in these scopes: exact ones, or star scopes, which have a part that is `*`
 * (any one part) or, at the end, `**` (all the rest). An event without scopes is in none of them.
 * There is one subscription to an event: a second one takes its place, and what both want arrives
 * without a gap. The strings are copied; each event takes time in proportion to their number.
 * -EINVAL: no name, or a scope that is none; -ENOMEM: what was subscribed to before still is. */
int subscriber_subscribe(struct subscriber *self, const char *event, const char *const *scopes,
                         size_t n_scopes, struct wps_error *error);

/* The same in all scopes, and without any. */
int subscriber_subscribe_all(struct subscriber *self, const char *event, struct wps_error *error);

/* Ends the subscription to an event: none is delivered from here on. -ENOENT: there is none. */
int subscriber_unsubscribe(struct subscriber *self, const char *event);

/* Takes the next event, waiting at most `timeout_ms` (-1: for ever; 0: not at all). 1: `*ret` is
 * one, which lives until the next call. -EAGAIN: none came in time; -EINTR: a signal did; -ETERM:
 * the context ends; -ENOMEM. */
int subscriber_receive(struct subscriber *self, int timeout_ms, const struct event **ret);

/* The bytes of the event that was received last; they live until the next call. */
void subscriber_raw(const struct subscriber *self, struct text *ret_topic, struct text *ret_body);

/* True where a receive may find something; false where it would have to wait. */
bool subscriber_is_readable(const struct subscriber *self);

/* A descriptor for poll(2) and its like, POLLIN alone; it stays the subscriber's. It tells changes,
 * not states: after each call of a function above, and whenever it is readable, receive with a
 * timeout of 0 until that is -EAGAIN, and only then wait for it. */
int subscriber_fd(const struct subscriber *self);

/* How many messages were passed over that are no events. */
uint64_t subscriber_malformed(const struct subscriber *self);

#endif
