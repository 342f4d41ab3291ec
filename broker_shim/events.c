/* SPDX-License-Identifier: Apache-2.0 */

/* Events out to all who subscribed. */

#include "broker_shim/events.h"

#include <unistd.h>

#include "broker_shim/endpoint.h"

enum {
    /* A subscription is a topic and one byte; what is longer closes the connection. */
    SUBSCRIPTION_BYTES_MAX = 4096,
};

struct events {
    zsock_t *socket;
    void *handle; /* the same, as libzmq has it */
    char *endpoint;
    struct counters *counters;
    _Atomic size_t *unsent;
};

int events_new(struct events **ret, const struct events_options *options, struct counters *counters,
               _Atomic size_t *unsent, struct wps_error *error)
{
    struct events *self = calloc(1, sizeof *self);
    if (!self || !(self->socket = zsock_new(ZMQ_XPUB))) {
        free(self);
        return wps_error_set(error, -ENOMEM, "making the events socket: no memory");
    }
    self->handle = zsock_resolve(self->socket);
    self->counters = counters;
    self->unsent = unsent;
    zsock_set_sndhwm(self->socket, options->subscriber_queue);
    zsock_set_linger(self->socket, options->linger_ms);
    zsock_set_maxmsgsize(self->socket, SUBSCRIPTION_BYTES_MAX);
    zsock_set_backlog(self->socket, SOMAXCONN);
    zsock_set_tcp_keepalive(self->socket, 1);
    zsock_set_xpub_nodrop(self->socket, 1);
    int result =
        access_guard(options->access, self->handle, options->endpoint, ACCESS_LISTEN, error);
    if (result == 0)
        result =
            endpoint_bind(self->socket, options->endpoint, options->mode, &self->endpoint, error);
    if (result < 0) {
        zsock_destroy(&self->socket);
        free(self);
        return result;
    }
    *ret = self;
    return 0;
}

void events_destroy(struct events **self_p)
{
    struct events *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    zsock_destroy(&self->socket);
    endpoint_unlink(self->endpoint);
    free(self->endpoint);
    free(self);
}

const char *events_endpoint(const struct events *self)
{
    return self->endpoint;
}

int events_renew(struct events *self, mode_t mode, struct wps_error *error)
{
    return endpoint_renew(self->socket, self->endpoint, mode, error);
}

int events_fd(const struct events *self)
{
    return zsock_fd(self->socket);
}

/* Sends both frames, or neither. With XPUB_NODROP a full queue is told of (EAGAIN at the first
 * frame, and nobody has got it yet); without, the one with the full queue is left out. */
static int send_frames(struct events *self, zmq_msg_t *topic, zmq_msg_t *body)
{
    if (TEMP_FAILURE_RETRY(zmq_msg_send(topic, self->handle, ZMQ_DONTWAIT | ZMQ_SNDMORE)) < 0)
        return -errno;
    if (TEMP_FAILURE_RETRY(zmq_msg_send(body, self->handle, ZMQ_DONTWAIT)) < 0)
        return -errno;
    return 0;
}

static int send_to_topic(struct events *self, struct text scope, zmq_msg_t *body)
{
    zmq_msg_t topic;
    if (zmq_msg_init_size(&topic, scope.size) < 0)
        return -ENOMEM;
    if (scope.size > 0)
        memcpy(zmq_msg_data(&topic), scope.at, scope.size);
    int result = send_frames(self, &topic, body);
    if (result == -EAGAIN) {
        counter_add(&self->counters->subscriber_overflows, 1);
        zsock_set_xpub_nodrop(self->socket, 0);
        result = send_frames(self, &topic, body);
        zsock_set_xpub_nodrop(self->socket, 1);
    }
    zmq_msg_close(&topic);
    return result;
}

static int send_to_scopes(struct events *self, const struct packet *packet, zmq_msg_t *body)
{
    static const struct text no_scope = {"", 0};
    const struct text *scopes = packet->n_scopes ? packet->scopes : &no_scope;
    size_t n_scopes = packet->n_scopes ? packet->n_scopes : 1;
    int result = 0;
    for (size_t i = 0; i < n_scopes && result == 0; i++) {
        zmq_msg_t copy;
        zmq_msg_init(&copy);
        zmq_msg_copy(&copy, body); /* shares the bytes */
        result = send_to_topic(self, scopes[i], &copy);
        zmq_msg_close(&copy);
    }
    return result < 0 ? result : (int)n_scopes;
}

int events_send(struct events *self, struct packet *packet)
{
    zmq_msg_t body;
    int result = packet_message(packet, self->unsent, &body);
    if (result < 0)
        return result;
    result = send_to_scopes(self, packet, &body);
    zmq_msg_close(&body);
    if (result < 0)
        return result;
    counter_add(&self->counters->events_routed, 1);
    counter_add(&self->counters->messages_sent, (uint64_t)result);
    return result;
}

void events_receive(struct events *self)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    while (TEMP_FAILURE_RETRY(zmq_msg_recv(&message, self->handle, ZMQ_DONTWAIT)) >= 0)
        ;
    zmq_msg_close(&message);
}
