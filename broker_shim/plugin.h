/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_PLUGIN_H
#define BROKER_PLUGIN_H

/*
 * One plugin: its file, its state of its own, what the host offers to it, and the calls into it.
 *
 * The calls are jobs of a worker (worker.h): `context` is the plugin, and while one runs nobody
 * else touches the plugin but through `struct wps_host`, whose functions any thread may call.
 */

#include "broker_shim/plugin_host.h"
#include "broker_shim/plugin_module.h"

struct plugin {
    struct plugin_spec spec;
    struct plugin_module module;
    const struct plugin_host_options *options; /* the host's */
    struct wps_host host;                      /* what the plugin sees of us */
    void *instance;                            /* what open gave */
    struct plugin_endpoint endpoints[PLUGIN_ENDPOINTS_MAX];
    size_t n_endpoints;
};

/* `options` must live as long as the plugin does; without a queue there is no publish. -ENOMEM. */
int plugin_init(struct plugin *self, const struct plugin_spec *spec,
                const struct plugin_host_options *options);

/* Unloads the module. The plugin must not be open. */
void plugin_clear(struct plugin *self);

/* Its name, or its file while it is not loaded. */
const char *plugin_name(const struct plugin *self);

/* Loads the module and opens it. On failure it is unloaded again. */
int plugin_open(void *self, struct wps_error *error);

/* Starts it and asks for its endpoints. */
int plugin_start(void *self, struct wps_error *error);

/* Hands it its options anew. Only for one that has a `reload`. */
int plugin_reload(void *self, struct wps_error *error);

/* Stops it, with the deadline of its options. */
int plugin_stop(void *self, struct wps_error *error);

/* Closes it. Returns 0. */
int plugin_close(void *self, struct wps_error *error);

#endif
