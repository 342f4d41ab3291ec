/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H

/*
 * Who may listen, ask and publish at the sockets of one program.
 *
 * On ipc the kernel says who connects: root, our own user, and users that are allowed by name. Who
 * asks or publishes is looked at with each message, so that a request is answered
 * (`not_permitted`); who listens is looked at when it connects. On tcp a socket is refused unless
 * it has CURVE: a secret key of ours, and for each role a keyring of those who may. Plain tcp needs
 * an option of its own and a loopback address; there everybody on the machine may.
 *
 * One thread, that of the sockets.
 */

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "access/users.h"

enum access_role { ACCESS_LISTEN, ACCESS_ASK, ACCESS_PUBLISH, ACCESS_ROLES };

enum {
    ACCESS_SOCKETS_MAX = 1 + ACCESS_ROLES,
    ACCESS_NOBODY = -1, /* as a uint32_t: the user of a connection that has none */
};

struct access_options {
    const char *secret;                /* a secret certificate; null: no CURVE */
    const char *clients[ACCESS_ROLES]; /* keyrings; null: nobody */
    bool plain_tcp;                    /* without CURVE, on loopback */
    bool others_listen;                /* on ipc every user may listen */
    const char *users;                 /* who may all on ipc, see users_read; null: nobody else */
    /* What these options are called by, for sentences. */
    const char *secret_option, *client_options[ACCESS_ROLES], *plain_option;
};

struct access;

/* Reads the keys. `context` is the ZeroMQ context of the sockets. -EINVAL, -ENOENT, -EPERM and so
 * on, with a sentence that names the file. */
int access_new(struct access **ret, void *context, const struct access_options *options,
               struct wps_error *error);

/* To be called when the sockets are closed. Null is fine. */
void access_free(struct access **self_p);

/* True where the endpoint is ipc. */
bool access_is_ipc(const char *endpoint);

/* Prepares a socket before it is bound. -EPERM: this endpoint may not be bound; the sentence says
 * what is missing. */
int access_guard(struct access *self, void *socket, const char *endpoint, enum access_role role,
                 struct wps_error *error);

/* True where the sender of this frame may ask or publish. `*ret_uid` (may be null) is its user, or
 * ACCESS_NOBODY. Counts those who may not. */
bool access_permits(struct access *self, const zmq_msg_t *frame, bool ipc, uint32_t *ret_uid);

/* The sockets that access_work is to be called for when they are readable. */
size_t access_sockets(const struct access *self, void *ret[static ACCESS_SOCKETS_MAX]);

/* Answers those who want to connect, and counts who could not. Never blocks. True: there may be
 * more to do at once. */
bool access_work(struct access *self);

/* True where some socket is for other users too: its file is then to be. */
bool access_has_users(const struct access *self);

/* How many connections and messages were refused. */
uint64_t access_refused(const struct access *self);

#endif
