/* SPDX-License-Identifier: Apache-2.0 */

/* Everything tied to one loop. */

#include "broker_shim/broker.h"

#include <czmq.h>
#include <signal.h>
#include <sys/stat.h>

#include "access/access.h"
#include "base/cleanup.h"
#include "base/gather.h"
#include "base/runtime_path.h"
#include "broker_shim/descriptors.h"
#include "broker_shim/endpoint.h"
#include "broker_shim/event_queue.h"
#include "broker_shim/log.h"
#include "broker_shim/notify.h"
#include "broker_shim/plugin_host.h"
#include "broker_shim/publish.h"
#include "broker_shim/routing.h"
#include "broker_shim/rpc.h"
#include "broker_shim/runtime_dir.h"
#include "broker_shim/runtime_guard.h"
#include "broker_shim/signals.h"

enum {
    EVENTS_IN_ONE_GO = 256, /* of the plugins, before the other sockets get their turn */
    /* Ctrl-C and a supervisor that passes it on give two signals for one wish. */
    SAME_WISH_MS = 500,
};

struct broker {
    struct config config;
    broker_read_config *read_config;
    void *read_config_context;
    struct runtime_dir runtime;
    struct runtime_guard *guard;
    struct counters counters;
    struct access *access;
    struct event_queue *queue;
    struct gather gather; /* of what the plugins publish */
    struct routing routing;
    struct publish *publish;
    struct rpc_commands commands;
    struct rpc *rpc;
    struct plugin_host *plugins;
    int signals;
    zloop_t *loop;
    bool ready_told;
    int64_t stopped_at_ms; /* when the first signal to stop came */
};

/* ---- making --------------------------------------------------------------------------------- */

/* czmq takes over SIGINT and SIGTERM, and logs to stdout, unless it is told not to. */
static void tame_czmq(const struct config *config)
{
    zsys_handler_set(NULL);
    zsys_init();
    zsys_set_logstream(stderr);
    zsys_set_io_threads(config->io_threads);
}

/* The endpoint that is configured, or `name` in the runtime directory. */
static char *endpoint_of(const struct broker *self, const char *configured, const char *name)
{
    char *endpoint;
    if (configured)
        return strdup(configured);
    return asprintf(&endpoint, "ipc://%s/%s", self->runtime.path, name) < 0 ? NULL : endpoint;
}

/* Who may listen, ask and publish. */
static int make_access(struct broker *self, struct wps_error *error)
{
    const struct config *config = &self->config;
    struct access_options options = {
        .secret = config->curve_secret,
        .clients = {[ACCESS_LISTEN] = config->curve_listen,
                    [ACCESS_ASK] = config->curve_ask,
                    [ACCESS_PUBLISH] = config->curve_publish},
        .plain_tcp = config->plain_tcp,
        .others_listen = config->allow_others,
        .users = config->allow_users,
        .secret_option = "curve-secret",
        .client_options = {[ACCESS_LISTEN] = "curve-listen",
                           [ACCESS_ASK] = "curve-ask",
                           [ACCESS_PUBLISH] = "curve-publish"},
        .plain_option = "plain-tcp",
    };
    if (config->plain_tcp)
        log_warning("plain-tcp: on tcp nobody is asked who they are: every user of this machine "
                    "may use it");
    return access_new(&self->access, zsys_init(), &options, error);
}

/* True where some other user is to reach the sockets. */
static bool is_open(const struct broker *self)
{
    return self->config.allow_others || self->config.allow_users;
}

static mode_t socket_mode(const struct broker *self)
{
    return is_open(self) ? 0666 : 0600;
}

static int make_events(struct broker *self, struct wps_error *error)
{
    _cleanup_free_ char *endpoint = endpoint_of(self, self->config.events_endpoint, "events");
    if (!endpoint)
        return wps_error_set(error, -ENOMEM, "making the events socket: no memory");
    struct events_options options = {
        .access = self->access,
        .endpoint = endpoint,
        .mode = socket_mode(self),
        .subscriber_queue = (int)self->config.subscriber_queue,
        .linger_ms = (int)self->config.linger_ms,
    };
    return events_new(&self->routing.events, &options, &self->counters, &self->routing.unsent,
                      error);
}

static void tell_lost(int result)
{
    if (result < 0)
        log_error("an event is lost: no memory to send it");
}

/* In a plugin's thread. */
static bool send_now(void *context, struct packet *packet)
{
    struct broker *self = context;
    int result = routing_try_send(&self->routing, packet);
    if (result == -EBUSY)
        return false;
    tell_lost(result);
    return true;
}

