/* SPDX-License-Identifier: Apache-2.0 */

/* Events in from other services. */

#include "broker_shim/publish.h"

#include "broker_shim/endpoint.h"
#include "broker_shim/frames.h"
#include "broker_shim/log.h"

enum {
    RECEIVED_IN_ONE_GO = 64, /* so that the other sockets get their turn */
};

struct publish {
    zsock_t *socket;
    void *handle;
    char *endpoint;
    bool ipc;
    struct access *access;
    struct routing *routing;
};

/* XSUB passes on nothing that nobody asked for: one byte 1 and no prefix ask for everything. */
static int subscribe_to_all(struct publish *self, struct wps_error *error)
{
    if (zmq_send(self->handle, "\x01", 1, 0) < 0)
        return wps_error_set(error, -EIO, "subscribing on the publish socket: %s",
                             zmq_strerror(errno));
    return 0;
}

static void set_options(zsock_t *socket, const struct publish_options *options)
{
    zsock_set_rcvhwm(socket, options->queue);
    zsock_set_linger(socket, 0);
    zsock_set_maxmsgsize(socket, (int)options->event_max);
    zsock_set_backlog(socket, SOMAXCONN);
    zsock_set_tcp_keepalive(socket, 1);
}

int publish_new(struct publish **ret, const struct publish_options *options,
                struct routing *routing, struct wps_error *error)
{
    struct publish *self = calloc(1, sizeof *self);
    if (!self || !(self->socket = zsock_new(ZMQ_XSUB))) {
        free(self);
        return wps_error_set(error, -ENOMEM, "making the publish socket: no memory");
    }
    self->handle = zsock_resolve(self->socket);
    self->routing = routing;
    self->ipc = access_is_ipc(options->endpoint);
    self->access = options->access;
    set_options(self->socket, options);
    int result =
        access_guard(options->access, self->handle, options->endpoint, ACCESS_PUBLISH, error);
    if (result == 0)
        result =
            endpoint_bind(self->socket, options->endpoint, options->mode, &self->endpoint, error);
    if (result == 0)
        result = subscribe_to_all(self, error);
    if (result < 0) {
        publish_destroy(&self);
        return result;
    }
    *ret = self;
    return 0;
}

void publish_destroy(struct publish **self_p)
{
    struct publish *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    zsock_destroy(&self->socket);
    endpoint_unlink(self->endpoint);
    free(self->endpoint);
    free(self);
}

const char *publish_endpoint(const struct publish *self)
{
    return self->endpoint;
}

int publish_renew(struct publish *self, mode_t mode, struct wps_error *error)
{
    return endpoint_renew(self->socket, self->endpoint, mode, error);
}

zsock_t *publish_socket(struct publish *self)
{
    return self->socket;
}

static bool is_a_scope_of(struct text topic, const struct event *event)
{
    if (event->n_scopes == 0)
        return topic.size == 0;
    for (size_t i = 0; i < event->n_scopes; i++)
        if (text_equal(event->scopes[i], topic))
            return true;
    return false;
}

static int take(struct publish *self, zmq_msg_t *topic, zmq_msg_t *body, struct wps_error *error)
{
    if (!access_permits(self->access, body, self->ipc, NULL))
        return wps_error_set(error, -EPERM, "its sender is another user");
    struct text bytes = frame_bytes(body);
    struct event_doc doc;
    int result = event_open(&doc, bytes.at, bytes.size, "", error);
    if (result < 0)
        return result;
    if (is_a_scope_of(frame_bytes(topic), &doc.event))
        result = routing_send_from_outside(self->routing, &doc.event, "", error);
    else
        result = wps_error_set(error, -EINVAL, "its topic is none of its scopes");
    event_close(&doc);
    return result;
}

static bool receive_one(struct publish *self)
{
    struct counters *counters = self->routing->counters;
    struct wps_error error;
    zmq_msg_t frames[2];
    size_t n = frames_receive(self->handle, frames, 2);
    if (n > 0) {
        counter_add(&counters->publish_received, 1);
        int result = n == 2 ? take(self, &frames[0], &frames[1], &error)
                            : wps_error_set(&error, -EINVAL, "it has %zu frames, not 2", n);
        if (result < 0) {
            counter_add(&counters->publish_dropped, 1);
            log_debug("dropped a message on the publish socket: %s", error.message);
        }
    }
    frames_close(frames, 2);
    return n > 0;
}

void publish_receive(struct publish *self)
{
    for (int i = 0; i < RECEIVED_IN_ONE_GO; i++)
        if (!receive_one(self))
            return;
}
