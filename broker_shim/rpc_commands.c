/* SPDX-License-Identifier: Apache-2.0 */

/* The broker's own commands. */

#include "broker_shim/rpc_commands.h"

#include "access/access.h"
#include "broker_shim/descriptors.h"
#include "broker_shim/log.h"
#include "schemas/quote.h"

#define BROKER_NAME "wpsd"

/* One request on its way through a command. */
struct call {
    const struct request *request;
    struct text bytes;
    struct wire_out *reply;
    struct wps_error *error;
};

typedef int command_function(struct rpc_commands *self, struct call *call);

static enum errorcode errorcode_of(int code)
{
    switch (code) {
    case -EPERM:
        return ERRORCODE_NOT_PERMITTED;
    case -ENOBUFS:
    case -EMSGSIZE:
        return ERRORCODE_LIMIT;
    case -EINVAL:
    case -EBADMSG:
        return ERRORCODE_INVALID_ARGUMENT;
    default:
        return ERRORCODE_INTERNAL;
    }
}

static int need_data(const struct call *call)
{
    if (!call->request->data)
        return wps_error_set(call->error, -EINVAL, "data: missing");
    return 0;
}

/* ---- eventpublish -------------------------------------------------------------------------- */

static int eventpublish(struct rpc_commands *self, struct call *call)
{
    struct event_doc doc;
    struct text raw;
    int result = need_data(call);
    if (result < 0)
        return result;
    result = wire_find_raw(call->bytes, "data", &raw);
    if (result == 0)
        result = event_open_object(&doc, call->request->data, raw, "data", call->error);
    if (result < 0)
        return result;
    result = routing_send_from_outside(self->routing, &doc.event, "data", call->error);
    event_close(&doc);
    if (result < 0)
        return result;
    reply_begin(call->reply, &call->request->reqid);
    wire_put_map(call->reply, 1);
    wire_pair_uint(call->reply, "routed", (uint64_t)result);
    return 0;
}

/* ---- eventreadhistory ---------------------------------------------------------------------- */

struct history_arguments {
    struct text event;
    struct text scope;
    uint64_t maxitems;
};

static const struct wire_field history_fields[] = {
    {"event", WIRE_STR, true, offsetof(struct history_arguments, event)},
    {"scope", WIRE_STR, false, offsetof(struct history_arguments, scope)},
    {"maxitems", WIRE_UINT, true, offsetof(struct history_arguments, maxitems)},
};

static void measure(void *context, const struct packet *packet)
{
    *(size_t *)context += packet->body.size;
}

static void put_event(void *context, const struct packet *packet)
{
    wire_put_raw(context, packet->body.at, packet->body.size);
}

/* Under the routing's lock. */
static int put_history(struct rpc_commands *self, struct call *call,
                       const struct history_arguments *wanted)
{
    struct history *history = self->routing->history;
    size_t max = wanted->maxitems < EVENT_PERSIST_MAX ? wanted->maxitems : EVENT_PERSIST_MAX;
    size_t bytes = 0;
    size_t n = history_read(history, wanted->event, wanted->scope, max, measure, &bytes);
    if (bytes > self->reply_max)
        return wps_error_set(call->error, -EMSGSIZE,
                             "data.maxitems: these %zu events have %zu bytes, a reply has at most "
                             "%zu: ask for fewer",
                             n, bytes, self->reply_max);
    reply_begin(call->reply, &call->request->reqid);
    wire_put_map(call->reply, 1);
    wire_put_str(call->reply, "events");
    wire_put_array(call->reply, n);
    history_read(history, wanted->event, wanted->scope, max, put_event, call->reply);
    return 0;
}

static int eventreadhistory(struct rpc_commands *self, struct call *call)
{
    struct history_arguments wanted = {.scope = {"", 0}};
    int result = need_data(call);
    if (result == 0)
        result =
            wire_read(call->request->data, "data", history_fields, 3, &wanted, NULL, call->error);
    if (result == 0)
        result = routing_check_unsent(self->routing, call->error);
    if (result < 0)
        return result;
    pthread_mutex_lock(&self->routing->lock);
    result = put_history(self, call, &wanted);
    pthread_mutex_unlock(&self->routing->lock);
    return result;
}

/* ---- brokerinfo ---------------------------------------------------------------------------- */