static int make_routing(struct broker *self, struct wps_error *error)
{
    self->routing.counters = &self->counters;
    self->routing.unsent_max = self->config.unsent_bytes;
    wire_out_init(&self->routing.scratch);
    self->routing.history = history_new(self->config.history_bytes, self->config.history_lists);
    if (!self->routing.history)
        return wps_error_set(error, -ENOMEM, "making the history: no memory");
    int result = make_events(self, error);
    if (result == 0 && self->config.send_at_once)
        event_queue_set_send_now(self->queue, send_now, self);
    return result;
}

static int make_publish(struct broker *self, struct wps_error *error)
{
    _cleanup_free_ char *endpoint = endpoint_of(self, self->config.publish_endpoint, "publish");
    if (!endpoint)
        return wps_error_set(error, -ENOMEM, "making the publish socket: no memory");
    struct publish_options options = {
        .access = self->access,
        .endpoint = endpoint,
        .mode = socket_mode(self),
        .queue = (int)self->config.publish_queue,
        .event_max = self->config.event_bytes,
    };
    return publish_new(&self->publish, &options, &self->routing, error);
}

static int make_rpc(struct broker *self, struct wps_error *error)
{
    _cleanup_free_ char *endpoint = endpoint_of(self, self->config.rpc_endpoint, "rpc");
    if (!endpoint)
        return wps_error_set(error, -ENOMEM, "making the rpc socket: no memory");
    struct rpc_options options = {
        .access = self->access,
        .endpoint = endpoint,
        .mode = socket_mode(self),
        .queue = (int)self->config.rpc_queue,
    };
    int result = rpc_new(&self->rpc, &options, &self->commands, error);
    if (result < 0)
        return result;
    self->commands = (struct rpc_commands){
        .routing = &self->routing,
        .queue = self->queue,
        .plugins = self->plugins,
        .access = self->access,
        .reply_max = self->config.reply_bytes,
        .n_endpoints = 3,
        .endpoints = {{"events", events_endpoint(self->routing.events)},
                      {"publish", publish_endpoint(self->publish)},
                      {"rpc", rpc_endpoint(self->rpc)}},
    };
    return 0;
}

static int make_plugins(struct broker *self, struct wps_error *error)
{
    struct plugin_host_options options = {
        .runtime_dir = self->runtime.path,
        .queue = self->queue,
        .counters = &self->counters,
        .stop_timeout_ms = (uint32_t)self->config.stop_timeout_ms,
    };
    return plugin_host_new(&self->plugins, &options, self->config.plugins, self->config.n_plugins,
                           error);
}

static int take_runtime_dir(struct broker *self, struct wps_error *error)
{
    _cleanup_free_ char *path = NULL;
    int result = runtime_path_resolve(self->config.runtime_dir, &path, error);
    if (result < 0)
        return result;
    return runtime_dir_open(&self->runtime, path, is_open(self), error);
}

static int make_all(struct broker *self, struct wps_error *error)
{
    int result = signals_open(&self->signals, error);
    if (result == 0)
        result = descriptors_prepare(self->config.max_descriptors, self->config.reserve_descriptors,
                                     error);
    if (result == 0)
        result = take_runtime_dir(self, error);
    if (result < 0)
        return result;
    tame_czmq(&self->config);
    result = make_access(self, error);
    if (result == 0)
        result = event_queue_new(&self->queue, self->config.queue_events, self->config.queue_bytes,
                                 error);
    if (result == 0)
        result = make_plugins(self, error);
    if (result == 0)
        result = make_routing(self, error);
    if (result == 0)
        result = make_publish(self, error);
    if (result == 0)
        result = make_rpc(self, error);
    return result;
}

static void apply_log(const struct config *config)
{
    log_set_level((enum wps_log_level)config->log_level);
    log_set_format((enum log_format)config->log_format);
}

int broker_new(struct broker **ret, struct config *config, broker_read_config *read_config,
               void *context, struct wps_error *error)
{
    struct broker *self = calloc(1, sizeof *self);
    if (!self)
        return wps_error_set(error, -ENOMEM, "making the broker: no memory");
    self->config = *config;
    self->read_config = read_config;
    self->read_config_context = context;
    self->runtime = RUNTIME_DIR_NONE;
    self->signals = -1;
    pthread_mutex_init(&self->routing.lock, NULL);
    apply_log(&self->config);
    /* A socket is bound before its mode can be set. The plugins get the umask of our user again. */
    mode_t mask = umask(0077);
    int result = make_all(self, error);
    umask(mask);
    if (result < 0) {
        self->config = (struct config){0}; /* stays the caller's */
        broker_destroy(&self);
        return result;
    }
    *config = (struct config){0};
    *ret = self;
    return 0;
}

