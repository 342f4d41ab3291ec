/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_NOTIFY_H
#define BROKER_NOTIFY_H

/*
 * Tells the service manager how the broker is, so that who starts after it finds its sockets bound
 * and its plugins at work (Type=notify). Where nobody asked to be told ($NOTIFY_SOCKET is not set)
 * these do nothing, and they never fail the broker: a manager that is gone has nobody to be told.
 *
 * Source: sd_notify(3).
 */

#include <stdint.h>

/* Sockets are bound and plugins run. `status` is the line of `systemctl status`. */
void notify_ready(const char *status);

/* The configuration is being read again. notify_ready follows, also where nothing was changed. */
void notify_reloading(void);

/* The broker ends in order, which takes at most that long: the manager is to wait so long before
 * it kills. */
void notify_stopping(uint64_t patience_ms);

#endif
