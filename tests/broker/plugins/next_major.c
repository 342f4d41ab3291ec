/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin for a version of the interface that is still to come. */

#include "fixture.h"

EXPORT const struct {
    uint32_t magic;
    uint32_t size;
} wps_plugin_v2 = {0x32737077, 8};
