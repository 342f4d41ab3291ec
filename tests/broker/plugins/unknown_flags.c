/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that asks for something that this broker has never heard of. */

#include "fixture.h"

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("unknown-flags"), .flags = 4};
