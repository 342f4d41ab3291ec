/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_ROUTING_H
#define BROKER_ROUTING_H

/* Where events of all three origins meet (plugins, the publish socket, `eventpublish`): into the
 * history, where they ask for it, and out to the subscribers. The broker's thread, except where it
 * says otherwise. */

#include <pthread.h>

#include "broker_shim/counters.h"
#include "broker_shim/events.h"
#include "broker_shim/history.h"

struct routing {
    pthread_mutex_t lock; /* guards the two that follow: plugins' threads send too */
    struct events *events;
    struct history *history;
    struct counters *counters;
    /* Bytes in messages (events, great replies) that their receivers have not taken yet, and from
     * where on nothing more is taken from outside. What plugins publish still goes out: the queues'
     * limits bound it. */
    _Atomic size_t unsent;
    size_t unsent_max;
    struct wire_out scratch;
};

/* 0, or -ENOBUFS with a sentence: too much is unsent. */
int routing_check_unsent(const struct routing *self, struct wps_error *error);

/* Keeps and sends one event. Returns the number of messages, or -ENOMEM. The packet stays the
 * caller's. */
int routing_send(struct routing *self, struct packet *packet);

/* The same in any thread, and without waiting. -EBUSY: another one is at it. */
int routing_try_send(struct routing *self, struct packet *packet);

/* `routing_send` for an event that came from outside. -EPERM: its name is a plugin's ("agent:...").
 * -ENOBUFS: too much is unsent. -ENOMEM. The sentence's path begins with `where`: "data.event:
 * ...". */
int routing_send_from_outside(struct routing *self, const struct event *event, const char *where,
                              struct wps_error *error);

/* Binds the events socket once more where its file was deleted: see endpoint_renew. */
int routing_renew(struct routing *self, mode_t mode, struct wps_error *error);

/* To be called when the events socket has something for us (events_fd). */
void routing_receive(struct routing *self);

#endif
