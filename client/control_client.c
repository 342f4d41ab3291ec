/* SPDX-License-Identifier: Apache-2.0 */

/* A REQ socket with a monitor on it, made anew whenever it is of no more use. */

#include "client/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <zmq.h>

#include "access/access.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define IPC "ipc://"

enum {
    TRIES = 3, /* how often one request is sent, where one broker after another ends */
    KEY_EVENTS = ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
    EVENTS = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED |
             KEY_EVENTS,
};

struct control_client {
    void *context;
    struct client_keys keys;
    char *endpoint;
    void *socket, *monitor; /* null between connections */
    uint64_t n_sockets;     /* for the names of the monitors */
    uint64_t n_requests;    /* for their reqids */
    pid_t broker;           /* in our pid namespace; 0: in another one; -1: not known */
    bool established;       /* this connection was made: what is sent may have arrived */
    struct wire_out data, out;
    struct control_answer answer; /* of control_client_ask, until the next */
};

/* ---- its life ------------------------------------------------------------------------------ */

static int name_is_too_long(const char *endpoint, struct wps_error *error)
{
    return wps_error_set(error, -ENAMETOOLONG,
                         "%s: the path of a socket has at most %zu bytes: set WPS_RUNTIME_DIR to a "
                         "shorter one",
                         endpoint, sizeof((struct sockaddr_un *)0)->sun_path - 1);
}

int control_client_endpoint(const char *runtime_dir, char **ret_endpoint, struct wps_error *error)
{
    char *endpoint;
    if (asprintf(&endpoint, IPC "%s/control", runtime_dir) < 0)
        return wps_error_system(error, -ENOMEM, "finding the control socket");
    if (strlen(endpoint) - strlen(IPC) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        int result = name_is_too_long(endpoint, error);
        free(endpoint);
        return result;
    }
    *ret_endpoint = endpoint;
    return 0;
}

int control_client_open(struct control_client **ret, void *context, const char *endpoint,
                        struct wps_error *error)
{
    if (!strstr(endpoint, "://"))
        return wps_error_set(error, -EINVAL,
                             "'%s' is no endpoint: expected ipc://PATH or tcp://HOST:PORT",
                             endpoint);
    struct control_client *self = calloc(1, sizeof *self);
    char *copy = strdup(endpoint);
    if (!self || !copy) {
        free(self);
        free(copy);
        return wps_error_system(error, -ENOMEM, "cannot make a client of %s", endpoint);
    }
    self->context = context;
    self->endpoint = copy;
    self->broker = -1;
    wire_out_init(&self->data);
    wire_out_init(&self->out);
    *ret = self;
    return 0;
}

void control_client_use_keys(struct control_client *self, const struct client_keys *keys)
{
    self->keys = *keys;
}

static void disconnect(struct control_client *self)
{
    if (self->socket) {
        zmq_socket_monitor(self->socket, NULL, 0);
        zmq_close(self->socket);
    }
    if (self->monitor)
        zmq_close(self->monitor);
    self->socket = self->monitor = NULL;
    self->established = false;
}

void control_client_close(struct control_client **self_p)
{
    struct control_client *self = take_ptr(*self_p);
    if (!self)
        return;
    certificate_clear(&self->keys.own);
    disconnect(self);
    control_answer_close(&self->answer);
    wire_out_destroy(&self->data);
    wire_out_destroy(&self->out);
    free(self->endpoint);
    free(self);
}

/* ---- is anybody there? --------------------------------------------------------------------- */

static int nobody(const struct control_client *self, int code, struct wps_error *error)
{
    static const char mend[] = "start a broker there (wpsd --plugin proctrack.so), or set "
                               "WPS_RUNTIME_DIR to the directory of one that runs";
    if (code == -ENOENT)
        return wps_error_set(error, code, "no broker at %s: there is no such socket; %s",
                             self->endpoint, mend);
    if (code == -ECONNREFUSED)
        return wps_error_set(error, code, "no broker at %s: nobody listens there; %s",
                             self->endpoint, mend);
    if (code == -EACCES)
        return wps_error_set(error, code,
                             "may not connect to %s: the broker there is another user's; %s",
                             self->endpoint, mend);
    return wps_error_system(error, code, "cannot connect to %s", self->endpoint);
}