static void put_plugin(struct wire_out *out, const struct plugin_info *plugin)
{
    wire_put_map(out, 4);
    wire_pair_repaired(out, "name", text_of(plugin->name));
    wire_pair_repaired(out, "version", text_of(plugin->version));
    wire_pair_str(out, "state", plugin->state);
    wire_put_str(out, "endpoints");
    wire_put_map(out, plugin->n_endpoints);
    for (size_t i = 0; i < plugin->n_endpoints; i++) {
        wire_put_repaired(out, text_of(plugin->endpoints[i].name));
        wire_put_repaired(out, text_of(plugin->endpoints[i].endpoint));
    }
}

static void put_plugins(struct wire_out *out, const struct plugin_host *plugins)
{
    size_t n = plugin_host_size(plugins);
    wire_put_str(out, "plugins");
    wire_put_array(out, n);
    for (size_t i = 0; i < n; i++) {
        struct plugin_info info;
        plugin_host_info(plugins, i, &info);
        put_plugin(out, &info);
    }
}

static void put_endpoints(struct wire_out *out, const struct rpc_commands *self)
{
    wire_put_str(out, "endpoints");
    wire_put_map(out, self->n_endpoints);
    for (size_t i = 0; i < self->n_endpoints; i++)
        wire_pair_repaired(out, self->endpoints[i].name, text_of(self->endpoints[i].endpoint));
}

static void put_counters(struct wire_out *out, const struct rpc_commands *self)
{
    struct counters *counters = self->routing->counters;
    atomic_store(&counters->peers_refused, access_refused(self->access));
    atomic_store(&counters->connections_refused, descriptors_refused());
    atomic_store(&counters->log_lines_lost, log_lines_lost());
    wire_put_str(out, "counters");
#define ONE(name, help) +1 // NOLINT(bugprone-macro-parentheses): a term of a sum
    wire_put_map(out, BROKER_COUNTERS(ONE));
#define COUNTER(name, help) wire_pair_uint(out, #name, counter_read(&counters->name));
    BROKER_COUNTERS(COUNTER)
#undef COUNTER
}

static void put_gauges(struct wire_out *out, const struct rpc_commands *self)
{
    struct {
#define GAUGE(name, help) size_t name;
        BROKER_GAUGES(GAUGE)
#undef GAUGE
    } now = {.unsent_bytes = atomic_load(&self->routing->unsent)};
    event_queue_fill(self->queue, &now.queue_events, &now.queue_bytes);
    pthread_mutex_lock(&self->routing->lock);
    now.history_events = history_events(self->routing->history);
    now.history_bytes = history_bytes(self->routing->history);
    pthread_mutex_unlock(&self->routing->lock);
    wire_put_str(out, "gauges");
    wire_put_map(out, BROKER_GAUGES(ONE));
#undef ONE
#define GAUGE(name, help) wire_pair_uint(out, #name, now.name);
    BROKER_GAUGES(GAUGE)
#undef GAUGE
}

static int brokerinfo(struct rpc_commands *self, struct call *call)
{
    struct wire_out *out = call->reply;
    reply_begin(out, &call->request->reqid);
    wire_put_map(out, 6);
    wire_pair_str(out, "name", BROKER_NAME);
    wire_pair_str(out, "version", PROCTRACK_VERSION);
    put_endpoints(out, self);
    put_plugins(out, self->plugins);
    put_counters(out, self);
    put_gauges(out, self);
    return 0;
}

/* ---- the table ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    command_function *run;
} commands[] = {
    {"eventpublish", eventpublish},
    {"eventreadhistory", eventreadhistory},
    {"brokerinfo", brokerinfo},
};

static command_function *find(struct text name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (text_is(name, commands[i].name))
            return commands[i].run;
    return NULL;
}

int rpc_commands_run(struct rpc_commands *self, const struct request *request, struct text bytes,
                     struct wire_out *reply, enum errorcode *ret_code, struct wps_error *error)
{
    command_function *run = find(request->command);
    if (!run) {
        char quoted[QUOTE_SIZE];
        *ret_code = ERRORCODE_UNKNOWN_COMMAND;
        return wps_error_set(error, -EINVAL,
                             "command: there is no %s here; there are eventpublish, "
                             "eventreadhistory and brokerinfo",
                             quote(quoted, request->command));
    }
    struct call call = {.request = request, .bytes = bytes, .reply = reply, .error = error};
    int result = run(self, &call);
    if (result < 0)
        *ret_code = errorcode_of(result);
    return result;
}
