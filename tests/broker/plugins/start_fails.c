/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that cannot start, says no word about it, and logs that it was closed all the same. */

#include "fixture.h"

static int start(void *plugin, char *error, size_t error_size)
{
    (void)plugin, (void)error, (void)error_size;
    return -ENOSPC;
}

static void close_(void *plugin)
{
    (void)plugin;
    fixture_host->log(fixture_host->context, WPS_LOG_INFO, "closed after a failed start");
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("start-fails"), .start = start,
                                                .close = close_};
