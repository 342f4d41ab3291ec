/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that does not like its host. */

#include "fixture.h"

static int open_(const struct wps_host *host, const struct wps_option *options, size_t n_options,
                 void **ret_plugin, char *error, size_t error_size)
{
    (void)host, (void)options, (void)n_options, (void)ret_plugin;
    snprintf(error, error_size, "the moon is not full: wait for it");
    return -EAGAIN;
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("open-fails"), .open = open_};
