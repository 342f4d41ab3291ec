/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_ENDPOINT_H
#define BROKER_ENDPOINT_H

/* Endpoints, "ipc://PATH" or "tcp://ADDRESS:PORT": checked, bound and taken away again. The
 * broker's thread only. */

#include <czmq.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

enum {
    ENDPOINT_PATH_MAX = 107, /* bytes of an ipc path: sun_path of unix(7) without its NUL */
};

/* -EINVAL: neither ipc nor tcp, or without a path. -ENAMETOOLONG: a path over the limit. The
 * sentence names the endpoint. */
int endpoint_check(const char *endpoint, struct wps_error *error);

/* Binds a socket. ZeroMQ unlinks whatever is at an ipc path first, so this looks before: -EEXIST
 * where something that is no socket is there, -EADDRINUSE where somebody listens on it. The socket
 * file gets `mode`. On success the endpoint as it came to be (a tcp port "*" is a number then) is
 * in
 * `*ret_bound`, the caller's to free. */
int endpoint_bind(zsock_t *socket, const char *endpoint, mode_t mode, char **ret_bound,
                  struct wps_error *error);

/* Where the file of a bound ipc endpoint was deleted: binds it once more. The connections there are
 * stay, on the listener that had the old file, which stays too. 1: it was so; 0: it is there, or it
 * has no file. */
int endpoint_renew(zsock_t *socket, const char *endpoint, mode_t mode, struct wps_error *error);

/* Removes the socket file of an ipc endpoint. Null is fine. */
void endpoint_unlink(const char *endpoint);

#endif
