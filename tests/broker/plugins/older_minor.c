/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin built against a header that did not have the optional members yet: its struct really
 * ends there, and what lies behind it would be called if anybody looked. */

#include "fixture.h"

static int start(void *plugin, char *error, size_t error_size)
{
    (void)plugin, (void)error, (void)error_size;
    return fixture_say("started", "older", 1);
}

struct older_plugin {
    uint32_t magic, size, minor, flags;
    const char *name, *version;
    int (*open)(const struct wps_host *, const struct wps_option *, size_t, void **, char *,
                size_t);
    int (*start)(void *, char *, size_t);
    int (*stop)(void *, uint32_t, char *, size_t);
    void (*close)(void *);
};

_Static_assert(sizeof(struct older_plugin) == offsetof(struct wps_plugin, reload),
               "the older struct is the newer one's beginning");

EXPORT const struct {
    struct older_plugin plugin;
    uintptr_t not_a_function[2];
} wps_plugin_v1 = {
    .plugin = {WPS_PLUGIN_MAGIC, sizeof(struct older_plugin), 0, 0, "older-minor", "0.9",
               fixture_open, start, fixture_stop, fixture_close},
    .not_a_function = {1, 1},
};
