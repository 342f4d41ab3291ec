/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that admits that it could not stop; it must not be closed. */

#include <stdlib.h>

#include "fixture.h"

static int stop(void *plugin, uint32_t deadline_ms, char *error, size_t error_size)
{
    (void)plugin;
    snprintf(error, error_size, "one thread still works after %u ms", deadline_ms);
    return -ETIMEDOUT;
}

static void close_(void *plugin)
{
    (void)plugin;
    abort();
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("stop-times-out"), .stop = stop,
                                                .close = close_};
