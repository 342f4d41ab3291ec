/* SPDX-License-Identifier: Apache-2.0 */

/* Frames of one message, however many a peer sends. */

#include "broker_shim/frames.h"

#include <unistd.h>

size_t frames_receive(void *socket, zmq_msg_t *frames, size_t n_kept)
{
    zmq_msg_t surplus;
    size_t n = 0;
    for (size_t i = 0; i < n_kept; i++)
        zmq_msg_init(&frames[i]);
    zmq_msg_init(&surplus);
    for (int more = 1; more;) {
        zmq_msg_t *frame = n < n_kept ? &frames[n] : &surplus;
        if (TEMP_FAILURE_RETRY(zmq_msg_recv(frame, socket, ZMQ_DONTWAIT)) < 0)
            break;
        more = zmq_msg_more(frame);
        n++;
    }
    zmq_msg_close(&surplus);
    return n;
}

void frames_close(zmq_msg_t *frames, size_t n_kept)
{
    for (size_t i = 0; i < n_kept; i++)
        zmq_msg_close(&frames[i]);
}

struct text frame_bytes(zmq_msg_t *frame)
{
    return (struct text){zmq_msg_data(frame), zmq_msg_size(frame)};
}
