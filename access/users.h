/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCESS_USERS_H
#define ACCESS_USERS_H

/*
 * Who is at the other end of an ipc connection, and which users may be. ZeroMQ keeps what the
 * kernel says of the process that connected (SO_PEERCRED) at the end of its address, as
 * ":uid:gid:pid".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "base/error.h"

enum { USERS_MAX = 64 };

struct users { /* besides root and our own user, who always may */
    uint32_t ids[USERS_MAX];
    size_t n;
};

/* Reads names and numbers with spaces between them (getpwnam_r (3)). -EINVAL: there is no such
 * user, or there are more than USERS_MAX; the sentence names it. */
int users_read(struct users *ret, const char *list, struct wps_error *error);

/* True for root, for our own effective user, and for those who were read. */
bool users_have(const struct users *users, uint32_t uid);

/* False where the address does not end so. */
bool users_of_address(const char *address, uint32_t *ret_uid);

/* The user who sent a frame; false on tcp, where there is none. */
bool users_of_frame(const zmq_msg_t *frame, uint32_t *ret_uid);

#endif
