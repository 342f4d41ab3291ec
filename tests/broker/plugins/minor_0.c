/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin of the first days: built against minor_0/wps_plugin.h, the interface as it was first
 * written down, which stays as it is. It uses all that there was: options, a line of the log, an
 * event that is kept, a socket's name, a reload, a stop with its deadline. That it works is what an
 * old binary may rely on; nothing of today's tree is included. */

#include "minor_0/wps_plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As the binaries of that time have it. */
_Static_assert(WPS_PLUGIN_MINOR == 0, "the frozen header is the first");
_Static_assert(sizeof(struct wps_option) == 2 * sizeof(void *), "two strings");
_Static_assert(sizeof(struct wps_event) == 2 * sizeof(uint32_t) + 6 * sizeof(void *),
               "two numbers, then six of the size of a pointer");
_Static_assert(sizeof(struct wps_host) == 2 * sizeof(uint32_t) + 4 * sizeof(void *),
               "two numbers, then four pointers");
_Static_assert(sizeof(struct wps_plugin) == 4 * sizeof(uint32_t) + 8 * sizeof(void *),
               "four numbers, then eight pointers");

struct state {
    const struct wps_host *host;
    char word[32];
    char endpoint[4200];
};

static int read_options(struct state *state, const struct wps_option *options, size_t n_options,
                        char *error, size_t error_size)
{
    for (size_t i = 0; i < n_options; i++) {
        if (strcmp(options[i].key, "word") != 0) {
            snprintf(error, error_size, "unknown option: %s", options[i].key);
            return -EINVAL;
        }
        snprintf(state->word, sizeof state->word, "%s", options[i].value);
    }
    return 0;
}

/* Logs "WHAT: WORD" and publishes it, to be kept for who comes later. */
static int tell(struct state *state, const char *what, uint8_t data)
{
    const struct wps_host *host = state->host;
    char line[64];
    const char *scopes[] = {"minor-0", what};
    snprintf(line, sizeof line, "%s: %s", what, state->word);
    host->log(host->context, WPS_LOG_INFO, line);
    return host->publish(host->context, &(struct wps_event){
                                            .size = sizeof(struct wps_event),
                                            .persist = 1,
                                            .event = line,
                                            .sender = "minor-0",
                                            .scopes = scopes,
                                            .n_scopes = 2,
                                            .data = &data, /* a small number is one byte */
                                            .data_size = 1,
                                        });
}

static int open_(const struct wps_host *host, const struct wps_option *options, size_t n_options,
                 void **ret_plugin, char *error, size_t error_size)
{
    struct state *state = calloc(1, sizeof *state);
    if (!state || host->size < sizeof *host) {
        snprintf(error, error_size, "the host offers less than there was: %u bytes", host->size);
        free(state);
        return -EINVAL;
    }
    state->host = host;
    int result = read_options(state, options, n_options, error, error_size);
    if (result < 0)
        free(state);
    else
        *ret_plugin = state;
    return result;
}

static int start(void *plugin, char *error, size_t error_size)
{
    struct state *state = plugin;
    (void)error, (void)error_size;
    snprintf(state->endpoint, sizeof state->endpoint, "ipc://%s/minor-0", state->host->runtime_dir);
    return tell(state, "started", 1);
}

static int stop(void *plugin, uint32_t deadline_ms, char *error, size_t error_size)
{
    (void)error, (void)error_size;
    return deadline_ms > 0 ? tell(plugin, "stopped", 3) : -ETIMEDOUT;
}

static int reload(void *plugin, const struct wps_option *options, size_t n_options, char *error,
                  size_t error_size)
{
    int result = read_options(plugin, options, n_options, error, error_size);
    return result < 0 ? result : tell(plugin, "reloaded", 2);
}

static const char *endpoint(void *plugin, size_t index, const char **ret_name)
{
    struct state *state = plugin;
    if (index > 0)
        return NULL;
    *ret_name = "old";
    return state->endpoint;
}

__attribute__((visibility("default"))) extern const struct wps_plugin wps_plugin_v1;

const struct wps_plugin wps_plugin_v1 = {
    .magic = WPS_PLUGIN_MAGIC,
    .size = sizeof wps_plugin_v1,
    .minor = WPS_PLUGIN_MINOR,
    .name = "minor-0",
    .version = "0.1",
    .open = open_,
    .start = start,
    .stop = stop,
    .close = free,
    .reload = reload,
    .endpoint = endpoint,
};
