/* SPDX-License-Identifier: Apache-2.0 */

/* A struct that begins with something else. */

#include "fixture.h"

EXPORT const struct wps_plugin wps_plugin_v1 = {
    .magic = 0x12345678,
    .size = sizeof(struct wps_plugin),
    .name = "wrong-magic",
    .version = "1.0",
    .open = fixture_open,
    .start = fixture_start,
    .stop = fixture_stop,
    .close = fixture_close,
};
