/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RPC_H
#define BROKER_RPC_H

/*
 * The rpc socket: a ROUTER that answers each request with exactly one reply, whatever is in it.
 * This module knows frames, envelopes and who may ask; what the commands do is rpc_commands.h. The
 * broker's thread only.
 *
 * A reply to a client that is gone is dropped, and so is one to a client that reads none of many.
 *
 * Source: PROTOCOL.md, section 4.
 */

#include <czmq.h>

#include "access/access.h"
#include "broker_shim/rpc_commands.h"

struct rpc;

struct rpc_options {
    struct access *access; /* guards it; must outlive it */
    const char *endpoint;
    mode_t mode; /* of the socket file */
    int queue;   /* requests, and replies, that may wait for each client */
};

/* `commands` is not copied and must outlive it. */
int rpc_new(struct rpc **ret, const struct rpc_options *options, struct rpc_commands *commands,
            struct wps_error *error);

/* Closes the socket and removes its file. */
void rpc_destroy(struct rpc **self_p);

const char *rpc_endpoint(const struct rpc *self);

/* Binds it once more where its file was deleted: see endpoint_renew. */
int rpc_renew(struct rpc *self, mode_t mode, struct wps_error *error);
zsock_t *rpc_socket(struct rpc *self);

/* To be called when the socket is readable: takes some requests and answers them. */
void rpc_receive(struct rpc *self);

#endif
