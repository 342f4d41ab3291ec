/* SPDX-License-Identifier: Apache-2.0 */

/* The lives of the plugins, as states and what leads from one to the next. */

#include "broker_shim/plugin_host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "base/cleanup.h"
#include "broker_shim/log.h"
#include "broker_shim/plugin.h"
#include "broker_shim/worker.h"

enum {
    STOP_GRACE_MS = 1000, /* behind the deadline that the plugin was given */
};

enum state {
    WAITING,
    OPENING,
    OPENED,
    STARTING,
    RUNNING,
    RELOADING,
    STOPPING,
    STOPPED,
    CLOSING,
    CLOSED,
    FAILED,
    STUCK,
};

static const char *const state_names[] = {
    "waiting",  "opening", "opened",  "starting", "running", "reloading",
    "stopping", "stopped", "closing", "closed",   "failed",  "stuck",
};

/* A plugin and where it stands. A separate allocation each: the stuck ones outlive the host. */
struct life {
    struct plugin plugin;
    enum state state;
    bool loaded; /* its name can be told: nobody loads or unloads it in another thread */
    bool start_failed;
    bool to_reload;
    struct worker *worker;
};

struct plugin_host {
    struct plugin_host_options options;
    enum plugin_host_phase phase;
    struct life **lives;
    size_t n_lives;
    struct life *busy; /* the one with a call under way */
    bool failed;
    int wake;
    int timer;
};

/* ---- making and freeing --------------------------------------------------------------------- */

static int add_life(struct plugin_host *self, const struct plugin_spec *spec)
{
    struct life *life = calloc(1, sizeof *life);
    if (!life)
        return -ENOMEM;
    if (plugin_init(&life->plugin, spec, &self->options) < 0) {
        free(life);
        return -ENOMEM;
    }
    self->lives[self->n_lives++] = life;
    return 0;
}

int plugin_host_new(struct plugin_host **ret, const struct plugin_host_options *options,
                    const struct plugin_spec *specs, size_t n_specs, struct wps_error *error)
{
    struct plugin_host *self = calloc(1, sizeof *self);
    if (!self)
        return wps_error_set(error, -ENOMEM, "making the plugin host: no memory");
    self->options = *options;
    self->lives = calloc(n_specs + 1, sizeof *self->lives);
    self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int result = self->wake < 0 || self->timer < 0 ? -errno : 0;
    if (!self->lives)
        result = -ENOMEM;
    for (size_t i = 0; i < n_specs && result == 0; i++)
        result = add_life(self, &specs[i]);
    if (result < 0) {
        plugin_host_destroy(&self);
        return wps_error_system(error, result, "making the plugin host");
    }
    *ret = self;
    return 0;
}

void plugin_host_destroy(struct plugin_host **self_p)
{
    struct plugin_host *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    /* A stuck call may still come back: it writes to our descriptor and reads our options. */
    if (plugin_host_is_stuck(self))
        return;
    for (size_t i = 0; i < self->n_lives; i++) {
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there are n_lives of them
        worker_destroy(&self->lives[i]->worker);
        plugin_clear(&self->lives[i]->plugin);
        free(self->lives[i]);
    }
    free(self->lives);
    cleanup_close(&self->wake);
    cleanup_close(&self->timer);
    free(self);
}

/* ---- one call ------------------------------------------------------------------------------- */

static void set_timer(struct plugin_host *self, uint64_t ms)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000}};
    timerfd_settime(self->timer, 0, &when, NULL);
}

static uint64_t deadline_ms(const struct plugin_host *self)
{
    return (uint64_t)self->options.stop_timeout_ms + STOP_GRACE_MS;
}

static void arm_deadline(struct plugin_host *self)
{
    set_timer(self, deadline_ms(self));
}

uint64_t plugin_host_patience_ms(const struct plugin_host *self)
{
    return 2 * self->n_lives * deadline_ms(self); /* each is stopped, then closed */
}

static void fail(struct plugin_host *self, struct life *life, const struct wps_error *error)
{
    bool optional = life->plugin.spec.optional;
    log_line(optional ? WPS_LOG_WARNING : WPS_LOG_ERROR, "wpsd", "%s%s", error->message,
             optional ? " (it is optional: the broker goes on without it)" : "");
    life->state = FAILED;
    if (optional)
        return;
    self->failed = true;
    self->phase = PLUGIN_HOST_STOPPING;
}

