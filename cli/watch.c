/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack watch: events as they come. */

#include <errno.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/cleanup.h"
#include "cli/act.h"
#include "cli/json.h"
#include "cli/signals.h"
#include "cli/watch_history.h"
#include "cli/watch_link.h"
#include "cli/watch_text.h"

static const char help[] =
    "usage: proctrack watch [OPTIONS] [BLOCK|PATTERN]...\n"
    "\n"
    "Shows the events of the blocks (of all where none is named) as they come, a line each, until\n"
    "Ctrl-C. PATTERN is as a shell has it, in quotes: 'build-*'. When the broker ends it says so,\n"
    "and goes on with the next one. What it has to say itself goes to stderr.\n"
    "\n"
    "  -e, --event=NAME     only these events; may be given more than once: process-added, -exec,\n"
    "                       -changed, -exited, -escaped, block-added, -changed, -resync, "
    "-removed,\n"
    "                       -mark, or the whole name of an event of somebody else's. (All but\n"
    "                       block-mark)\n"
    "  -n, --since-history=N\n"
    "                       begin with the newest N that the broker has kept of each block. How\n"
    "                       many it keeps is the option persist of the module\n"
    "      --events=ENDPOINT\n"
    "                       events socket of the broker (beside the control socket)\n"
    "      --rpc=ENDPOINT   rpc socket of the broker (beside the control "
    "socket)\n" COMMON_OPTIONS_HELP("one JSON object for each event, a line each, as the protocol "
                                    "has it") "\n"
                                              "Exit status: 0 the reader of its output is gone; 2 "
                                              "wrong arguments; 3 it could not be done.\n"
                                              "Ctrl-C and SIGTERM end it in order, as that signal "
                                              "(130 and 143 in a shell).\n"
                                              "\n"
                                              "Examples:\n"
                                              "  proctrack watch\n"
                                              "  proctrack watch --event process-exited demo "
                                              "'build-*'\n"
                                              "  proctrack watch --json --since-history 100 demo\n";

enum { OPTION_EVENTS = OPTION_NEXT, OPTION_RPC };

static const char *const agent_events[] = {
    EVENT_BLOCK_ADDED,    EVENT_PROCESS_ADDED,   EVENT_PROCESS_EXEC,  EVENT_PROCESS_CHANGED,
    EVENT_PROCESS_EXITED, EVENT_PROCESS_ESCAPED, EVENT_BLOCK_CHANGED, EVENT_BLOCK_RESYNC,
    EVENT_BLOCK_REMOVED,  EVENT_BLOCK_MARK};

enum { N_AGENT = sizeof agent_events / sizeof *agent_events, EVENTS_MAX = 64 };

/* Up to where a block was seen. */
struct seen {
    UT_hash_handle hh;
    char id[BLOCK_ID_MAX + 1];
    char epoch[EPOCH_MAX + 1];
    uint64_t seq;
    bool old; /* of an event that was kept */
};

struct watch {
    struct common common;
    const char *wanted[EVENTS_MAX]; /* names of events; none: all but marks */
    size_t n_wanted;
    uint64_t history;
    const char *events_endpoint, *rpc_endpoint;
    bool patterns; /* there is one, or no word at all */

    struct broker broker;
    struct subscriber *events;
    struct watch_link link;
    struct watch_text text;
    struct seen *seen;
    int signals_fd, signal;
};

/* ---- options -------------------------------------------------------------------------------- */

static int take_event(struct watch *watch, const char *value, struct wps_error *error)
{
    if (watch->n_wanted == EVENTS_MAX)
        return wps_error_set(error, -EINVAL, "--event: at most %d", EVENTS_MAX);
    const char *name = strchr(value, ':') ? value : NULL;
    for (size_t i = 0; i < N_AGENT && !name; i++)
        if (strcmp(agent_events[i] + strlen("agent:"), value) == 0)
            name = agent_events[i];
    if (!name)
        return wps_error_set(
            error, -EINVAL,
            "--event: '%s' is no event of a block, such as process-added; those of "
            "others have a colon in their names",
            value);
    watch->wanted[watch->n_wanted++] = name;
    return 0;
}

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    struct watch *watch = self;
    switch (option) {
    case 'e':
        return take_event(watch, value, error);
    case 'n':
        return argument_number(&watch->history, value, 1, EVENT_PERSIST_MAX, "--since-history",
                               error);
    case OPTION_EVENTS:
        watch->events_endpoint = value;
        return 0;
    default:
        watch->rpc_endpoint = value;
        return 0;
    }
}

