/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_PUBLISH_H
#define BROKER_PUBLISH_H

/*
 * The publish socket: an XSUB that other services' PUB sockets connect to. Of what comes, only two
 * frames that are a topic and an event with that topic among its scopes go on; the rest is dropped
 * and counted, for a publisher listens to no answer. The event then goes out as any other: once for
 * each of its scopes, whichever of them was the topic. The broker's thread only.
 *
 * Source: PROTOCOL.md, section 3.
 */

#include <czmq.h>

#include "access/access.h"
#include "broker_shim/routing.h"

struct publish;

struct publish_options {
    struct access *access; /* guards it; must outlive it */
    const char *endpoint;
    mode_t mode;      /* of the socket file */
    int queue;        /* messages that may wait for the broker, for each publisher */
    size_t event_max; /* bytes; a greater message closes its connection */
};

int publish_new(struct publish **ret, const struct publish_options *options,
                struct routing *routing, struct wps_error *error);

/* Closes the socket and removes its file. */
void publish_destroy(struct publish **self_p);

const char *publish_endpoint(const struct publish *self);

/* Binds it once more where its file was deleted: see endpoint_renew. */
int publish_renew(struct publish *self, mode_t mode, struct wps_error *error);
zsock_t *publish_socket(struct publish *self);

/* To be called when the socket is readable: takes some messages and routes them. */
void publish_receive(struct publish *self);

#endif
