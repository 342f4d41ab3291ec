/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_EXPORTER_LISTEN_H
#define CLI_EXPORTER_LISTEN_H

/* Where to listen: ADDRESS:PORT in numbers, and which addresses are this machine alone. */

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

enum { LISTEN_URL_SIZE = 80 };

struct listener {
    int fd;
    bool loopback;
    char url[LISTEN_URL_SIZE]; /* "http://127.0.0.1:19770", with the port that it got */
};

/* Listens there. `address` is as in 127.0.0.1:19770 or [::1]:19770; with port 0 the kernel chooses
 * one. Another address than one of the loopback is refused (-EPERM) unless `allow_remote`. -EINVAL:
 * it is no address; -EADDRINUSE and so on, with a sentence. The descriptor is the caller's. */
int listen_open(struct listener *ret, const char *address, bool allow_remote,
                struct wps_error *error);

/* True where a Host header names this machine alone: localhost, 127.0.0.0/8 or [::1], with any port
 * or none. */
bool listen_host_is_loopback(const char *host);

#endif
