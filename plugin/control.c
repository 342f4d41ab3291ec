/* SPDX-License-Identifier: Apache-2.0 */

/* The control socket. */

#include "plugin/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "access/access.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/commands.h"
#include "plugin/control_file.h"
#include "plugin/limits.h"

enum { FRAMES_MAX = 8, HIGH_WATER = 1000, BACKLOG = 1024 };

struct control {
    struct module *module;
    void *context, *socket; /* ZeroMQ's; used by the loop alone */
    struct access *access;  /* who may ask */
    sd_event_source *source, *access_sources[ACCESS_SOCKETS_MAX];
    struct control_file *file;
    bool bound, ipc;
    bool stirred; /* a socket may have news that ZeroMQ told once, and will not tell again */
    char endpoint[OPTION_TEXT_MAX + 32];
    TAILQ_HEAD(, ask) asks;
    unsigned n_asks;
    struct wire_out out;
};

/* ---- answering ---- */

struct module *control_module(const struct control *control)
{
    return control->module;
}

static void free_ask(struct ask *ask)
{
    TAILQ_REMOVE(&ask->control->asks, ask, all);
    ask->control->n_asks--;
    sd_event_source_disable_unref(ask->timer);
    free(ask);
}

/* The envelope and the body in control->out. A client that is gone, or does not read, gets nothing.
 * What does not wait can be interrupted all the same, and what was sent of a message stays sent. */
static void send_body(struct control *control, const struct frame *frames, size_t n_frames)
{
    const struct wire_out *out = &control->out;
    control->stirred = true; /* sending may take the news of what came */
    for (size_t i = 0; i < n_frames; i++)
        if (TEMP_FAILURE_RETRY(zmq_send(control->socket, frames[i].bytes, frames[i].size,
                                        ZMQ_DONTWAIT | ZMQ_SNDMORE)) < 0) {
            control->module->counters.replies_dropped++;
            return;
        }
    if (TEMP_FAILURE_RETRY(
            zmq_send(control->socket, out->bytes.data, out->bytes.size, ZMQ_DONTWAIT)) < 0)
        control->module->counters.replies_dropped++;
}

struct wire_out *control_reply(struct ask *ask)
{
    wire_out_clear(&ask->control->out);
    reply_begin(&ask->control->out, &ask->reqid);
    return &ask->control->out;
}

