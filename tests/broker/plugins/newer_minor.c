/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin built against a header that has more members than the broker knows. */

#include "fixture.h"

static int start(void *plugin, char *error, size_t error_size)
{
    (void)plugin, (void)error, (void)error_size;
    return fixture_say("started", "newer", 1);
}

EXPORT const struct {
    struct wps_plugin plugin;
    void (*added_later)(void);
    uint64_t added_even_later;
} wps_plugin_v1 = {
    .plugin = {FIXTURE("newer-minor"), .size = sizeof wps_plugin_v1, .minor = 7, .start = start},
    .added_later = NULL,
    .added_even_later = 1,
};
