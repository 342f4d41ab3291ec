/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

/* What is behind a `struct proctrack`, for the parts of the library, and how the errors of the rest
 * of the house become those of its users. What is const does not change until it is closed, so
 * other threads may read it. */

#include <stdbool.h>

#include "access/certificate.h"
#include "base/error.h"
#include "client/common.h"

struct proctrack {
    void *context; /* ZeroMQ's */
    bool owns_context;
    char *events, *rpc, *control; /* endpoints */
    struct client_keys keys;
};

/* Gives `code` and the sentence of `why` to a user. */
int connection_fail(struct proctrack_error *error, int code, const struct wps_error *why);

/* min (their size, ours) bytes of a user's struct that begins with its size, in a zeroed one. */
void connection_copy_options(void *ours, size_t our_size, const void *theirs);

#endif