void control_send(struct ask *ask)
{
    struct control *control = ask->control;
    if (wire_out_failed(&control->out)) {
        control->module->counters.out_of_memory++;
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    send_body(control, ask->frames, ask->n_frames);
    free_ask(ask);
}

static void refuse(struct control *control, const struct frame *frames, size_t n_frames,
                   const struct reqid *reqid, enum errorcode code, const char *sentence)
{
    control->module->counters.requests_refused++;
    wire_out_clear(&control->out);
    reply_error(&control->out, reqid, code, sentence);
    send_body(control, frames, n_frames);
}

enum errorcode control_code_of(int result)
{
    switch (result) {
    case -ESRCH:
        return ERRORCODE_NO_SUCH_PROCESS;
    case -EPERM:
    case -EACCES:
        return ERRORCODE_NOT_PERMITTED;
    case -EOPNOTSUPP:
        return ERRORCODE_NOT_SUPPORTED;
    case -EMFILE:
    case -ENFILE:
    case -ENOSPC:
        return ERRORCODE_LIMIT;
    default:
        return ERRORCODE_INTERNAL;
    }
}

void control_refuse(struct ask *ask, enum errorcode code, const char *format, ...)
{
    char sentence[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    refuse(ask->control, ask->frames, ask->n_frames, &ask->reqid, code, sentence);
    free_ask(ask);
}

/* ---- receiving ---- */

struct message {
    zmq_msg_t parts[FRAMES_MAX];
    size_t n;     /* held */
    size_t total; /* received: those beyond FRAMES_MAX are dropped */
};

static bool receive(struct control *control, struct message *message)
{
    int more = 1;
    message->n = message->total = 0;
    while (more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (TEMP_FAILURE_RETRY(zmq_msg_recv(&part, control->socket, ZMQ_DONTWAIT)) < 0) {
            zmq_msg_close(&part);
            return message->total > 0;
        }
        more = zmq_msg_more(&part);
        message->total++;
        if (message->n < FRAMES_MAX)
            message->parts[message->n++] = part;
        else
            zmq_msg_close(&part);
    }
    return true;
}

static void drop(struct message *message)
{
    for (size_t i = 0; i < message->n; i++)
        zmq_msg_close(&message->parts[i]);
}

/* On tcp a client has no user: it is taken for ours, but never for root. */
static bool is_allowed(struct control *control, zmq_msg_t *part, uint32_t *ret_uid)
{
    if (!access_permits(control->access, part, control->ipc, ret_uid)) {
        control->module->counters.peers_refused = access_refused(control->access);
        return false;
    }
    if (!control->ipc && geteuid() != 0)
        *ret_uid = geteuid();
    return true;
}

/* The envelope: the identity and, where the client sent one, the empty frame. False: there is
 * nobody to answer to. */
static bool take_envelope(struct message *message, struct frame *frames, size_t *ret_n)
{
    size_t n = message->n >= 2 && zmq_msg_size(&message->parts[1]) == 0 ? 2 : 1;
    for (size_t i = 0; i < n; i++) {
        frames[i].size = zmq_msg_size(&message->parts[i]);
        if (frames[i].size > sizeof frames[i].bytes)
            return false;
        memcpy(frames[i].bytes, zmq_msg_data(&message->parts[i]), frames[i].size);
    }
    *ret_n = n;
    return message->total > n;
}

/* Copies what the request's texts point to, so that the message can go. */
static void keep_strings(struct ask *ask)
{
    struct control_request *request = &ask->request;
    text_copy(ask->strings, request->block_id);
    request->block_id.at = ask->strings;
    text_copy(ask->strings + BLOCK_ID_MAX + 1, request->scope);
    request->scope.at = ask->strings + BLOCK_ID_MAX + 1;
}

static void dispatch(struct control *control, struct ask *ask)
{
    TAILQ_INSERT_TAIL(&control->asks, ask, all);
    control->n_asks++;
    commands_run(control->module, ask);
}

/* What is asked, in memory of its own. */
static int read_request(struct control *control, const struct request *request, struct ask **ret,
                        enum errorcode *code, struct wps_error *error)
{
    struct ask *ask = calloc(1, sizeof *ask);
    if (!ask) {
        control->module->counters.out_of_memory++;
        *code = ERRORCODE_INTERNAL;
        return wps_error_set(error, -ENOMEM, "out of memory");
    }
    ask->reqid = request->reqid;
    int r = control_request_read(&ask->request, request, code, error);
    if (r == 0 && control->n_asks >= control->module->options.max_requests) {
        *code = ERRORCODE_LIMIT;
        r = limits_error(control->module, LIMIT_REQUESTS, error);
    }
    if (r < 0) {
        free(ask);
        return r;
    }
    keep_strings(ask);
    *ret = ask;
    return 0;
}

static void take_request(struct control *control, zmq_msg_t *body, uint32_t uid,
                         const struct frame *frames, size_t n_frames)
{
    struct wps_error error;
    enum errorcode code;
    struct request request = {0};
    struct ask *ask = NULL;
    int r = request_open(&request, zmq_msg_data(body), zmq_msg_size(body), &code, &error);
    const struct reqid reqid = request.reqid;
    if (r == 0) {
        r = read_request(control, &request, &ask, &code, &error);
        request_close(&request);
    }
    if (!ask) {
        refuse(control, frames, n_frames, &reqid, code, error.message);
        return;
    }
    ask->control = control;
    ask->uid = uid;
    ask->began_ns = monotonic_ns();
    ask->n_frames = n_frames;
    memcpy(ask->frames, frames, n_frames * sizeof *frames);
    dispatch(control, ask);
}

static void take(struct control *control, struct message *message)
{
    static const struct reqid none = {.kind = REQID_ABSENT};
    struct frame frames[3];
    size_t n_frames;
    uint32_t uid;
    control->module->counters.requests++;
    if (!take_envelope(message, frames, &n_frames)) {
        control->module->counters.requests_refused++;
        return;
    }
    zmq_msg_t *body = &message->parts[n_frames];
    if (message->total != n_frames + 1)
        refuse(control, frames, n_frames, &none, ERRORCODE_BAD_REQUEST,
               "a request is one frame behind the empty one (a DEALER sends the empty one itself)");
    else if (!is_allowed(control, body, &uid))
        refuse(control, frames, n_frames, &none, ERRORCODE_NOT_PERMITTED,
               "only the user of the broker, root and the users that allow-users names may ask "
               "here");
    else
        take_request(control, body, uid, frames, n_frames);
}

bool control_work(struct control *control)
{
    struct message message;
    if (!control->stirred)
        return false;
    control->stirred = false;
    bool did = access_work(control->access);
    control->module->counters.peers_refused = access_refused(control->access);
    for (int i = 0; i < 256; i++) { /* then the feed gets its turn */
        int events = 0;
        size_t size = sizeof events;
        if (TEMP_FAILURE_RETRY(zmq_getsockopt(control->socket, ZMQ_EVENTS, &events, &size)) < 0 ||
            !(events & ZMQ_POLLIN))
            break;
        if (!receive(control, &message))
            break;
        did = true;
        if (message.n)
            take(control, &message);
        drop(&message);
    }
    control->stirred |= did;
    return did;
}

/* ---- opening and closing ---- */

/* The work is done by control_work, which the loop calls before it waits. */
static int on_readable(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct control *control = context;
    (void)source, (void)fd, (void)events;
    control->stirred = true;
    return 0;
}

static int check_endpoint(const char *endpoint, struct wps_error *error)
{
    const struct sockaddr_un *address = NULL;
    if (!access_is_ipc(endpoint) && strncmp(endpoint, "tcp://", 6) != 0)
        return wps_error_set(error, -EINVAL,
                             "control endpoint %s: expected ipc://PATH or tcp://ADDRESS:PORT",
                             endpoint);
    if (access_is_ipc(endpoint) && strlen(endpoint + 6) >= sizeof address->sun_path)
        return wps_error_set(error, -ENAMETOOLONG,
                             "control endpoint %s: its path is longer than the %zu bytes that a "
                             "socket can have",
                             endpoint, sizeof address->sun_path - 1);
    return 0;
}

static const char *if_set(const char *text)
{
    return *text ? text : NULL;
}

static int open_access(struct control *control, struct wps_error *error)
{
    const struct options *given = &control->module->options;
    const struct access_options options = {
        .secret = if_set(given->curve_secret),
        .clients = {[ACCESS_ASK] = if_set(given->curve_clients)},
        .plain_tcp = given->plain_tcp,
        .users = if_set(given->allow_users),
        .secret_option = "curve-secret",
        .client_options = {[ACCESS_ASK] = "curve-clients"},
        .plain_option = "plain-tcp",
    };
    control->ipc = access_is_ipc(control->endpoint);
    return access_new(&control->access, control->context, &options, error);
}

static int watch(struct control *control, void *socket, sd_event_source **source)
{
    int fd;
    size_t size = sizeof fd;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) < 0)
        return -errno;
    return sd_event_add_io(control->module->event, source, fd, EPOLLIN, on_readable, control);
}

