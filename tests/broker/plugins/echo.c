/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin as it should be: it takes options, also while it runs, names a socket, and says what it
 * was told and when. Its option `greeting` may change, `name` may not. */

#include <stdlib.h>

#include "fixture.h"

static char greeting[64] = "hello";
static char name[64] = "echo";

static int read_options(const struct wps_option *options, size_t n_options, bool running,
                        char *error, size_t error_size)
{
    for (size_t i = 0; i < n_options; i++) {
        bool is_name = strcmp(options[i].key, "name") == 0;
        if (is_name && running && strcmp(options[i].value, name) != 0) {
            snprintf(error, error_size, "name: cannot be changed while running");
            return -EINVAL;
        }
        if (!is_name && strcmp(options[i].key, "greeting") != 0) {
            snprintf(error, error_size, "unknown option: %s", options[i].key);
            return -EINVAL;
        }
        snprintf(is_name ? name : greeting, sizeof name, "%s", options[i].value);
    }
    return 0;
}

static void log_line(const char *what)
{
    char line[160];
    snprintf(line, sizeof line, "%s: %s", what, greeting);
    fixture_host->log(fixture_host->context, WPS_LOG_INFO, line);
}

static int open_(const struct wps_host *host, const struct wps_option *options, size_t n_options,
                 void **ret_plugin, char *error, size_t error_size)
{
    fixture_host = host;
    *ret_plugin = malloc(1);
    int result = read_options(options, n_options, false, error, error_size);
    if (result < 0)
        free(*ret_plugin);
    return result;
}

static int start(void *plugin, char *error, size_t error_size)
{
    (void)plugin, (void)error, (void)error_size;
    log_line("started");
    return 0;
}

static int stop(void *plugin, uint32_t deadline_ms, char *error, size_t error_size)
{
    (void)plugin, (void)error, (void)error_size;
    log_line("stopped");
    return fixture_say("stopped", "echo", deadline_ms);
}

static void close_(void *plugin)
{
    free(plugin);
    log_line("closed");
}

static int reload(void *plugin, const struct wps_option *options, size_t n_options, char *error,
                  size_t error_size)
{
    (void)plugin;
    int result = read_options(options, n_options, true, error, error_size);
    if (result == 0)
        log_line("reloaded");
    return result;
}

static const char *endpoint(void *plugin, size_t index, const char **ret_name)
{
    (void)plugin;
    if (index > 0)
        return NULL;
    *ret_name = "control";
    return "ipc:///nowhere/control";
}

EXPORT const struct wps_plugin wps_plugin_v1 = {
    FIXTURE("echo"), .open = open_,    .start = start,       .stop = stop,
    .close = close_, .reload = reload, .endpoint = endpoint,
};