void broker_destroy(struct broker **self_p)
{
    struct broker *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    bool stuck = self->plugins && plugin_host_is_stuck(self->plugins);
    runtime_guard_destroy(&self->guard);
    zloop_destroy(&self->loop);
    rpc_destroy(&self->rpc);
    publish_destroy(&self->publish);
    events_destroy(&self->routing.events);
    access_free(&self->access);
    signals_end_at_once(BROKER_STOPPED_AT_ONCE);
    zsys_shutdown(); /* waits for what is unsent, as long as the sockets' linger says */
    history_destroy(&self->routing.history);
    cleanup_close(&self->signals);
    if (stuck)
        return; /* a plugin may still publish, log, and look at the path of the directory */
    runtime_dir_close(&self->runtime);
    plugin_host_destroy(&self->plugins);
    event_queue_destroy(&self->queue);
    pthread_mutex_destroy(&self->routing.lock);
    wire_out_destroy(&self->routing.scratch);
    config_clear(&self->config);
    free(self);
}

/* ---- what the loop watches ------------------------------------------------------------------ */

static int on_events_socket(zloop_t *loop, zmq_pollitem_t *item, void *context)
{
    struct broker *self = context;
    (void)loop, (void)item;
    routing_receive(&self->routing);
    return 0;
}

static int on_publish_socket(zloop_t *loop, zsock_t *socket, void *context)
{
    struct broker *self = context;
    (void)loop, (void)socket;
    publish_receive(self->publish);
    return 0;
}

static int on_rpc_socket(zloop_t *loop, zsock_t *socket, void *context)
{
    struct broker *self = context;
    (void)loop, (void)socket;
    rpc_receive(self->rpc);
    return 0;
}

static int on_access(zloop_t *loop, zmq_pollitem_t *item, void *context)
{
    struct broker *self = context;
    (void)loop, (void)item;
    access_work(self->access); /* what is left makes its socket readable again */
    return 0;
}

/* Sends some of what the plugins published. Returns how many events there were. */
static unsigned send_some(struct broker *self)
{
    struct packet *packet = event_queue_take(self->queue, EVENTS_IN_ONE_GO);
    unsigned n = 0;
    for (struct packet *next; packet; packet = next, n++) {
        next = packet->next;
        tell_lost(routing_send(&self->routing, packet));
        packet_release(packet);
    }
    event_queue_sent(self->queue);
    return n;
}

static int on_queue(zloop_t *loop, zmq_pollitem_t *item, void *context)
{
    struct broker *self = context;
    (void)loop, (void)item;
    unsigned n = send_some(self);
    gather_count(&self->gather, n);
    if (n < EVENTS_IN_ONE_GO)
        gather_wait(&self->gather);
    return 0;
}

static void tell_ready(struct broker *self)
{
    if (self->ready_told || plugin_host_phase(self->plugins) != PLUGIN_HOST_RUNNING)
        return;
    self->ready_told = true;
    log_info("ready: events at %s, rpc at %s", events_endpoint(self->routing.events),
             rpc_endpoint(self->rpc));
    notify_ready("serves");
}

static int on_plugins(zloop_t *loop, zmq_pollitem_t *item, void *context)
{
    struct broker *self = context;
    (void)loop, (void)item;
    plugin_host_step(self->plugins);
    tell_ready(self);
    return plugin_host_phase(self->plugins) == PLUGIN_HOST_STOPPED ? -1 : 0;
}

/* ---- signals -------------------------------------------------------------------------------- */

static void take_over(struct broker *self, struct config *next)
{
    const char *fixed = config_change(&self->config, next);
    if (fixed)
        log_warning("%s has changed: restart the broker for that", fixed);
    apply_log(&self->config);
    plugin_host_reload(self->plugins, next->plugins, next->n_plugins);
    config_clear(next);
}

static void reload(struct broker *self)
{
    struct config next;
    struct wps_error error;
    bool serves = plugin_host_phase(self->plugins) == PLUGIN_HOST_RUNNING;
    if (serves) /* else it is not ready, or does not get ready any more */
        notify_reloading();
    int result = self->read_config(self->read_config_context, &next, &error);
    if (result < 0)
        log_error("nothing is reloaded: %s", error.message);
    else
        take_over(self, &next);
    if (serves)
        notify_ready(result < 0 ? "serves; its configuration is wrong now" : "serves");
}

static void change_level(int by)
{
    int level = (int)log_level() + by;
    if (level < WPS_LOG_ERROR || level > WPS_LOG_TRACE)
        return;
    log_set_level((enum wps_log_level)level);
    log_line(level, "wpsd", "log level is %s", log_level_name((enum wps_log_level)level));
}