static int watch_all(struct control *control)
{
    void *sockets[ACCESS_SOCKETS_MAX];
    size_t n = access_sockets(control->access, sockets);
    int r = watch(control, control->socket, &control->source);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = watch(control, sockets[i], &control->access_sources[i]);
    return r;
}

/* The file of a socket on ipc; null: it has none. */
static const char *file_of(const struct control *control)
{
    const char *path = control->endpoint + strlen("ipc://");
    return control->ipc && *path != '@' ? path : NULL;
}

/* What it came to be: a port "*" is a number then, and a file is for those whom it is for. */
static int take_endpoint(struct control *control)
{
    size_t size = sizeof control->endpoint;
    if (zmq_getsockopt(control->socket, ZMQ_LAST_ENDPOINT, control->endpoint, &size) < 0)
        return -errno;
    const char *file = file_of(control);
    if (file && chmod(file, access_has_users(control->access) ? 0666 : 0600) < 0)
        return -errno;
    return 0;
}

/* Without it we serve, but do not see when the file is deleted. */
static void guard_file(struct control *control)
{
    const char *file = file_of(control);
    int r = file && *file == '/' ? control_file_open(&control->file, control, file) : 0;
    if (r < 0)
        module_log(control->module, WPS_LOG_WARNING,
                   "cannot watch %s: if it is deleted, nobody will notice: %s", file, strerror(-r));
}

