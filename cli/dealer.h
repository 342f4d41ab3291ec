/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEALER_H
#define CLI_DEALER_H

/* Requests and replies on a DEALER socket whose owner does the waiting, unlike that of
 * control_client.h: many requests may be on their way. */

#include "base/error.h"
#include "schemas/control_request.h"
#include "schemas/request.h"

/* Sends a request with `number` as its reqid; never waits. -EAGAIN: it has no room, or nobody is
 * there; -ENOMEM and the errors of zmq_send(3). */
int dealer_send(void *socket, const struct control_request *request, uint64_t number);

/* Takes one message, if one is there, and hands the reply in it to `take`. -EAGAIN: none is there;
 * -EPROTO: it is no reply, with a sentence. */
int dealer_receive(void *socket, void (*take)(void *context, const struct reply *reply),
                   void *context, struct wps_error *error);

#endif