static bool is_pattern(const char *word)
{
    return strpbrk(word, "*?[") != NULL;
}

static int check(void *self, const struct common *common, struct wps_error *error)
{
    struct watch *watch = self;
    int result = 0;
    watch->patterns = common->n_words == 0;
    for (size_t i = 0; i < common->n_words && result == 0; i++) {
        if (is_pattern(common->words[i]))
            watch->patterns = true;
        else
            result = arguments_are_blocks(&common->words[i], 1, error);
    }
    return result;
}

/* ---- what is wanted ------------------------------------------------------------------------- */

static bool wants_event(const struct watch *watch, struct text name)
{
    for (size_t i = 0; i < watch->n_wanted; i++)
        if (text_is(name, watch->wanted[i]))
            return true;
    return watch->n_wanted == 0 && !text_is(name, EVENT_BLOCK_MARK);
}

static bool wants_block(const struct watch *watch, const char *id)
{
    for (size_t i = 0; i < watch->common.n_words; i++)
        if (fnmatch(watch->common.words[i], id, 0) == 0)
            return true;
    return watch->common.n_words == 0;
}

/* The block that an event is of, of those that are wanted. */
static bool wanted_block(const struct watch *watch, const struct event *event,
                         char id[static TOPIC_MAX + 1])
{
    for (size_t i = 0; i < event->n_scopes; i++) {
        const struct text scope = event->scopes[i];
        if (scope.size <= strlen(TOPIC_PREFIX) || scope.size > TOPIC_MAX ||
            memcmp(scope.at, TOPIC_PREFIX, strlen(TOPIC_PREFIX)) != 0)
            continue;
        size_t size = scope.size - strlen(TOPIC_PREFIX);
        memcpy(id, scope.at + strlen(TOPIC_PREFIX), size);
        id[size] = '\0';
        if (wants_block(watch, id))
            return true;
    }
    return false;
}

/* ---- what was missed ------------------------------------------------------------------------ */

