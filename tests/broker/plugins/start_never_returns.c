/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin whose start is for ever. */

#include <poll.h>

#include "fixture.h"

static int start(void *plugin, char *error, size_t error_size)
{
    (void)plugin, (void)error, (void)error_size;
    while (poll(NULL, 0, -1) != 1)
        ;
    return 0;
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("start-never-returns"), .start = start};