/* The address of an ipc endpoint; a name that begins with @ is an abstract one. */
static int address_of(const struct control_client *self, struct sockaddr_un *ret,
                      socklen_t *ret_size, struct wps_error *error)
{
    const char *path = self->endpoint + strlen(IPC);
    size_t size = strlen(path);
    if (size >= sizeof ret->sun_path)
        return name_is_too_long(self->endpoint, error);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, path, size);
    if (*path == '@')
        ret->sun_path[0] = '\0';
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (*path != '@'));
    return 0;
}

/* A connection of our own tells at once what ZeroMQ would keep trying for ever, and who listens. It
 * does not wait: where the broker's queue is full (it is stopped, say) somebody is there. */
static int look(struct control_client *self, struct wps_error *error)
{
    struct sockaddr_un address;
    socklen_t size;
    self->broker = -1;
    if (strncmp(self->endpoint, IPC, strlen(IPC)) != 0)
        return 0;
    int result = address_of(self, &address, &size, error);
    if (result < 0)
        return result;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return wps_error_system(error, -errno, "cannot make a socket");
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): errors are negative
    if (connect(fd, (const struct sockaddr *)&address, size) < 0)
        return errno == EAGAIN ? 0 : nobody(self, -errno, error);
    struct ucred peer;
    size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        self->broker = peer.pid;
    return 0;
}

int control_client_check_pids(struct control_client *self, struct wps_error *error)
{
    struct stat ours, theirs;
    char path[64];
    int result = look(self, error);
    if (result < 0 || self->broker < 0)
        return result;
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)self->broker);
    bool other =
        self->broker == 0 || (stat("/proc/self/ns/pid", &ours) == 0 && stat(path, &theirs) == 0 &&
                              (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev));
    if (other)
        return wps_error_set(error, -EXDEV,
                             "the broker at %s is in another pid namespace, where processes have "
                             "other numbers: run one in this namespace",
                             self->endpoint);
    return 0;
}

/* ---- connecting ---------------------------------------------------------------------------- */

static int open_socket(struct control_client *self)
{
    char name[64];
    const int none = 0;
    snprintf(name, sizeof name, "inproc://control-client-%p-%llu", (void *)self,
             (unsigned long long)++self->n_sockets);
    self->socket = zmq_socket(self->context, ZMQ_REQ);
    self->monitor = self->socket ? zmq_socket(self->context, ZMQ_PAIR) : NULL;
    if (!self->monitor || zmq_setsockopt(self->socket, ZMQ_LINGER, &none, sizeof none) < 0 ||
        zmq_setsockopt(self->monitor, ZMQ_LINGER, &none, sizeof none) < 0 ||
        client_keys_use(&self->keys, self->socket) < 0 ||
        zmq_socket_monitor(self->socket, name, EVENTS) < 0 ||
        zmq_connect(self->monitor, name) < 0 || zmq_connect(self->socket, self->endpoint) < 0)
        return -errno;
    return 0;
}

static int connect_afresh(struct control_client *self, struct wps_error *error)
{
    int result = look(self, error);
    if (result < 0)
        return result;
    result = open_socket(self);
    if (result < 0) {
        disconnect(self);
        return wps_error_set(error, result, "cannot connect to %s: %s", self->endpoint,
                             zmq_strerror(-result));
    }
    return 0;
}

/* ---- one request --------------------------------------------------------------------------- */

/* Takes one event of the monitor: a ZMQ_EVENT_*, and what it says more; 0: there is none. */
static int take_event(struct control_client *self, uint32_t *ret_value)
{
    uint16_t event = 0;
    const size_t size = sizeof event + sizeof *ret_value;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, self->monitor, ZMQ_DONTWAIT) >= (int)size) {
        memcpy(&event, zmq_msg_data(&frame), sizeof event);
        memcpy(ret_value, (char *)zmq_msg_data(&frame) + sizeof event, sizeof *ret_value);
    }
    while (zmq_msg_more(&frame) && zmq_msg_recv(&frame, self->monitor, ZMQ_DONTWAIT) >= 0)
        ;
    zmq_msg_close(&frame);
    return event;
}

/* True where a handshake failed because of keys: they were refused, or one side alone has some. */
static bool is_about_keys(const struct control_client *self, int event, uint32_t value)
{
    return self->keys.are_set || event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH ||
           value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH;
}