static void begin(struct plugin_host *self, struct life *life, enum state state, worker_job *job)
{
    struct wps_error error;
    if (!life->worker && worker_new(&life->worker, self->wake, &error) < 0) {
        fail(self, life, &error);
        return;
    }
    if (self->phase == PLUGIN_HOST_STOPPING || state == CLOSING)
        arm_deadline(self);
    life->state = state;
    self->busy = life;
    worker_begin(life->worker, job, &life->plugin);
}

static void done_opening(struct plugin_host *self, struct life *life, int result,
                         const struct wps_error *error)
{
    if (result < 0) {
        fail(self, life, error);
        return;
    }
    life->state = OPENED;
    life->loaded = true;
    log_debug("plugin %s %s is open", plugin_name(&life->plugin),
              life->plugin.module.plugin.version);
}

static void done_starting(struct plugin_host *self, struct life *life, int result,
                          const struct wps_error *error)
{
    if (result < 0) {
        fail(self, life, error);
        life->start_failed = true;
        begin(self, life, CLOSING, plugin_close);
        return;
    }
    life->state = RUNNING;
    log_info("plugin %s %s is running", plugin_name(&life->plugin),
             life->plugin.module.plugin.version);
}

static void done_reloading(struct life *life, int result, const struct wps_error *error)
{
    life->state = RUNNING;
    if (result < 0)
        log_warning("%s", error->message);
    else
        log_info("plugin %s has taken its options", plugin_name(&life->plugin));
}

static void give_up(struct life *life, const char *sentence)
{
    life->state = STUCK;
    log_error("%s: it stays in memory, and the broker goes on without it", sentence);
}

static void done_stopping(struct life *life, int result, const struct wps_error *error)
{
    if (result < 0) {
        give_up(life, error->message);
        worker_abandon(&life->worker);
        return;
    }
    life->state = STOPPED;
    log_info("plugin %s has stopped", plugin_name(&life->plugin));
}

static void done_closing(struct life *life)
{
    life->state = life->start_failed ? FAILED : CLOSED;
    worker_destroy(&life->worker);
}

static void done(struct plugin_host *self, struct life *life, int result,
                 const struct wps_error *error)
{
    switch (life->state) {
    case OPENING:
        done_opening(self, life, result, error);
        break;
    case STARTING:
        done_starting(self, life, result, error);
        break;
    case RELOADING:
        done_reloading(life, result, error);
        break;
    case STOPPING:
        done_stopping(life, result, error);
        break;
    case CLOSING:
        done_closing(life);
        break;
    default:
        break;
    }
}

/* ---- what comes next ------------------------------------------------------------------------ */

static struct life *first_in(const struct plugin_host *self, enum state state)
{
    for (size_t i = 0; i < self->n_lives; i++)
        if (self->lives[i]->state == state)
            return self->lives[i];
    return NULL;
}

static void start_next(struct plugin_host *self)
{
    struct life *life = first_in(self, WAITING);
    if (life) {
        begin(self, life, OPENING, plugin_open);
        return;
    }
    life = first_in(self, OPENED);
    if (life)
        begin(self, life, STARTING, plugin_start);
    else
        self->phase = PLUGIN_HOST_RUNNING;
}

static bool reload_next(struct plugin_host *self)
{
    for (size_t i = 0; i < self->n_lives; i++) {
        struct life *life = self->lives[i];
        if (!life->to_reload || life->state != RUNNING)
            continue;
        life->to_reload = false;
        begin(self, life, RELOADING, plugin_reload);
        return true;
    }
    return false;
}

static void stop_next(struct plugin_host *self)
{
    for (size_t i = self->n_lives; i-- > 0 && !self->busy;) {
        struct life *life = self->lives[i];
        if (life->state == RUNNING)
            begin(self, life, STOPPING, plugin_stop);
        else if (life->state == OPENED || life->state == STOPPED)
            begin(self, life, CLOSING, plugin_close);
    }
    if (!self->busy)
        self->phase = PLUGIN_HOST_STOPPED;
}

static void go_on(struct plugin_host *self)
{
    while (!self->busy) {
        if (self->phase == PLUGIN_HOST_STARTING)
            start_next(self);
        else if (self->phase == PLUGIN_HOST_STOPPING)
            stop_next(self);
        else if (self->phase == PLUGIN_HOST_STOPPED || !reload_next(self))
            return;
    }
}

