/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_PEER_H
#define BROKER_PEER_H

/* Who sent a message: on ipc ZeroMQ keeps what the kernel says of the process that connected
 * (SO_PEERCRED) as the property "Peer-Address" of each frame, in the form ":uid:gid:pid". */

#include <stdbool.h>
#include <zmq.h>

/* True where the sender may ask the broker for something: on ipc the broker's own user and root. On
 * tcp there is no user to look at; who gives the broker a tcp endpoint lets in all who reach it.
 * False where a message that came over ipc has no such property, or one not of that form. */
bool peer_is_permitted(const zmq_msg_t *frame, bool ipc);

/* The descriptor of the connection that the message came by, or -1. */
int peer_descriptor(zmq_msg_t *frame);

#endif
