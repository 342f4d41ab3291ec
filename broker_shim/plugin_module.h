/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_PLUGIN_MODULE_H
#define BROKER_PLUGIN_MODULE_H

/* A plugin's file, loaded and checked against wps_plugin.h. Any thread, one at a time for each. */

#include "base/error.h"
#include "broker_shim/wps_plugin.h"

struct plugin_module {
    char *path;   /* absolute */
    void *handle; /* of dlopen */
    /* The plugin's own struct, as far as both sides know it: the rest is null. */
    struct wps_plugin plugin;
};

/* Loads the file. The sentence says exactly why it cannot be used: -ENOENT and the like for the
 * file, -EEXIST: it is loaded already; -ELIBBAD: it cannot be loaded; -ENOSYS: it has no plugin in
 * it, or one for another version of the interface; -EINVAL: its struct is not one. */
int plugin_module_load(struct plugin_module *ret, const char *file, struct wps_error *error);

/* No code of it may run any more. A zeroed one is fine. */
void plugin_module_unload(struct plugin_module *self);

#endif
