/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin whose stop is for ever. */

#include <poll.h>

#include "fixture.h"

static int stop(void *plugin, uint32_t deadline_ms, char *error, size_t error_size)
{
    (void)plugin, (void)deadline_ms, (void)error, (void)error_size;
    while (poll(NULL, 0, -1) != 1)
        ;
    return 0;
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("stop-never-returns"), .stop = stop};
