/* SPDX-License-Identifier: Apache-2.0 */

/* The one symbol of the module, and what stands behind it: options in, the loop on and off. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker_shim/wps_plugin.h"
#include "plugin/control.h"
#include "plugin/loop.h"
#include "plugin/module.h"

/* The errors of the house go out through the host's buffer. */
static int hand_out(int result, const struct wps_error *error, char *text, size_t size)
{
    if (result < 0 && text && size)
        snprintf(text, size, "%s", error->message);
    return result;
}

void module_log(const struct module *module, enum wps_log_level level, const char *format, ...)
{
    char text[1024];
    va_list args;
    if (level > module->log_level)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    module->host.log(module->host.context, level, text);
}

static int module_open(const struct wps_host *host, const struct wps_option *options,
                       size_t n_options, void **ret_plugin, char *error_text, size_t error_size)
{
    struct wps_error error;
    struct module *module = calloc(1, sizeof *module);
    if (!module)
        return hand_out(wps_error_set(&error, -ENOMEM, "out of memory"), &error, error_text,
                        error_size);
    size_t size = host->size < sizeof module->host ? host->size : sizeof module->host;
    memcpy(&module->host, host, size);
    int r = 0;
    if (!module->host.log || !module->host.runtime_dir)
        r = wps_error_set(&error, -EINVAL, "the host gives no log or no runtime directory");
    if (r == 0)
        r = options_read(&module->options, options, n_options, &error);
    if (r < 0) {
        free(module);
        return hand_out(r, &error, error_text, error_size);
    }
    module->log_level = module->options.trace ? WPS_LOG_TRACE : WPS_LOG_DEBUG;
    *ret_plugin = module;
    return 0;
}

static int module_start(void *plugin, char *error_text, size_t error_size)
{
    struct wps_error error;
    return hand_out(loop_start(plugin, &error), &error, error_text, error_size);
}

static int module_stop(void *plugin, uint32_t deadline_ms, char *error_text, size_t error_size)
{
    struct wps_error error;
    return hand_out(loop_stop(plugin, deadline_ms, &error), &error, error_text, error_size);
}

static void module_close(void *plugin)
{
    free(plugin);
}

static const char *module_endpoint(void *plugin, size_t index, const char **ret_name)
{
    const struct module *module = plugin;
    if (index > 0 || !module->control)
        return NULL;
    *ret_name = "control";
    return control_endpoint(module->control);
}

__attribute__((visibility("default"))) extern const struct wps_plugin wps_plugin_v1;

const struct wps_plugin wps_plugin_v1 = {
    .magic = WPS_PLUGIN_MAGIC,
    .size = sizeof wps_plugin_v1,
    .minor = WPS_PLUGIN_MINOR,
    .name = "proctrack",
    .version = PROCTRACK_VERSION,
    .open = module_open,
    .start = module_start,
    .stop = module_stop,
    .close = module_close,
    .endpoint = module_endpoint,
};
