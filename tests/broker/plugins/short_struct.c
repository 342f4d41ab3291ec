/* SPDX-License-Identifier: Apache-2.0 */

/* A struct that ends before `close`. */

#include "fixture.h"

EXPORT const struct wps_plugin wps_plugin_v1 = {
    .magic = WPS_PLUGIN_MAGIC,
    .size = offsetof(struct wps_plugin, close),
    .name = "short-struct",
    .version = "1.0",
    .open = fixture_open,
    .start = fixture_start,
    .stop = fixture_stop,
};
