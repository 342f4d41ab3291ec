/* SPDX-License-Identifier: Apache-2.0 */

/* From a file to a struct wps_plugin that can be trusted as far as such a thing can be checked. */

#include "broker_shim/plugin_module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>

#include "base/cleanup.h"

#include <string.h>

enum {
    WORD_MAX = 64,         /* bytes of a plugin's name, and of its version */
    OTHER_VERSIONS_MAX = 9 /* of the interface, that we look for to say what a plugin is made for */
};

/* What the first minor version had, up to and without its optional members. */
#define SIZE_LEAST offsetof(struct wps_plugin, reload)

static int check_word(const char *path, const char *what, const char *word, struct wps_error *error)
{
    if (!word || !*word || strnlen(word, WORD_MAX + 1) > WORD_MAX)
        return wps_error_set(error, -EINVAL, "plugin %s: its %s is missing, or over %d bytes", path,
                             what, WORD_MAX);
    for (const char *c = word; *c; c++)
        if (*c <= ' ' || *c > '~')
            return wps_error_set(error, -EINVAL,
                                 "plugin %s: its %s holds something other than visible ASCII", path,
                                 what);
    return 0;
}

static int check_head(const char *path, const struct wps_plugin *theirs, struct wps_error *error)
{
    if (theirs->magic != WPS_PLUGIN_MAGIC)
        return wps_error_set(error, -EINVAL,
                             "plugin %s: its magic is 0x%08x, not 0x%08x: it is no wps plugin, or "
                             "one of another byte order",
                             path, theirs->magic, WPS_PLUGIN_MAGIC);
    if (theirs->size < SIZE_LEAST)
        return wps_error_set(error, -EINVAL,
                             "plugin %s: it says that its struct has %u bytes, at least %zu are "
                             "needed",
                             path, theirs->size, SIZE_LEAST);
    return 0;
}

static int check_members(const char *path, const struct wps_plugin *ours, struct wps_error *error)
{
    int result = check_word(path, "name", ours->name, error);
    if (result == 0)
        result = check_word(path, "version", ours->version, error);
    if (result < 0)
        return result;
    if (ours->flags != 0)
        return wps_error_set(error, -EINVAL,
                             "plugin %s: it sets flags 0x%x that this broker does not know", path,
                             ours->flags);
    const char *missing = !ours->open    ? "open"
                          : !ours->start ? "start"
                          : !ours->stop  ? "stop"
                          : !ours->close ? "close"
                                         : NULL;
    if (missing)
        return wps_error_set(error, -EINVAL, "plugin %s: it has no function %s", path, missing);
    return 0;
}

/* Says for which version of the interface it is made, if for any. */
static int no_symbol(const char *path, void *handle, struct wps_error *error)
{
    for (int version = 2; version <= OTHER_VERSIONS_MAX; version++) {
        char symbol[32];
        snprintf(symbol, sizeof symbol, "wps_plugin_v%d", version);
        if (dlsym(handle, symbol))
            return wps_error_set(error, -ENOSYS,
                                 "plugin %s: it is made for version %d of the plugin interface, "
                                 "this broker has version 1: take a plugin for that",
                                 path, version);
    }
    return wps_error_set(error, -ENOSYS,
                         "plugin %s: it has no symbol " WPS_PLUGIN_SYMBOL ": it is no wps plugin",
                         path);
}

static int take_struct(struct wps_plugin *ret, const char *path, void *handle,
                       struct wps_error *error)
{
    const struct wps_plugin *theirs = dlsym(handle, WPS_PLUGIN_SYMBOL);
    if (!theirs)
        return no_symbol(path, handle, error);
    int result = check_head(path, theirs, error);
    if (result < 0)
        return result;
    struct wps_plugin ours = {0};
    memcpy(&ours, theirs, theirs->size < sizeof ours ? theirs->size : sizeof ours);
    result = check_members(path, &ours, error);
    if (result == 0)
        *ret = ours;
    return result;
}

int plugin_module_load(struct plugin_module *ret, const char *file, struct wps_error *error)
{
    /* A name without a slash would be looked for in the library path. */
    _cleanup_free_ char *path = realpath(file, NULL);
    if (!path)
        return wps_error_system(error, -errno, "plugin %s", file);
    /* A second dlopen would give the same module with the same static variables. */
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (handle) {
        dlclose(handle);
        return wps_error_set(error, -EEXIST, "plugin %s: it is loaded already", path);
    }
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        return wps_error_set(error, -ELIBBAD, "plugin %s: it cannot be loaded: %s", path,
                             why ? why : "the loader does not say why");
    }
    struct wps_plugin plugin;
    int result = take_struct(&plugin, path, handle, error);
    if (result < 0) {
        dlclose(handle);
        return result;
    }
    *ret = (struct plugin_module){take_ptr(path), handle, plugin};
    return 0;
}

void plugin_module_unload(struct plugin_module *self)
{
    if (self->handle)
        dlclose(self->handle);
    free(self->path);
    *self = (struct plugin_module){0};
}
