/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_MIRROR_LINK_H
#define CLIENT_MIRROR_LINK_H

/*
 * The sockets of a mirror and the one descriptor that stands for all of them. A set of sockets is
 * for one connection to one broker: when that goes, all are made anew, so nothing of the old one
 * can be taken for something of the new.
 *
 * ZeroMQ's descriptors tell changes, not states: each socket is read until it is empty before they
 * are waited for again. The timer makes that level-triggered for whoever waits for ours: when a
 * dispatch ends early, the timer is due at once.
 */

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "base/text.h"
#include "client/connection.h"

enum mirror_socket {
    MIRROR_EVENTS,  /* SUB */
    MIRROR_MONITOR, /* PAIR: what becomes of the connection of events */
    MIRROR_CONTROL, /* DEALER */
    MIRROR_RPC,     /* DEALER */
    MIRROR_SOCKETS
};

enum { MIRROR_NEVER_MS = -1 };

struct mirror_link {
    const struct proctrack *connection;
    void *sockets[MIRROR_SOCKETS]; /* null between connections */
    int epoll, timer;
    uint64_t n; /* connections so far */
};

/* A zeroed one may be closed. -EMFILE and so on. */
int mirror_link_open(struct mirror_link *link, const struct proctrack *connection);
void mirror_link_close(struct mirror_link *link);

/* Makes the sockets and subscribes to what begins so. Where it fails there are none. */
int mirror_link_connect(struct mirror_link *link, struct text prefix);
void mirror_link_disconnect(struct mirror_link *link);
bool mirror_link_is_connected(const struct mirror_link *link);

/* Subscribes to one topic more; ends that. */
int mirror_link_subscribe(struct mirror_link *link, const char *topic);
void mirror_link_unsubscribe(struct mirror_link *link, const char *topic);

/* The descriptor is readable at `at_ms` (CLOCK_MONOTONIC) at the latest; at once where that is
 * past. MIRROR_NEVER_MS: only when a socket wants something. */
void mirror_link_wake_at(struct mirror_link *link, int64_t at_ms);

/* What became of the connection: a ZMQ_EVENT_*; 0: nothing. -ETERM. */
int mirror_link_what_happened(struct mirror_link *link);

/* Takes an event: its two frames. 1; 0: there is none; -EBADMSG: junk was taken; -ETERM. */
int mirror_link_event(struct mirror_link *link, zmq_msg_t *topic, zmq_msg_t *body);

/* Sends a request; takes a reply. As above; -EAGAIN: it cannot be sent now. */
int mirror_link_send(struct mirror_link *link, enum mirror_socket to, struct text body);
int mirror_link_reply(struct mirror_link *link, enum mirror_socket from, zmq_msg_t *body);

#endif
