/* SPDX-License-Identifier: Apache-2.0 */

/* Questions of ZeroMQ's handshakes, and their answers. */

#include "access/zap.h"

#include <errno.h>
#include <unistd.h>
#include <zmq.h>

#define ENDPOINT "inproc://zeromq.zap.01"
#define VERSION  "1.0"

enum {
    ANSWERED_IN_ONE_GO = 64,
    /* Who asks, the empty frame, version, request id, domain, address, identity, mechanism; then
     * credentials. */
    WHO = 0,
    REQUEST_ID = 3,
    DOMAIN = 4,
    ADDRESS = 5,
    MECHANISM = 7,
    CREDENTIALS = 8,
    FRAMES_MAX = 12,
};

int zap_open(void **ret_socket, void *zmq_context, struct wps_error *error)
{
    const int zero = 0;
    void *socket = zmq_socket(zmq_context, ZMQ_ROUTER);
    if (socket && zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero) == 0 &&
        zmq_bind(socket, ENDPOINT) == 0) {
        *ret_socket = socket;
        return 0;
    }
    int code = -errno;
    if (socket)
        zmq_close(socket);
    return wps_error_set(error, code, "making the handler that says who may connect: %s",
                         zmq_strerror(-code));
}

static struct text text_of_frame(zmq_msg_t *frame)
{
    return (struct text){zmq_msg_data(frame), zmq_msg_size(frame)};
}

/* Returns how many frames the question had; of those beyond FRAMES_MAX none is kept. */
static size_t receive(void *socket, zmq_msg_t frames[static FRAMES_MAX])
{
    size_t n = 0;
    int more = 1;
    for (size_t i = 0; i < FRAMES_MAX; i++)
        zmq_msg_init(&frames[i]);
    while (more) {
        zmq_msg_t over;
        // cppcheck-suppress uninitvar; its address alone
        zmq_msg_t *frame = n < FRAMES_MAX ? &frames[n] : &over;
        if (frame == &over)
            zmq_msg_init(&over);
        if (TEMP_FAILURE_RETRY(zmq_msg_recv(frame, socket, ZMQ_DONTWAIT)) < 0)
            return n;
        more = zmq_msg_more(frame);
        n++;
        if (frame == &over)
            zmq_msg_close(&over);
    }
    return n;
}

static bool is_permitted(zmq_msg_t *frames, size_t n, zap_decide *decide, void *context)
{
    struct zap_question question = {
        .domain = text_of_frame(&frames[DOMAIN]),
        .address = text_of_frame(&frames[ADDRESS]),
        .mechanism = text_of_frame(&frames[MECHANISM]),
    };
    if (n > CREDENTIALS && text_is(question.mechanism, "CURVE"))
        question.key = text_of_frame(&frames[CREDENTIALS]);
    return text_is(text_of_frame(&frames[2]), VERSION) && decide(context, &question);
}

static void send_text(void *socket, struct text text, int flags)
{
    TEMP_FAILURE_RETRY(zmq_send(socket, text.at, text.size, ZMQ_DONTWAIT | flags));
}

/* To who has gone meanwhile nothing is sent (without ZMQ_ROUTER_MANDATORY). */
static void reply(void *socket, zmq_msg_t *frames, bool permitted)
{
    const struct text status = text_of(permitted ? "200" : "400");
    const struct text why = text_of(permitted ? "OK" : "not permitted");
    const struct text nothing = {"", 0};
    send_text(socket, text_of_frame(&frames[WHO]), ZMQ_SNDMORE);
    send_text(socket, nothing, ZMQ_SNDMORE);
    send_text(socket, text_of(VERSION), ZMQ_SNDMORE);
    send_text(socket, text_of_frame(&frames[REQUEST_ID]), ZMQ_SNDMORE);
    send_text(socket, status, ZMQ_SNDMORE);
    send_text(socket, why, ZMQ_SNDMORE);
    send_text(socket, nothing, ZMQ_SNDMORE); /* user id */
    send_text(socket, nothing, 0);           /* metadata */
}

unsigned zap_work(void *socket, zap_decide *decide, void *context, bool *ret_more)
{
    zmq_msg_t frames[FRAMES_MAX];
    unsigned refused = 0;
    *ret_more = true;
    for (int i = 0; i < ANSWERED_IN_ONE_GO && *ret_more; i++) {
        size_t n = receive(socket, frames);
        *ret_more = n > 0;
        if (n >= CREDENTIALS) {
            bool permitted = is_permitted(frames, n, decide, context);
            reply(socket, frames, permitted);
            refused += !permitted;
        }
        for (size_t k = 0; k < FRAMES_MAX; k++)
            zmq_msg_close(&frames[k]);
    }
    return refused;
}
