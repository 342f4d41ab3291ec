/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_HISTORY_H
#define BROKER_HISTORY_H

/*
 * What late readers may ask for: the newest events of each (event, scope), and of each event under
 * the scope "" whatever its scopes are, as many as the newest one asked to keep.
 *
 * Unlike wps it is bounded as a whole, in bytes and in lists: beyond that the oldest event of all
 * is forgotten first. One event counts once, however many lists hold it.
 *
 * The broker's thread only.
 *
 * Source: waveterm, pkg/wps/wps.go (persistEvent, ReadEventHistory).
 */

#include <stddef.h>
#include <stdint.h>

#include "broker_shim/packet.h"

struct history;

/* Null: no memory. */
struct history *history_new(size_t bytes_max, size_t lists_max);
void history_destroy(struct history **self_p);

/* Keeps the event where its `persist` is not 0. Returns how many events were forgotten early to
 * make room, or -ENOMEM: then it is in some of its lists only, or in none. */
int history_add(struct history *self, struct packet *packet);

/* Calls `visit` for the newest `max` events of `event` in `scope` ("": in any), oldest first, as
 * far as they are kept. Returns their number. `visit` may not add. */
size_t history_read(struct history *self, struct text event, struct text scope, size_t max,
                    void (*visit)(void *context, const struct packet *packet), void *context);

/* How much is kept. */
size_t history_events(const struct history *self);
size_t history_bytes(const struct history *self);

#endif
