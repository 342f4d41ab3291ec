/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MANAGER_BUS_H
#define MANAGER_BUS_H

/*
 * D-Bus calls that end by a deadline. The synchronous calls of sd-bus wait without one for the
 * connection itself, so everything here is asynchronous inside. A bus belongs to one thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "base/error.h"

struct bus {
    sd_bus *bus;
    uint64_t until_ns; /* CLOCK_MONOTONIC: when everything is given up */
    unsigned patience_ms;
    bool is_user; /* it is a user's session bus, and not the machine's */
};

/* Connects to the bus where our service manager is: for root the machine's, else the user's, which
 * $DBUS_SESSION_BUS_ADDRESS or $XDG_RUNTIME_DIR names. All calls together take `patience_ms` at
 * most. A negative errno, with a sentence that says what is missing. */
int bus_open(struct bus *ret, unsigned patience_ms, struct wps_error *error);

void bus_close(struct bus *self);

/* Handles what has come, or waits for more. 0, -ETIMEDOUT, or why the bus cannot be used any more.
 */
int bus_turn(struct bus *self);

/* Makes a call to the systemd manager on this bus; its arguments are appended by the caller. */
int bus_request(struct bus *self, const char *member, sd_bus_message **ret);

/* Sends it and waits for the answer, which the caller unrefs, also where it is an error that the
 * other side gave (sd_bus_message_is_method_error). A negative errno where none came. */
int bus_ask(struct bus *self, sd_bus_message *request, sd_bus_message **ret);

/* The sentence for a failure of bus_ask or bus_turn. */
int bus_failed(const struct bus *self, int result, struct wps_error *error);

static inline void cleanup_message(sd_bus_message **message)
{
    sd_bus_message_unref(*message);
}

#define _cleanup_message_ __attribute__((cleanup(cleanup_message)))

#endif
