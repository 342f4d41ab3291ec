/* SPDX-License-Identifier: Apache-2.0 */

/* sd_notify(3) with what the broker has to say. */

#include "broker_shim/notify.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"

void notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_reloading(void)
{
    /* Since when: a manager that asks for that can tell this reload from one before it. */
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reading the configuration again",
               monotonic_ns() / 1000);
}

void notify_stopping(uint64_t patience_ms)
{
    sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=the plugins stop",
               patience_ms * 1000);
}
