/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_PLUGIN_SPEC_H
#define BROKER_PLUGIN_SPEC_H

/* Which plugin to load and with what options, as the user said it: "FILE[,key=value...]" on the
 * command line, or a section of the configuration. Plain data, owned by its caller. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "broker_shim/wps_plugin.h"

struct plugin_spec {
    char *file;
    bool optional; /* its failure is not the broker's */
    struct wps_option *options;
    size_t n_options;
};

/* Reads "FILE[,key=value...]". -EINVAL, -ENOMEM. */
int plugin_spec_parse(struct plugin_spec *ret, const char *text, bool optional,
                      struct wps_error *error);

/* Adds an option at the end; both strings are copied. -ENOMEM. */
int plugin_spec_add(struct plugin_spec *self, const char *key, const char *value);

/* -ENOMEM. */
int plugin_spec_copy(struct plugin_spec *ret, const struct plugin_spec *from);

/* True where both have the same options in the same order. */
bool plugin_spec_same_options(const struct plugin_spec *a, const struct plugin_spec *b);

/* Frees what it owns. A zeroed one is fine. */
void plugin_spec_clear(struct plugin_spec *self);

#endif