static int open_socket(struct control *control, struct wps_error *error)
{
    int one = 1, zero = 0, marks = HIGH_WATER, backlog = BACKLOG;
    int64_t max = REQUEST_BYTES_ANSWERED;
    control->context = zmq_ctx_new();
    control->socket = control->context ? zmq_socket(control->context, ZMQ_ROUTER) : NULL;
    if (!control->socket)
        return wps_error_system(error, -errno, "cannot make the control socket");
    void *socket = control->socket;
    /* With mandatory, what could not be sent is known and counted. */
    if (zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &one, sizeof one) < 0 ||
        zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero) < 0 ||
        zmq_setsockopt(socket, ZMQ_SNDHWM, &marks, sizeof marks) < 0 ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &marks, sizeof marks) < 0 ||
        zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof backlog) < 0 ||
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max) < 0)
        return wps_error_system(error, -errno, "cannot set up the control socket");
    int r = open_access(control, error);
    if (r == 0)
        r = access_guard(control->access, socket, control->endpoint, ACCESS_ASK, error);
    if (r < 0)
        return r;
    if (zmq_bind(socket, control->endpoint) < 0)
        return wps_error_set(error, -errno, "cannot bind the control socket %s: %s",
                             control->endpoint, zmq_strerror(errno));
    control->bound = true;
    r = take_endpoint(control);
    r = r < 0 ? r : watch_all(control);
    if (r < 0)
        return wps_error_system(error, r, "cannot watch the control socket");
    guard_file(control);
    return 0;
}

/* What others left there in the meantime is not ours to bind in. */
static bool directory_is_ours(const char *file)
{
    _cleanup_free_ char *directory = strndup(file, (size_t)(strrchr(file, '/') - file) + 1);
    struct stat status;
    return directory && stat(directory, &status) == 0 && status.st_uid == geteuid();
}

int control_renew(struct control *control, struct wps_error *error)
{
    const char *file = file_of(control);
    struct stat status;
    if (!file || lstat(file, &status) == 0)
        return 0;
    if (!directory_is_ours(file))
        return wps_error_set(error, -EPERM, "the directory of %s is not there, or not ours", file);
    if (zmq_bind(control->socket, control->endpoint) < 0)
        return wps_error_set(error, -errno, "cannot bind %s: %s", control->endpoint,
                             zmq_strerror(errno));
    int r = take_endpoint(control);
    return r < 0 ? wps_error_system(error, r, "cannot set the mode of %s", file) : 1;
}

int control_open(struct module *module, struct control **ret, struct wps_error *error)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return wps_error_set(error, -ENOMEM, "out of memory");
    control->module = module;
    control->stirred = true;
    TAILQ_INIT(&control->asks);
    wire_out_init(&control->out);
    if (module->options.control[0])
        snprintf(control->endpoint, sizeof control->endpoint, "%s", module->options.control);
    else
        snprintf(control->endpoint, sizeof control->endpoint, "ipc://%.4000s/control",
                 module->host.runtime_dir);
    int r = wire_out_reserve(&control->out, REPLY_RESERVE);
    r = r < 0 ? wps_error_set(error, r, "out of memory") : check_endpoint(control->endpoint, error);
    r = r < 0 ? r : open_socket(control, error);
    if (r < 0) {
        control_close(&control);
        return r;
    }
    *ret = control;
    return 0;
}

void control_close(struct control **control_p)
{
    struct control *control = *control_p;
    struct ask *ask;
    if (!control)
        return;
    while ((ask = TAILQ_FIRST(&control->asks)))
        control_refuse(ask, ERRORCODE_INTERNAL, "the broker is going down");
    control_file_close(&control->file);
    sd_event_source_disable_unref(control->source);
    for (int i = 0; i < ACCESS_SOCKETS_MAX; i++)
        sd_event_source_disable_unref(control->access_sources[i]);
    if (control->socket) {
        int linger = 200; /* for the last replies */
        zmq_setsockopt(control->socket, ZMQ_LINGER, &linger, sizeof linger);
        zmq_close(control->socket);
    }
    access_free(&control->access);
    if (control->context)
        zmq_ctx_term(control->context);
    if (control->bound && file_of(control))
        unlink(file_of(control)); /* libzmq leaves it */
    wire_out_destroy(&control->out);
    free(control);
    *control_p = NULL;
}

const char *control_endpoint(const struct control *control)
{
    return control->endpoint;
}

unsigned control_waiting(const struct control *control)
{
    return control->n_asks;
}