static void notice(const struct watch *watch, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void notice(const struct watch *watch, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "%s: ", watch->common.name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static struct seen *seen_of(struct watch *watch, const char *id, bool make)
{
    struct seen *seen = NULL;
    HASH_FIND_STR(watch->seen, id, seen);
    if (!seen && make && strlen(id) <= BLOCK_ID_MAX && (seen = calloc(1, sizeof *seen))) {
        strcpy(seen->id, id);
        HASH_ADD_STR(watch->seen, id, seen);
        if (!seen->hh.tbl) {
            free(seen);
            seen = NULL;
        }
    }
    return seen;
}

static void forget(struct watch *watch, struct seen *seen)
{
    HASH_DEL(watch->seen, seen);
    free(seen);
}

/* Takes note of an event's place. False: it was shown before. Of old events only some were kept,
 * and fewer are asked for: a gap between them, or behind them, is no loss. A mark makes no note of
 * a block: those of one that is gone would stay. */
static bool is_news(struct watch *watch, const char *id, const struct event *event,
                    const struct block_point *at, bool old)
{
    bool mark = text_is(event->event, EVENT_BLOCK_MARK);
    struct seen *seen = seen_of(watch, id, !mark);
    if (!seen || at->epoch.size > EPOCH_MAX)
        return true;
    if (seen->seq > 0 && text_is(at->epoch, seen->epoch)) {
        uint64_t next = seen->seq + !mark;
        if (at->seq < next)
            return mark;
        if (at->seq > next && !old && !seen->old)
            notice(watch, "%llu events of %s did not arrive; proctrack ps %s shows what is there",
                   (unsigned long long)(at->seq - next), id, id);
    }
    seen->seq = at->seq;
    seen->old = old;
    memcpy(seen->epoch, at->epoch.at, at->epoch.size);
    seen->epoch[at->epoch.size] = '\0';
    if (text_is(event->event, EVENT_BLOCK_REMOVED))
        forget(watch, seen);
    return true;
}

/* ---- showing -------------------------------------------------------------------------------- */

static void show_json(const struct event *event, const msgpack_object *data)
{
    json_t *line = json_object(), *scopes = json_array();
    for (size_t i = 0; i < event->n_scopes; i++)
        json_array_append_new(scopes, json_of_text(event->scopes[i]));
    json_object_set_new(line, "event", json_of_text(event->event));
    json_object_set_new(line, "scopes", scopes);
    if (event->sender.size > 0)
        json_object_set_new(line, "sender", json_of_text(event->sender));
    if (data)
        json_object_set_new(line, "data", json_of(data));
    json_line(line);
}

/* Shows an event, if it is one that is wanted. `when_ms` of 0: it was kept. */
static void show(struct watch *watch, const struct event *event, uint64_t when_ms)
{
    struct wire_doc doc = {0};
    struct block_point at;
    char id[TOPIC_MAX + 1];
    if (!wanted_block(watch, event, id))
        return;
    bool has_data = event->data.size > 0 &&
                    wire_open(&doc, event->data.at, event->data.size, WIRE_DEPTH_LIMIT, NULL) == 0;
    const msgpack_object *data = has_data ? &doc.root : NULL;
    bool of_block = has_data && strncmp(event->event.at, "agent:", 6) == 0 &&
                    data->type == MSGPACK_OBJECT_MAP && block_point_read(&at, data, NULL) == 0;
    if ((!of_block || is_news(watch, id, event, &at, when_ms == 0)) &&
        wants_event(watch, event->event)) {
        if (watch->common.json)
            show_json(event, data);
        else
            watch_text_put(&watch->text, event, data, when_ms);
    }
    wire_close(&doc);
}

static void show_old(void *context, const struct event *event)
{
    show(context, event, 0);
}

/* ---- subscribing ---------------------------------------------------------------------------- */

/* Subscribes to the events `names` of the blocks. */
static int subscribe(struct watch *watch, const char *const *names, size_t n_names,
                     struct wps_error *error)
{
    size_t n = watch->patterns ? 1 : watch->common.n_words;
    char(*topics)[TOPIC_MAX + 1] = calloc(n, sizeof *topics);
    _cleanup_free_ const char **scopes = calloc(n, sizeof *scopes);
    int result = topics && scopes ? 0 : wps_error_system(error, -ENOMEM, "cannot subscribe");
    for (size_t i = 0; i < n && result == 0; i++) {
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): errors are not 0
        topic_of_block(topics[i], text_of(watch->patterns ? "*" : watch->common.words[i]));
        scopes[i] = topics[i]; // NOLINT(clang-analyzer-core.NullDereference): the same
    }
    for (size_t i = 0; i < n_names && result == 0; i++)
        result = subscriber_subscribe(watch->events, names[i], scopes, n, error);
    free(topics);
    return result;
}

/* All events of the blocks, also where few are wanted: only so a gap is seen. */
static int subscribe_all(struct watch *watch, struct wps_error *error)
{
    int result = subscribe(watch, agent_events, N_AGENT, error);
    for (size_t i = 0; i < watch->n_wanted && result == 0; i++)
        result = subscribe(watch, &watch->wanted[i], 1, error);
    return result;
}

static int read_history(struct watch *watch, struct wps_error *error)
{
    int result = 0;
    const char *const *names = watch->n_wanted ? watch->wanted : agent_events;
    size_t n_names = watch->n_wanted ? watch->n_wanted : N_AGENT - 1; /* but for marks */
    for (size_t i = 0; i < watch->common.n_words && !watch->patterns && result == 0; i++) {
        char topic[TOPIC_MAX + 1];
        topic_of_block(topic, text_of(watch->common.words[i]));
        result = watch_history_read(&watch->link, names, n_names, topic, watch->history, show_old,
                                    watch, error);
    }
    if (watch->patterns)
        result = watch_history_read(&watch->link, names, n_names, "", watch->history, show_old,
                                    watch, error);
    return result;
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* What is written is on its way. -EPIPE: nobody reads it any more; then what is left is dropped. */
static int flush(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    struct pollfd output = {.fd = STDOUT_FILENO};
    bool unread = errno == EPIPE || (poll(&output, 1, 0) == 1 && output.revents & POLLERR);
    if (!unread)
        return errno ? -errno : -EIO;
    __fpurge(stdout);
    clearerr(stdout);
    return -EPIPE;
}

/* Shows all that is there. -EPIPE: nobody reads it any more. */
static int drain(struct watch *watch)
{
    const struct event *event;
    int result;
    while ((result = subscriber_receive(watch->events, 0, &event)) == 1)
        show(watch, event, term_now_ms());
    int flushed = flush();
    return flushed < 0 ? flushed : result == -EAGAIN || result == -EINTR ? 0 : result;
}

static void tell_broker(struct watch *watch)
{
    if (!watch_link_changed(&watch->link))
        return;
    if (watch->link.here)
        notice(watch, "a broker is at %s again", watch->broker.endpoint);
    else
        notice(watch, "the broker at %s ended; waiting for the next one", watch->broker.endpoint);
}

/* Until a signal, or until nobody reads the output any more. */
static int follow(struct watch *watch)
{
    zmq_pollitem_t items[] = {{.fd = watch->signals_fd, .events = ZMQ_POLLIN},
                              {.socket = watch->link.monitor, .events = ZMQ_POLLIN},
                              {.fd = subscriber_fd(watch->events), .events = ZMQ_POLLIN},
                              {.fd = STDOUT_FILENO, .events = ZMQ_POLLERR}};
    for (;;) {
        int result = drain(watch);
        if (result < 0)
            return result;
        if (zmq_poll(items, 4, -1) < 0 && errno != EINTR)
            return -errno;
        watch->signal = signals_read(watch->signals_fd);
        if (watch->signal || items[3].revents & ZMQ_POLLERR)
            return 0;
        if (items[1].revents)
            tell_broker(watch);
    }
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int open_sockets(struct watch *watch, struct wps_error *error)
{
    _cleanup_free_ char *events = broker_beside(&watch->broker, "events");
    if (!watch->events_endpoint && !events)
        return wps_error_set(error, -EINVAL, "where is the events socket? --events says so");
    int result = subscriber_open_with_keys(&watch->events, watch->broker.context,
                                           watch->events_endpoint ? watch->events_endpoint : events,
                                           &watch->broker.keys, error);
    if (result == 0)
        result = subscribe_all(watch, error);
    return result;
}

static int watch_all(struct watch *watch, struct wps_error *error)
{
    _cleanup_free_ char *rpc = broker_beside(&watch->broker, "rpc");
    const char *endpoint = watch->rpc_endpoint ? watch->rpc_endpoint : rpc;
    int result = open_sockets(watch, error);
    if (result == 0 && !endpoint)
        result = wps_error_set(error, -EINVAL, "where is the rpc socket? --rpc says so");
    if (result == 0)
        result = watch_link_open(&watch->link, watch->broker.context, endpoint, &watch->broker.keys,
                                 watch->broker.timeout_ms, error);
    if (result == 0)
        result = watch_link_sync(&watch->link, watch->events, error);
    if (result == 0 && watch->history > 0)
        result = read_history(watch, error);
    if (result < 0)
        return result;
    result = follow(watch);
    return result < 0 && result != -EPIPE
               ? wps_error_set(error, result, "cannot wait for events: %s", zmq_strerror(-result))
               : 0;
}

static void close_all(struct watch *watch)
{
    struct seen *seen, *next;
    HASH_ITER (hh, watch->seen, seen, next)
        forget(watch, seen);
    watch_text_clear(&watch->text);
    watch_link_close(&watch->link);
    subscriber_close(&watch->events);
    broker_close(&watch->broker);
}

int watch_main(int argc, char **argv)
{
    static const struct option options[] = {{"event", required_argument, NULL, 'e'},
                                            {"since-history", required_argument, NULL, 'n'},
                                            {"events", required_argument, NULL, OPTION_EVENTS},
                                            {"rpc", required_argument, NULL, OPTION_RPC},
                                            COMMON_OPTIONS};
    const struct syntax syntax = {help, "he:n:", options, 0, SIZE_MAX, "", take, check};
    struct watch watch = {.text = {.term = term_of(STDOUT_FILENO)}};
    struct wps_error error;
    int status = arguments_read(&watch.common, &syntax, &watch, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    status = act_open_broker(&watch.broker, &watch.common);
    if (status != CLI_OK)
        return status;
    watch.signals_fd = signals_open();
    signal(SIGPIPE, SIG_IGN); /* a reader that is gone is no failure */
    if (watch_all(&watch, &error) < 0)
        status = act_fail(&watch.common, error.message);
    close_all(&watch);
    signals_close(watch.signals_fd, watch.signal);
    return status;
}
