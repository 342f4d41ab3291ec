/* SPDX-License-Identifier: Apache-2.0 */

/* Many requests over one DEALER. */

#include "cli/asks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/dealer.h"
#include "cli/signals.h"

#define MONITOR "inproc://asks-monitor"

/* One run of it. */
struct run {
    struct asks *asks;
    const struct broker *broker;
    void *socket, *monitor;
    bool *answered; /* each request */
    size_t left;    /* that are not */
    bool looking;   /* a look at all blocks was asked for */
    int64_t next_tick_ms;
};

/* ---- the socket ----------------------------------------------------------------------------- */

static int connect_socket(struct run *run)
{
    const int none = 0;
    run->socket = zmq_socket(run->broker->context, ZMQ_DEALER);
    run->monitor = run->socket ? zmq_socket(run->broker->context, ZMQ_PAIR) : NULL;
    if (!run->monitor || zmq_setsockopt(run->socket, ZMQ_LINGER, &none, sizeof none) < 0 ||
        zmq_setsockopt(run->socket, ZMQ_SNDHWM, &none, sizeof none) < 0 ||
        zmq_setsockopt(run->socket, ZMQ_RCVHWM, &none, sizeof none) < 0 ||
        zmq_setsockopt(run->monitor, ZMQ_LINGER, &none, sizeof none) < 0 ||
        zmq_socket_monitor(run->socket, MONITOR,
                           ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED) < 0 ||
        zmq_connect(run->monitor, MONITOR) < 0 ||
        client_keys_use(&run->broker->keys, run->socket) < 0 ||
        zmq_connect(run->socket, run->broker->endpoint) < 0)
        return -errno;
    return 0;
}

static void close_all(struct run *run)
{
    if (run->socket) {
        zmq_socket_monitor(run->socket, NULL, 0);
        zmq_close(run->socket);
    }
    if (run->monitor)
        zmq_close(run->monitor);
    free(run->answered);
}

/* ---- sending -------------------------------------------------------------------------------- */

static int send_all(struct run *run)
{
    int result = 0;
    for (size_t i = 0; i < run->asks->n_requests && result == 0; i++)
        result = dealer_send(run->socket, &run->asks->requests[i], i);
    return result;
}

/* ---- replies -------------------------------------------------------------------------------- */

static void take(void *context, const struct reply *reply)
{
    struct run *run = context;
    struct asks *asks = run->asks;
    size_t number = reply->resid.kind == REQID_UINT ? reply->resid.number : SIZE_MAX;
    if (number == asks->n_requests) {
        run->looking = false;
        if (reply->ok)
            asks->ticked(asks->context, reply->data);
    } else if (number < asks->n_requests && !run->answered[number]) {
        run->answered[number] = true;
        run->left--;
        asks->answered(asks->context, &(struct answer){number, reply});
    }
}

static int receive_all(struct run *run, struct wps_error *error)
{
    struct wps_error why;
    int result = 0;
    while (result == 0)
        result = dealer_receive(run->socket, take, run, &why);
    if (result == -EPROTO)
        return wps_error_set(error, result, "%s: %s", run->broker->endpoint, why.message);
    return result == -EAGAIN ? 0 : result;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static int look_if_due(struct run *run)
{
    struct asks *asks = run->asks;
    const struct control_request request = {CONTROL_REQUEST_DEFAULTS,
                                            .command = CONTROL_LIST_ALL_BLOCKS};
    if (!asks->ticked || run->looking || monotonic_ms() < run->next_tick_ms)
        return 0;
    run->looking = true;
    run->next_tick_ms = monotonic_ms() + asks->tick_ms;
    return dealer_send(run->socket, &request, asks->n_requests);
}

/* Until when to wait, at most: the end, or the next look. */
static long wait_time(const struct run *run, int64_t end_ms)
{
    int64_t now = monotonic_ms(), wait = end_ms < 0 ? -1 : end_ms > now ? end_ms - now : 0;
    if (run->asks->ticked && !run->looking) {
        int64_t tick = run->next_tick_ms > now ? run->next_tick_ms - now : 0;
        wait = wait < 0 || tick < wait ? tick : wait;
    }
    return (long)wait;
}

/* What the monitor tells: -ECONNRESET where the broker went; where it could not be connected to,
 * why, for ZeroMQ would try for ever. (A queue that is full is tried again, and that is all right.)
 */
static int read_monitor(struct run *run, struct wps_error *error)
{
    uint16_t event = 0;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, run->monitor, ZMQ_DONTWAIT) >= (int)sizeof event)
        memcpy(&event, zmq_msg_data(&frame), sizeof event);
    while (zmq_msg_more(&frame) && zmq_msg_recv(&frame, run->monitor, ZMQ_DONTWAIT) >= 0)
        ;
    zmq_msg_close(&frame);
    if (event == ZMQ_EVENT_DISCONNECTED || strncmp(run->broker->endpoint, "ipc:", 4) != 0)
        return event ? -ECONNRESET : 0;
    int result = event ? control_client_check_pids(run->broker->client, error) : 0;
    return result == -EXDEV || result == 0 ? 0 : -ENOTCONN;
}

/* Waits once. 0: something may be there; -EINTR, -ECONNRESET, -ENOTCONN with a sentence. */
static int wait_once(struct run *run, int64_t end_ms, struct wps_error *error)
{
    zmq_pollitem_t items[] = {{.socket = run->socket, .events = ZMQ_POLLIN},
                              {.socket = run->monitor, .events = ZMQ_POLLIN},
                              {.fd = run->asks->signals_fd, .events = ZMQ_POLLIN}};
    int n = run->asks->signals_fd >= 0 ? 3 : 2;
    if (zmq_poll(items, n, wait_time(run, end_ms)) < 0)
        return errno == EINTR ? 0 : -errno;
    run->asks->signal = signals_read(run->asks->signals_fd);
    if (run->asks->signal)
        return -EINTR;
    return items[0].revents == 0 && items[1].revents ? read_monitor(run, error) : 0;
}

static int wait_all(struct run *run, struct wps_error *error)
{
    int64_t end_ms = run->asks->wait_ms < 0 ? -1 : monotonic_ms() + run->asks->wait_ms;
    run->next_tick_ms = monotonic_ms() + run->asks->tick_ms;
    while (run->left > 0) {
        int result = wait_once(run, end_ms, error);
        if (result == 0)
            result = receive_all(run, error);
        if (result == 0)
            result = look_if_due(run);
        if (result < 0)
            return result;
        if (run->left > 0 && end_ms >= 0 && monotonic_ms() >= end_ms)
            return -ETIMEDOUT;
    }
    return 0;
}

int asks_run(struct asks *asks, const struct broker *broker, struct wps_error *error)
{
    struct run run = {.asks = asks, .broker = broker, .left = asks->n_requests};
    run.answered = calloc(asks->n_requests + 1, sizeof *run.answered);
    int result = run.answered ? connect_socket(&run) : -ENOMEM;
    if (result == 0)
        result = send_all(&run);
    if (result == 0)
        result = wait_all(&run, error);
    close_all(&run);
    if (result == -ETIMEDOUT)
        return wps_error_set(error, result,
                             "no answer from %s in %lld ms: the broker there is busy "
                             "or stopped",
                             broker->endpoint, (long long)asks->wait_ms);
    if (result == -ECONNRESET)
        return wps_error_set(error, result, "the broker at %s ended before it answered",
                             broker->endpoint);
    if (result < 0 && result != -EINTR && result != -EPROTO && result != -ENOTCONN)
        return wps_error_set(error, result, "cannot ask %s: %s", broker->endpoint,
                             zmq_strerror(-result));
    return result;
}
