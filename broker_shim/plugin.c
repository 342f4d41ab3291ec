/* SPDX-License-Identifier: Apache-2.0 */

/* The calls into a plugin, and what it may call of us. */

#include "broker_shim/plugin.h"

#include <stdlib.h>
#include <string.h>

#include "broker_shim/log.h"
#include "broker_shim/plugin_event.h"

/* ---- what the plugin may call: any thread ---------------------------------------------------- */

static void host_log(void *context, int level, const char *message)
{
    const struct plugin *self = context;
    log_text(level, plugin_name(self), message ? message : "");
}

static int refuse_event(struct plugin *self, const struct wps_error *error)
{
    counter_add(&self->options->counters->events_invalid, 1);
    log_line(WPS_LOG_DEBUG, plugin_name(self), "refused an event: %s", error->message);
    return -EINVAL;
}

static void warn_of_full_queue(const struct plugin *self)
{
    log_line(WPS_LOG_WARNING, plugin_name(self),
             "the queue of events is full: the plugin has to wait or lose some "
             "(queue-events and queue-bytes set its size)");
}

static int host_publish(void *context, const struct wps_event *event)
{
    struct plugin *self = context;
    struct counters *counters = self->options->counters;
    struct plugin_event opened;
    struct wps_error error;
    bool warn = false;
    int result = plugin_event_open(&opened, event, &error);
    if (result < 0)
        return result == -EINVAL ? refuse_event(self, &error) : -EAGAIN;
    result = event_queue_put(self->options->queue, &opened.event, &warn);
    plugin_event_close(&opened);
    if (result == 0) {
        counter_add(&counters->events_accepted, 1);
        return 0;
    }
    if (result == -ESHUTDOWN)
        return result;
    counter_add(&counters->events_refused, 1);
    if (warn)
        warn_of_full_queue(self);
    return -EAGAIN;
}

/* ---- life ------------------------------------------------------------------------------------ */

int plugin_init(struct plugin *self, const struct plugin_spec *spec,
                const struct plugin_host_options *options)
{
    *self = (struct plugin){.options = options};
    self->host = (struct wps_host){
        .size = sizeof self->host,
        .minor = WPS_PLUGIN_MINOR,
        .context = self,
        .runtime_dir = options->runtime_dir,
        .log = host_log,
        .publish = options->queue ? host_publish : NULL,
    };
    return plugin_spec_copy(&self->spec, spec);
}

static void forget_endpoints(struct plugin *self)
{
    for (size_t i = 0; i < self->n_endpoints; i++) {
        free(self->endpoints[i].name);
        free(self->endpoints[i].endpoint);
    }
    self->n_endpoints = 0;
}

void plugin_clear(struct plugin *self)
{
    forget_endpoints(self);
    plugin_module_unload(&self->module);
    plugin_spec_clear(&self->spec);
}

const char *plugin_name(const struct plugin *self)
{
    return self->module.plugin.name ? self->module.plugin.name : self->spec.file;
}

/* What a plugin writes as its error is its own; a failure without a word gets ours. The buffer is
 * ended here for who forgets it. */
static int explain(const struct plugin *self, const char *call, int result, char *theirs,
                   size_t size, struct wps_error *error)
{
    theirs[size - 1] = '\0';
    if (result > 0)
        return wps_error_set(error, -EINVAL, "plugin %s: its %s returned %d, which is no errno",
                             plugin_name(self), call, result);
    if (*theirs)
        return wps_error_set(error, result, "plugin %s: %s", plugin_name(self), theirs);
    return wps_error_system(error, result, "plugin %s: its %s failed", plugin_name(self), call);
}

int plugin_open(void *context, struct wps_error *error)
{
    struct plugin *self = context;
    char theirs[sizeof error->message] = "";
    int result = plugin_module_load(&self->module, self->spec.file, error);
    if (result < 0)
        return result;
    result = self->module.plugin.open(&self->host, self->spec.options, self->spec.n_options,
                                      &self->instance, theirs, sizeof theirs);
    if (result == 0)
        return 0;
    result = explain(self, "open", result, theirs, sizeof theirs, error);
    plugin_module_unload(&self->module);
    return result;
}

/* The strings are the plugin's, and it may change its mind in reload: ours are copies. */
static void ask_endpoints(struct plugin *self)
{
    forget_endpoints(self);
    if (!self->module.plugin.endpoint)
        return;
    for (size_t i = 0; i < PLUGIN_ENDPOINTS_MAX; i++) {
        const char *name = NULL;
        const char *endpoint = self->module.plugin.endpoint(self->instance, i, &name);
        if (!endpoint)
            return;
        struct plugin_endpoint copy = {strdup(name ? name : ""), strdup(endpoint)};
        if (!copy.name || !copy.endpoint) {
            free(copy.name);
            free(copy.endpoint);
            return;
        }
        self->endpoints[self->n_endpoints++] = copy;
    }
}

int plugin_start(void *context, struct wps_error *error)
{
    struct plugin *self = context;
    char theirs[sizeof error->message] = "";
    int result = self->module.plugin.start(self->instance, theirs, sizeof theirs);
    if (result != 0)
        return explain(self, "start", result, theirs, sizeof theirs, error);
    ask_endpoints(self);
    return 0;
}

int plugin_reload(void *context, struct wps_error *error)
{
    struct plugin *self = context;
    char theirs[sizeof error->message] = "";
    int result = self->module.plugin.reload(self->instance, self->spec.options,
                                            self->spec.n_options, theirs, sizeof theirs);
    if (result != 0)
        return explain(self, "reload", result, theirs, sizeof theirs, error);
    ask_endpoints(self);
    return 0;
}

int plugin_stop(void *context, struct wps_error *error)
{
    struct plugin *self = context;
    char theirs[sizeof error->message] = "";
    int result = self->module.plugin.stop(self->instance, self->options->stop_timeout_ms, theirs,
                                          sizeof theirs);
    return result == 0 ? 0 : explain(self, "stop", result, theirs, sizeof theirs, error);
}

int plugin_close(void *context, struct wps_error *error)
{
    struct plugin *self = context;
    (void)error;
    self->module.plugin.close(self->instance);
    self->instance = NULL;
    return 0;
}
