/* SPDX-License-Identifier: Apache-2.0 */

/* The least that is a plugin: it says hello when it starts. */

#include <errno.h>
#include <stdio.h>
#include <wps_plugin.h>

static const struct wps_host *the_host;

static int hello_open(const struct wps_host *host, const struct wps_option *options,
                      size_t n_options, void **ret_plugin, char *error, size_t error_size)
{
    if (n_options > 0) {
        snprintf(error, error_size, "unknown option '%s': there are none", options[0].key);
        return -EINVAL;
    }
    the_host = host;
    *ret_plugin = &the_host;
    return 0;
}

static int hello_start(void *plugin, char *error, size_t error_size)
{
    (void)plugin, (void)error, (void)error_size;
    the_host->log(the_host->context, WPS_LOG_INFO, "hello from out of the tree");
    return 0;
}

static int hello_stop(void *plugin, uint32_t deadline_ms, char *error, size_t error_size)
{
    (void)plugin, (void)deadline_ms, (void)error, (void)error_size;
    return 0;
}

static void hello_close(void *plugin)
{
    (void)plugin;
}

const struct wps_plugin wps_plugin_v1 = {
    .magic = WPS_PLUGIN_MAGIC,
    .size = sizeof wps_plugin_v1,
    .minor = WPS_PLUGIN_MINOR,
    .name = "hello",
    .version = "2.5.0",
    .open = hello_open,
    .start = hello_start,
    .stop = hello_stop,
    .close = hello_close,
};
