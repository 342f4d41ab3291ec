/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin as its user named it. */

#include "broker_shim/plugin_spec.h"

#include "base/cleanup.h"

#include <string.h>

int plugin_spec_add(struct plugin_spec *self, const char *key, const char *value)
{
    _cleanup_free_ char *key_copy = strdup(key);
    _cleanup_free_ char *value_copy = strdup(value);
    if (!key_copy || !value_copy)
        return -ENOMEM;
    struct wps_option *options = reallocarray(self->options, self->n_options + 1, sizeof *options);
    if (!options)
        return -ENOMEM;
    options[self->n_options++] = (struct wps_option){take_ptr(key_copy), take_ptr(value_copy)};
    self->options = options;
    return 0;
}

/* Reads "key=value,key=value", which it takes apart in place. */
static int parse_options(struct plugin_spec *self, char *text, struct wps_error *error)
{
    for (char *next; text; text = next) {
        next = strchr(text, ',');
        if (next)
            *next++ = '\0';
        char *value = strchr(text, '=');
        if (!value || value == text)
            return wps_error_set(error, -EINVAL, "plugin %s: \"%s\": expected key=value",
                                 self->file, text);
        *value++ = '\0';
        if (plugin_spec_add(self, text, value) < 0)
            return wps_error_set(error, -ENOMEM, "plugin %s: no memory", self->file);
    }
    return 0;
}

int plugin_spec_parse(struct plugin_spec *ret, const char *text, bool optional,
                      struct wps_error *error)
{
    struct plugin_spec spec = {.file = strdup(text), .optional = optional};
    if (!spec.file)
        return wps_error_set(error, -ENOMEM, "plugin %s: no memory", text);
    char *options = strchr(spec.file, ',');
    if (options)
        *options++ = '\0';
    int result = *spec.file ? parse_options(&spec, options, error)
                            : wps_error_set(error, -EINVAL, "plugin: no file is named");
    if (result < 0)
        plugin_spec_clear(&spec);
    else
        *ret = spec;
    return result;
}

int plugin_spec_copy(struct plugin_spec *ret, const struct plugin_spec *from)
{
    struct plugin_spec copy = {.file = strdup(from->file), .optional = from->optional};
    int result = copy.file ? 0 : -ENOMEM;
    for (size_t i = 0; i < from->n_options && result == 0; i++)
        result = plugin_spec_add(&copy, from->options[i].key, from->options[i].value);
    if (result < 0)
        plugin_spec_clear(&copy);
    else
        *ret = copy;
    return result;
}

bool plugin_spec_same_options(const struct plugin_spec *a, const struct plugin_spec *b)
{
    if (a->n_options != b->n_options)
        return false;
    for (size_t i = 0; i < a->n_options; i++)
        if (strcmp(a->options[i].key, b->options[i].key) != 0 ||
            strcmp(a->options[i].value, b->options[i].value) != 0)
            return false;
    return true;
}

void plugin_spec_clear(struct plugin_spec *self)
{
    for (size_t i = 0; i < self->n_options; i++) {
        free((char *)self->options[i].key);
        free((char *)self->options[i].value);
    }
    free(self->options);
    free(self->file);
    *self = (struct plugin_spec){0};
}