static void stop_at_once(struct broker *self)
{
    log_error("stopped at once, plugins were still at work");
    endpoint_unlink(rpc_endpoint(self->rpc));
    endpoint_unlink(publish_endpoint(self->publish));
    endpoint_unlink(events_endpoint(self->routing.events));
    _exit(BROKER_STOPPED_AT_ONCE);
}

static void stop(struct broker *self, int signal)
{
    int64_t now_ms = zclock_mono();
    if (self->stopped_at_ms && now_ms - self->stopped_at_ms < SAME_WISH_MS)
        return;
    if (self->stopped_at_ms)
        stop_at_once(self);
    self->stopped_at_ms = now_ms;
    log_info("stopping, on %s (once more stops at once)", signal == SIGINT ? "SIGINT" : "SIGTERM");
    notify_stopping(plugin_host_patience_ms(self->plugins) + self->config.linger_ms);
    plugin_host_stop(self->plugins);
}

static int on_signal(zloop_t *loop, zmq_pollitem_t *item, void *context)
{
    struct broker *self = context;
    (void)loop, (void)item;
    for (int signal; (signal = signals_next(self->signals));) {
        if (signal == SIGHUP)
            reload(self);
        else if (signal == SIGUSR1 || signal == SIGUSR2)
            change_level(signal == SIGUSR1 ? 1 : -1);
        else
            stop(self, signal);
    }
    return plugin_host_phase(self->plugins) == PLUGIN_HOST_STOPPED ? -1 : 0;
}

/* ---- running -------------------------------------------------------------------------------- */

static int watch(struct broker *self, int fd, zloop_fn *handler)
{
    zmq_pollitem_t item = {.fd = fd, .events = ZMQ_POLLIN};
    return zloop_poller(self->loop, &item, handler, self);
}

static int watch_access(struct broker *self)
{
    void *sockets[ACCESS_SOCKETS_MAX];
    size_t n = access_sockets(self->access, sockets);
    int failed = 0;
    for (size_t i = 0; i < n; i++) {
        zmq_pollitem_t item = {.socket = sockets[i], .events = ZMQ_POLLIN};
        failed |= zloop_poller(self->loop, &item, on_access, self);
    }
    return failed;
}

/* Without it the broker runs, but does not see when its directory is deleted. */
static void guard_runtime(struct broker *self)
{
    struct wps_error error;
    struct runtime_guard_options options = {
        .runtime = &self->runtime,
        .allow_others = is_open(self),
        .mode = socket_mode(self),
        .routing = &self->routing,
        .publish = self->publish,
        .rpc = self->rpc,
    };
    if (runtime_guard_new(&self->guard, self->loop, &options, &error) < 0)
        log_warning("%s: if it is deleted, nobody will notice", error.message);
}

static int make_loop(struct broker *self)
{
    self->loop = zloop_new();
    if (!self->loop)
        return -ENOMEM;
    zloop_set_nonstop(self->loop, true);
    int failed = watch_access(self) | watch(self, self->signals, on_signal) |
                 watch(self, plugin_host_wake_fd(self->plugins), on_plugins) |
                 watch(self, plugin_host_timer_fd(self->plugins), on_plugins) |
                 watch(self, event_queue_fd(self->queue), on_queue) |
                 watch(self, events_fd(self->routing.events), on_events_socket) |
                 zloop_reader(self->loop, rpc_socket(self->rpc), on_rpc_socket, self) |
                 zloop_reader(self->loop, publish_socket(self->publish), on_publish_socket, self);
    return failed ? -ENOMEM : 0;
}

static enum broker_status status(const struct broker *self)
{
    if (plugin_host_is_stuck(self->plugins))
        return BROKER_PLUGIN_STUCK;
    return plugin_host_failed(self->plugins) ? BROKER_PLUGIN_FAILED : BROKER_ENDED;
}

enum broker_status broker_run(struct broker *self)
{
    if (make_loop(self) < 0) {
        log_error("making the loop: no memory");
        return BROKER_FAILED;
    }
    guard_runtime(self);
    gather_init(&self->gather, GATHER_RATE);
    on_plugins(self->loop, NULL, self);
    /* A handler of ours ends it with -1. With 0 it was interrupted, by a signal that a plugin or
     * something preloaded handles. */
    while (plugin_host_phase(self->plugins) != PLUGIN_HOST_STOPPED && zloop_start(self->loop) == 0)
        ;
    event_queue_close(self->queue);
    while (send_some(self))
        ;
    return status(self);
}
