/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that needs a while to stop and publishes all through it: 20 events in a second, and a
 * last one just before it returns. */

#include <time.h>

#include "fixture.h"

static int stop(void *plugin, uint32_t deadline_ms, char *error, size_t error_size)
{
    (void)plugin, (void)deadline_ms, (void)error, (void)error_size;
    for (uint32_t i = 0; i < 20; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        fixture_say("stopping", "slow", i);
    }
    return fixture_say("last", "slow", 99);
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("slow-stop"), .stop = stop};
