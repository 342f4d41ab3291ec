/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_FRAMES_H
#define BROKER_FRAMES_H

/* Whole messages of several frames, taken without waiting. The socket's thread only. */

#include <stddef.h>
#include <zmq.h>

#include "base/text.h"

/* Receives one whole message and keeps its first `n_kept` frames in `frames`, all of which it
 * initializes; the rest is thrown away. Returns how many frames the message had, 0: there is none.
 * The caller ends with frames_close in any case. */
size_t frames_receive(void *socket, zmq_msg_t *frames, size_t n_kept);

void frames_close(zmq_msg_t *frames, size_t n_kept);

/* The bytes of a frame, which lie in it. */
struct text frame_bytes(zmq_msg_t *frame);

#endif
