/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RPC_COMMANDS_H
#define BROKER_RPC_COMMANDS_H

/* What the broker can be asked: eventpublish, eventreadhistory, brokerinfo. The broker's thread
 * only. Source: PROTOCOL.md, section 4.2. */

#include "broker_shim/event_queue.h"
#include "broker_shim/plugin_host.h"
#include "broker_shim/routing.h"
#include "schemas/request.h"

struct rpc_commands {
    struct routing *routing;
    struct event_queue *queue;
    const struct plugin_host *plugins;
    const struct access *access;
    size_t reply_max; /* bytes */
    /* name -> endpoint, for brokerinfo */
    size_t n_endpoints;
    struct {
        const char *name;
        const char *endpoint;
    } endpoints[3];
};

/* Carries out a request. `bytes` are those that it was decoded from. 0: `reply` holds the whole
 * reply. Else a negative errno, the errorcode in `*ret_code`, and the sentence; what `reply` holds
 * is void. */
int rpc_commands_run(struct rpc_commands *self, const struct request *request, struct text bytes,
                     struct wire_out *reply, enum errorcode *ret_code, struct wps_error *error);

#endif
