/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that cannot be stopped. */

#include "fixture.h"

EXPORT const struct wps_plugin wps_plugin_v1 = {
    .magic = WPS_PLUGIN_MAGIC,
    .size = sizeof(struct wps_plugin),
    .name = "no-function",
    .version = "1.0",
    .open = fixture_open,
    .start = fixture_start,
    .close = fixture_close,
};