static void check_deadline(struct plugin_host *self)
{
    uint64_t expirations;
    struct life *late = self->busy;
    if (read(self->timer, &expirations, sizeof expirations) < 0 || !late)
        return;
    struct wps_error error;
    wps_error_set(&error, 0, "plugin %s: it is still %s after %u ms",
                  late->loaded ? plugin_name(&late->plugin) : late->plugin.spec.file,
                  state_names[late->state], self->options.stop_timeout_ms);
    give_up(late, error.message);
    worker_abandon(&late->worker);
    self->busy = NULL;
}

void plugin_host_step(struct plugin_host *self)
{
    eventfd_t ignored;
    struct wps_error error;
    int result;
    eventfd_read(self->wake, &ignored);
    struct life *life = self->busy;
    if (life && worker_done(life->worker, &result, &error)) {
        self->busy = NULL;
        set_timer(self, 0);
        done(self, life, result, &error);
    }
    check_deadline(self);
    go_on(self);
}

void plugin_host_stop(struct plugin_host *self)
{
    if (self->phase >= PLUGIN_HOST_STOPPING)
        return;
    self->phase = PLUGIN_HOST_STOPPING;
    if (self->busy)
        arm_deadline(self); /* it may hang in start, or in reload */
    go_on(self);
}

/* ---- reload --------------------------------------------------------------------------------- */

static void renew_options(struct life *life, const struct plugin_spec *spec)
{
    struct plugin_spec copy;
    if (strcmp(spec->file, life->plugin.spec.file) != 0) {
        log_warning("plugin %s: another file is configured in its place: restart the broker",
                    plugin_name(&life->plugin));
        return;
    }
    if (!life->plugin.module.plugin.reload) {
        if (!plugin_spec_same_options(spec, &life->plugin.spec))
            log_warning("plugin %s: its options have changed, and it takes none while it runs: "
                        "restart the broker",
                        plugin_name(&life->plugin));
        return;
    }
    if (plugin_spec_copy(&copy, spec) < 0) {
        log_error("plugin %s: no memory for its options", plugin_name(&life->plugin));
        return;
    }
    plugin_spec_clear(&life->plugin.spec);
    life->plugin.spec = copy;
    life->to_reload = true;
}

void plugin_host_reload(struct plugin_host *self, const struct plugin_spec *specs, size_t n_specs)
{
    if (self->phase != PLUGIN_HOST_RUNNING || self->busy) {
        log_warning("the plugins are busy: their options are not reloaded, try again");
        return;
    }
    if (n_specs != self->n_lives)
        log_warning("plugins were added or removed: restart the broker for that");
    for (size_t i = 0; i < self->n_lives && i < n_specs; i++)
        if (self->lives[i]->state == RUNNING)
            renew_options(self->lives[i], &specs[i]);
    go_on(self);
}

/* ---- telling -------------------------------------------------------------------------------- */

int plugin_host_wake_fd(const struct plugin_host *self)
{
    return self->wake;
}

int plugin_host_timer_fd(const struct plugin_host *self)
{
    return self->timer;
}

enum plugin_host_phase plugin_host_phase(const struct plugin_host *self)
{
    return self->phase;
}

bool plugin_host_failed(const struct plugin_host *self)
{
    return self->failed;
}

bool plugin_host_is_stuck(const struct plugin_host *self)
{
    return first_in(self, STUCK) != NULL;
}

size_t plugin_host_size(const struct plugin_host *self)
{
    return self->n_lives;
}

void plugin_host_info(const struct plugin_host *self, size_t index, struct plugin_info *ret)
{
    const struct life *life = self->lives[index];
    const struct plugin *plugin = &life->plugin;
    *ret = (struct plugin_info){plugin->spec.file, "", state_names[life->state], NULL, 0};
    if (!life->loaded)
        return;
    ret->name = plugin_name(plugin);
    ret->version = plugin->module.plugin.version;
    if (life->state != RUNNING)
        return;
    ret->endpoints = plugin->endpoints;
    ret->n_endpoints = plugin->n_endpoints;
}

int plugin_host_check(const struct plugin_spec *spec, const char *runtime_dir, char *name,
                      size_t name_size, struct wps_error *error)
{
    struct plugin_host_options options = {.runtime_dir = runtime_dir};
    struct plugin plugin;
    if (plugin_init(&plugin, spec, &options) < 0)
        return wps_error_set(error, -ENOMEM, "plugin %s: no memory", spec->file);
    int result = plugin_open(&plugin, error);
    if (result == 0) {
        const struct wps_plugin *is = &plugin.module.plugin;
        snprintf(name, name_size, "%s %s, interface version 1.%u", is->name, is->version,
                 is->minor);
        plugin_close(&plugin, error);
    }
    plugin_clear(&plugin);
    return result;
}
