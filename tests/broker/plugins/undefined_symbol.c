/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that cannot be loaded: it needs a function that nobody has. */

#include "fixture.h"

void nobody_has_this_function(void *plugin);

EXPORT const struct wps_plugin wps_plugin_v1 = {
    .magic = WPS_PLUGIN_MAGIC,
    .size = sizeof(struct wps_plugin),
    .name = "undefined-symbol",
    .version = "1.0",
    .open = fixture_open,
    .start = fixture_start,
    .stop = fixture_stop,
    .close = nobody_has_this_function,
};
