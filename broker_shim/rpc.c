/* SPDX-License-Identifier: Apache-2.0 */

/* Requests in, replies out. */

#include "broker_shim/rpc.h"

#include <unistd.h>

#include "base/cleanup.h"
#include "broker_shim/descriptors.h"
#include "broker_shim/endpoint.h"
#include "broker_shim/frames.h"
#include "broker_shim/log.h"

enum {
    ANSWERED_IN_ONE_GO = 64,      /* so that events get their turn */
    FRAMES = 3,                   /* who asks, the delimiter, the request */
    COPIED_BYTES_MAX = 64 * 1024, /* a greater reply is handed over to ZeroMQ, and counted */
};

static const char no_memory[] = "no memory for the reply: ask again later, or for less";

struct rpc {
    zsock_t *socket;
    void *handle;
    char *endpoint;
    bool ipc;
    struct access *access;
    struct rpc_commands *commands;
    struct wire_out reply;
    struct reqid reqid; /* of the request that is answered now */
};

static void set_options(zsock_t *socket, const struct rpc_options *options)
{
    zsock_set_rcvhwm(socket, options->queue);
    zsock_set_sndhwm(socket, options->queue);
    zsock_set_linger(socket, 0);
    zsock_set_maxmsgsize(socket, REQUEST_BYTES_ANSWERED);
    zsock_set_backlog(socket, SOMAXCONN);
    zsock_set_tcp_keepalive(socket, 1);
    /* A client that comes back under the name it chose must not be taken for its dead self. */
    zsock_set_router_handover(socket, 1);
}

int rpc_new(struct rpc **ret, const struct rpc_options *options, struct rpc_commands *commands,
            struct wps_error *error)
{
    struct rpc *self = calloc(1, sizeof *self);
    if (!self || !(self->socket = zsock_new(ZMQ_ROUTER))) {
        free(self);
        return wps_error_set(error, -ENOMEM, "making the rpc socket: no memory");
    }
    wire_out_init(&self->reply);
    self->handle = zsock_resolve(self->socket);
    self->commands = commands;
    self->ipc = access_is_ipc(options->endpoint);
    self->access = options->access;
    set_options(self->socket, options);
    int result = wire_out_reserve(&self->reply, REPLY_RESERVE);
    if (result < 0)
        wps_error_set(error, result, "making the rpc socket: no memory");
    if (result == 0)
        result = access_guard(options->access, self->handle, options->endpoint, ACCESS_ASK, error);
    if (result == 0)
        result =
            endpoint_bind(self->socket, options->endpoint, options->mode, &self->endpoint, error);
    if (result < 0) {
        rpc_destroy(&self);
        return result;
    }
    *ret = self;
    return 0;
}

void rpc_destroy(struct rpc **self_p)
{
    struct rpc *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    zsock_destroy(&self->socket);
    endpoint_unlink(self->endpoint);
    wire_out_destroy(&self->reply);
    free(self->endpoint);
    free(self);
}

const char *rpc_endpoint(const struct rpc *self)
{
    return self->endpoint;
}

int rpc_renew(struct rpc *self, mode_t mode, struct wps_error *error)
{
    return endpoint_renew(self->socket, self->endpoint, mode, error);
}

zsock_t *rpc_socket(struct rpc *self)
{
    return self->socket;
}

/* ---- one request --------------------------------------------------------------------------- */

/* Refuses before it looks at what is asked, where that is enough. Returns an errorcode, or -1. */
static int refuse(const struct rpc *self, zmq_msg_t *last, struct wps_error *error)
{
    if (!access_permits(self->access, last, self->ipc, NULL)) {
        wps_error_set(
            error, -EPERM,
            "only the broker's own user, root and the users that allow-users names may ask "
            "it");
        return ERRORCODE_NOT_PERMITTED;
    }
    if (descriptors_crowded(zmq_msg_get(last, ZMQ_SRCFD))) {
        wps_error_set(error, -EMFILE,
                      "the broker has too many connections (%llu descriptors at most): close some, "
                      "or raise max-descriptors",
                      (unsigned long long)descriptors_limit());
        return ERRORCODE_LIMIT;
    }
    return -1;
}

static void answer_error(struct rpc *self, enum errorcode code, const char *sentence)
{
    wire_out_clear(&self->reply);
    reply_error(&self->reply, &self->reqid, code, sentence);
    counter_add(&self->commands->routing->counters->requests_refused, 1);
}