/* What the monitor tells: -EKEYREJECTED; -ECONNRESET where the broker went, -ECONNREFUSED where
 * over tcp nobody is there. (Over ipc we looked; a full queue is tried again there, and that is all
 * right.) */
static int read_monitor(struct control_client *self)
{
    bool over_ipc = strncmp(self->endpoint, IPC, strlen(IPC)) == 0;
    uint32_t value = 0;
    for (int event; (event = take_event(self, &value));) {
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            self->established = true;
        else if (event & KEY_EVENTS) {
            if (is_about_keys(self, event, value))
                return -EKEYREJECTED;
        } else if (event == ZMQ_EVENT_DISCONNECTED)
            return self->established || !self->keys.are_set ? -ECONNRESET : -EKEYREJECTED;
        else if (!over_ipc)
            return -ECONNREFUSED;
    }
    return 0;
}

/* Waits until there is a reply. -ETIMEDOUT, -ECONNRESET, -ECONNREFUSED, -EKEYREJECTED. */
static int wait_reply(struct control_client *self, int64_t end_ms)
{
    zmq_pollitem_t items[] = {{.socket = self->socket, .events = ZMQ_POLLIN},
                              {.socket = self->monitor, .events = ZMQ_POLLIN}};
    for (;;) {
        int64_t left = end_ms - monotonic_ms();
        int ready = zmq_poll(items, 2, left > 0 ? (long)left : 0);
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready > 0 && items[0].revents)
            return 0;
        int result = ready > 0 ? read_monitor(self) : 0;
        if (result < 0)
            return result;
        if (ready == 0 && left <= 0)
            return -ETIMEDOUT;
    }
}

static int pack(struct control_client *self, const struct control_question *question,
                struct wps_error *error)
{
    const struct reqid reqid = {.kind = REQID_UINT, .number = ++self->n_requests};
    wire_out_clear(&self->out);
    request_pack(&self->out, question->command, &reqid, question->data);
    if (wire_out_failed(&self->out))
        return wps_error_system(error, -ENOMEM, "cannot ask %s", self->endpoint);
    if (self->out.bytes.size > REQUEST_BYTES_ANSWERED)
        return wps_error_set(error, -EMSGSIZE, "the request %s has %zu bytes: at most %d are read",
                             question->command, self->out.bytes.size, REQUEST_BYTES_ANSWERED);
    return 0;
}

static int explain(const struct control_client *self, int code, int timeout_ms,
                   struct wps_error *error)
{
    if (code == -ETIMEDOUT)
        return wps_error_set(error, code,
                             "no answer from %s in %d ms: the broker there is busy or stopped",
                             self->endpoint, timeout_ms);
    if (code == -EKEYREJECTED)
        return wps_error_set(error, code,
                             "the broker at %s does not let us in: it wants a key that it allows "
                             "to ask, and its own must be the one we have",
                             self->endpoint);
    if (code == -ECONNRESET && !self->established)
        return wps_error_set(error, code, "who listens at %s closes connections: is it a broker%s?",
                             self->endpoint,
                             access_is_ipc(self->endpoint) ? "" : ", and does it want a key");
    if (code == -ECONNRESET)
        return wps_error_set(error, code, "the broker at %s ended before it answered",
                             self->endpoint);
    if (code == -ECONNREFUSED)
        return nobody(self, code, error);
    return wps_error_set(error, code, "cannot ask %s: %s", self->endpoint, zmq_strerror(-code));
}

/* Sends what was packed and waits until there is a reply. */
static int exchange(struct control_client *self, int timeout_ms, int64_t end_ms,
                    struct wps_error *error)
{
    const msgpack_sbuffer *bytes = &self->out.bytes;
    int result = 0;
    if (zmq_send(self->socket, bytes->data, bytes->size, ZMQ_DONTWAIT) < 0)
        result = -errno;
    if (result == 0)
        result = wait_reply(self, end_ms);
    return result < 0 ? explain(self, result, timeout_ms, error) : 0;
}

/* A connection that went since the last request is of no use, and nothing was sent over it. */
static int connect_if_needed(struct control_client *self, struct wps_error *error)
{
    if (self->socket && read_monitor(self) < 0)
        disconnect(self);
    return self->socket ? 0 : connect_afresh(self, error);
}

