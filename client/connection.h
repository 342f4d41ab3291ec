/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

/* What is behind a `struct proctrack`, for the parts of the library, and how the errors of the rest
 * of the house become those of its users. What is const does not change until it is closed, so
 * other threads may read it. */

#include <limits.h>
#include <stdbool.h>

#include "access/certificate.h"
#include "base/error.h"
#include "client/common.h"
#include "client/control_client.h"

struct proctrack {
    void *context; /* ZeroMQ's */
    bool owns_context;
    char *events, *rpc, *control; /* endpoints */
    uint32_t timeout_ms;
    /* Of the one thread that asks; made when they are first needed. */
    struct control_client *control_client, *rpc_client;
    struct client_keys keys;
};

/* The client that asks on one of the two sockets. -ENOMEM. */
int connection_client(struct proctrack *self, bool rpc, struct control_client **ret,
                      struct wps_error *error);

/* As many milliseconds as can be waited for at once. */
static inline int connection_timeout(uint64_t ms)
{
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* Gives `code` and the sentence of `why` to a user. */
int connection_fail(struct proctrack_error *error, int code, const struct wps_error *why);

/* min (their size, ours) bytes of a user's struct that begins with its size, in a zeroed one. */
void connection_copy_options(void *ours, size_t our_size, const void *theirs);

#endif
