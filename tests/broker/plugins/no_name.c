/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin without a name. */

#include "fixture.h"

EXPORT const struct wps_plugin wps_plugin_v1 = {
    .magic = WPS_PLUGIN_MAGIC,
    .size = sizeof(struct wps_plugin),
    .version = "1.0",
    .open = fixture_open,
    .start = fixture_start,
    .stop = fixture_stop,
    .close = fixture_close,
};