static int send_until_answered(struct control_client *self, const struct control_question *question,
                               struct wps_error *error)
{
    const int64_t end_ms = monotonic_ms() + question->timeout_ms;
    int result = -ECONNRESET;
    bool again = true;
    for (int i = 0; i < TRIES && again; i++) {
        result = connect_if_needed(self, error);
        if (result < 0)
            break;
        result = exchange(self, question->timeout_ms, end_ms, error);
        again = result == -ECONNRESET && (question->may_repeat || !self->established);
        if (result < 0)
            disconnect(self); /* a REQ socket that waits can do nothing else */
    }
    return result;
}

/* ---- replies ------------------------------------------------------------------------------- */

static enum errorcode code_of(struct text name)
{
    for (enum errorcode code = ERRORCODE_BAD_REQUEST; code < ERRORCODE_INTERNAL; code++)
        if (text_is(name, errorcode_name(code)))
            return code;
    return ERRORCODE_INTERNAL;
}

void control_answer_close(struct control_answer *answer)
{
    reply_close(&answer->reply);
    free(answer->bytes);
    *answer = (struct control_answer){0};
}

/* Takes the reply that is there. */
static int receive(struct control_client *self, struct control_answer *ret, struct wps_error *error)
{
    struct wps_error why;
    zmq_msg_t body;
    zmq_msg_init(&body);
    int n = zmq_msg_recv(&body, self->socket, ZMQ_DONTWAIT);
    int result = n < 0 ? -errno : 0;
    char *bytes = n < 0 ? NULL : malloc((size_t)n + 1);
    if (bytes) {
        text_copy(bytes, (struct text){zmq_msg_data(&body), (size_t)n});
        bytes[n] = '\0';
    }
    zmq_msg_close(&body);
    if (!bytes)
        return explain(self, result < 0 ? result : -ENOMEM, 0, error);
    ret->bytes = bytes;
    if (reply_open(&ret->reply, bytes, (size_t)n, &why) < 0)
        return wps_error_set(error, -EPROTO, "what %s answers is no reply: %s", self->endpoint,
                             why.message);
    return 0;
}

static int read_reply(const struct control_client *self, const struct reply *reply,
                      enum errorcode *ret_refusal, struct wps_error *error)
{
    if (!reply->ok) {
        if (ret_refusal)
            *ret_refusal = code_of(reply->errorcode);
        return wps_error_set(error, -EREMOTEIO, "%.*s", (int)reply->error.size, reply->error.at);
    }
    if (reply->resid.kind != REQID_UINT || reply->resid.number != self->n_requests)
        return wps_error_set(error, -EPROTO, "%s answers another request than the one it was sent",
                             self->endpoint);
    return 0;
}

int control_client_question(struct control_client *self, const struct control_question *question,
                            struct control_answer *ret, enum errorcode *ret_refusal,
                            struct wps_error *error)
{
    struct control_answer answer = {0};
    int result = pack(self, question, error);
    if (result == 0)
        result = send_until_answered(self, question, error);
    if (result == 0)
        result = receive(self, &answer, error);
    if (result == 0)
        result = read_reply(self, &answer.reply, ret_refusal, error);
    if (result < 0)
        control_answer_close(&answer);
    else
        *ret = answer;
    return result;
}

bool control_client_may_repeat(enum control_command command)
{
    switch (command) {
    case CONTROL_SIGNAL_TREE:
    case CONTROL_STOP_TREE:
    case CONTROL_KILL_STARTED:
    case CONTROL_REMOVE:
        return false;
    default:
        return true;
    }
}

int control_client_ask(struct control_client *self, const struct control_request *request,
                       int timeout_ms, const msgpack_object **ret_data, enum errorcode *ret_refusal,
                       struct wps_error *error)
{
    control_answer_close(&self->answer);
    wire_out_clear(&self->data);
    control_request_pack(&self->data, request);
    if (wire_out_failed(&self->data))
        return wps_error_system(error, -ENOMEM, "cannot ask %s", self->endpoint);
    const struct control_question question = {
        .command = control_command_name(request->command),
        .data = {self->data.bytes.data, self->data.bytes.size},
        .may_repeat = control_client_may_repeat(request->command),
        .timeout_ms = timeout_ms,
    };
    int result = control_client_question(self, &question, &self->answer, ret_refusal, error);
    if (result == 0)
        *ret_data = self->answer.reply.data;
    return result;
}
