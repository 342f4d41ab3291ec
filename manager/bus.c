/* SPDX-License-Identifier: Apache-2.0 */

/* Asynchronous sd-bus, made to look like calls. */

#include "manager/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

#define SERVICE   "org.freedesktop.systemd1"
#define OBJECT    "/org/freedesktop/systemd1"
#define INTERFACE "org.freedesktop.systemd1.Manager"

static const char *manager_of(const struct bus *self)
{
    return self->is_user ? "the systemd user manager" : "the systemd manager";
}

int bus_failed(const struct bus *self, int result, struct wps_error *error)
{
    if (result == -ETIMEDOUT)
        return wps_error_set(error, result, "%s did not answer within %u ms", manager_of(self),
                             self->patience_ms);
    return wps_error_system(error, result, "%s cannot be asked", manager_of(self));
}

/* ---- the connection ---- */

static int say_unopened(const struct bus *self, int result, struct wps_error *error)
{
    if (!self->is_user)
        return wps_error_system(error, result,
                                "there is no systemd manager to ask: the system bus "
                                "cannot be reached");
    if (!getenv("XDG_RUNTIME_DIR") && !getenv("DBUS_SESSION_BUS_ADDRESS"))
        return wps_error_set(error, result,
                             "there is no systemd user manager to ask: neither XDG_RUNTIME_DIR nor "
                             "DBUS_SESSION_BUS_ADDRESS is set");
    return wps_error_system(error, result,
                            "there is no systemd user manager to ask: the session "
                            "bus cannot be reached");
}

int bus_open(struct bus *ret, unsigned patience_ms, struct wps_error *error)
{
    struct bus bus = {
        .until_ns = monotonic_ns() + patience_ms * NS_PER_MS,
        .patience_ms = patience_ms,
        .is_user = geteuid() != 0,
    };
    int r = bus.is_user ? sd_bus_open_user(&bus.bus) : sd_bus_open_system(&bus.bus);
    if (r < 0)
        return say_unopened(&bus, r, error);
    while (r >= 0 && (r = sd_bus_is_ready(bus.bus)) == 0)
        r = bus_turn(&bus);
    if (r < 0) {
        r = r == -ETIMEDOUT ? bus_failed(&bus, r, error) : say_unopened(&bus, r, error);
        bus_close(&bus);
        return r;
    }
    *ret = bus;
    return 0;
}

void bus_close(struct bus *self)
{
    sd_bus_close_unref(self->bus);
    self->bus = NULL;
}

int bus_turn(struct bus *self)
{
    int r = sd_bus_process(self->bus, NULL);
    if (r != 0)
        return r < 0 ? r : 0;
    uint64_t now = monotonic_ns();
    if (now >= self->until_ns)
        return -ETIMEDOUT;
    r = sd_bus_wait(self->bus, (self->until_ns - now) / 1000 + 1);
    return r < 0 && r != -EINTR ? r : 0;
}

/* ---- a call ---- */

int bus_request(struct bus *self, const char *member, sd_bus_message **ret)
{
    sd_bus_message *message = NULL;
    int r = sd_bus_message_new_method_call(self->bus, &message, SERVICE, OBJECT, INTERFACE, member);
    /* A bus without a manager would start /bin/false in its place. */
    r = r < 0 ? r : sd_bus_message_set_auto_start(message, false);
    if (r < 0) {
        sd_bus_message_unref(message);
        return r;
    }
    *ret = message;
    return 0;
}

static int on_answer(sd_bus_message *message, void *context, sd_bus_error *error)
{
    sd_bus_message **answer = context;
    (void)error;
    *answer = sd_bus_message_ref(message);
    return 1;
}

int bus_ask(struct bus *self, sd_bus_message *request, sd_bus_message **ret)
{
    sd_bus_message *answer = NULL;
    sd_bus_slot *slot = NULL;
    int r = sd_bus_call_async(self->bus, &slot, request, on_answer, &answer, UINT64_MAX);
    while (r >= 0 && !answer)
        r = bus_turn(self);
    sd_bus_slot_unref(slot); /* an answer that comes later is nobody's */
    if (r < 0)
        return r;
    *ret = answer;
    return 0;
}