static void answer(struct rpc *self, zmq_msg_t *body)
{
    struct text bytes = frame_bytes(body);
    struct wps_error error;
    enum errorcode code;
    struct request request;
    int refused = refuse(self, body, &error);
    int result = request_open(&request, bytes.at, bytes.size, &code, refused < 0 ? &error : NULL);
    self->reqid = request.reqid;
    if (result < 0) {
        answer_error(self, refused < 0 ? code : (enum errorcode)refused, error.message);
        return;
    }
    wire_out_clear(&self->reply);
    if (refused >= 0)
        answer_error(self, (enum errorcode)refused, error.message);
    else if (rpc_commands_run(self->commands, &request, bytes, &self->reply, &code, &error) < 0)
        answer_error(self, code, error.message);
    else if (wire_out_failed(&self->reply))
        answer_error(self, ERRORCODE_INTERNAL, no_memory);
    request_close(&request);
}

/* What is not "delimiter, body" is answered too, as far as ZeroMQ says who asked. */
static void answer_frames(struct rpc *self, zmq_msg_t frames[FRAMES], size_t n)
{
    struct wps_error error;
    counter_add(&self->commands->routing->counters->requests, 1);
    self->reqid = (struct reqid){.kind = REQID_ABSENT};
    if (n == FRAMES && zmq_msg_size(&frames[1]) == 0) {
        answer(self, &frames[2]);
        return;
    }
    int refused = refuse(self, &frames[(n < FRAMES ? n : FRAMES) - 1], &error);
    if (refused >= 0)
        answer_error(self, (enum errorcode)refused, error.message);
    else
        answer_error(self, ERRORCODE_BAD_REQUEST,
                     "expected two frames, an empty one and the request "
                     "(REQ sends the empty one by itself, a DEALER must)");
}

/* ---- replies ------------------------------------------------------------------------------- */

/* A great reply in ZeroMQ's hands: who asks much and reads nothing must not fill memory. */
struct handed_over {
    _Atomic size_t *unsent;
    size_t size;
};

static void handed_over_done(void *bytes, void *hint)
{
    struct handed_over *handed = hint;
    atomic_fetch_sub_explicit(handed->unsent, handed->size, memory_order_relaxed);
    free(handed);
    free(bytes);
}

static int hand_over(struct rpc *self, zmq_msg_t *ret)
{
    size_t size;
    _cleanup_free_ struct handed_over *handed = malloc(sizeof *handed);
    if (!handed)
        return -ENOMEM;
    _cleanup_free_ char *bytes = wire_out_take(&self->reply, REPLY_RESERVE, &size);
    *handed = (struct handed_over){&self->commands->routing->unsent, size};
    if (!bytes || zmq_msg_init_data(ret, bytes, size, handed_over_done, handed) < 0)
        return -ENOMEM;
    bytes = NULL;
    atomic_fetch_add_explicit(handed->unsent, handed->size, memory_order_relaxed);
    handed = NULL;
    return 0;
}

/* Makes the body of the reply; a small one is copied, so that the buffer can be used again. */
static int make_body(struct rpc *self, zmq_msg_t *ret)
{
    const msgpack_sbuffer *reply = &self->reply.bytes;
    if (reply->size > COPIED_BYTES_MAX)
        return hand_over(self, ret);
    if (zmq_msg_init_size(ret, reply->size) < 0)
        return -ENOMEM;
    memcpy(zmq_msg_data(ret), reply->data, reply->size);
    return 0;
}

/* The body, or that there is no memory for it: that takes little. */
static int make_any_body(struct rpc *self, zmq_msg_t *ret)
{
    if (make_body(self, ret) == 0)
        return 0;
    answer_error(self, ERRORCODE_INTERNAL, no_memory);
    return make_body(self, ret);
}

/* The three frames of a reply: without ROUTER_MANDATORY, sending to who is gone succeeds. */
static void send_reply(struct rpc *self, zmq_msg_t *who)
{
    zmq_msg_t delimiter, body;
    if (make_any_body(self, &body) < 0) {
        log_error("a reply is lost: no memory");
        return;
    }
    zmq_msg_init(&delimiter);
    const int more = ZMQ_DONTWAIT | ZMQ_SNDMORE;
    if (TEMP_FAILURE_RETRY(zmq_msg_send(who, self->handle, more)) >= 0 &&
        TEMP_FAILURE_RETRY(zmq_msg_send(&delimiter, self->handle, more)) >= 0)
        TEMP_FAILURE_RETRY(zmq_msg_send(&body, self->handle, ZMQ_DONTWAIT));
    zmq_msg_close(&delimiter);
    zmq_msg_close(&body);
}

static bool answer_one(struct rpc *self)
{
    zmq_msg_t frames[FRAMES];
    size_t n = frames_receive(self->handle, frames, FRAMES);
    if (n > 1) {
        answer_frames(self, frames, n);
        send_reply(self, &frames[0]);
    }
    frames_close(frames, FRAMES);
    return n > 0;
}

void rpc_receive(struct rpc *self)
{
    for (int i = 0; i < ANSWERED_IN_ONE_GO; i++)
        if (!answer_one(self))
            return;
}
