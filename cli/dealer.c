/* SPDX-License-Identifier: Apache-2.0 */

/* One message out, one message in. */

#include "cli/dealer.h"

#include <errno.h>
#include <zmq.h>

int dealer_send(void *socket, const struct control_request *request, uint64_t number)
{
    struct wire_out data, out;
    const struct reqid reqid = {.kind = REQID_UINT, .number = number};
    wire_out_init(&data);
    wire_out_init(&out);
    control_request_pack(&data, request);
    request_pack(&out, control_command_name(request->command), &reqid,
                 (struct text){data.bytes.data, data.bytes.size});
    int result = wire_out_failed(&data) || wire_out_failed(&out) ? -ENOMEM : 0;
    if (result == 0 && (zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
                        zmq_send(socket, out.bytes.data, out.bytes.size, ZMQ_DONTWAIT) < 0))
        result = -errno;
    wire_out_destroy(&data);
    wire_out_destroy(&out);
    return result;
}

int dealer_receive(void *socket, void (*take)(void *context, const struct reply *reply),
                   void *context, struct wps_error *error)
{
    struct reply reply;
    struct wps_error why;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    int result = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) < 0 ? -errno : 0;
    while (result == 0 && zmq_msg_more(&frame))
        result = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) < 0 ? -errno : 0;
    if (result == 0 && reply_open(&reply, zmq_msg_data(&frame), zmq_msg_size(&frame), &why) < 0)
        result = wps_error_set(error, -EPROTO, "what it answers is no reply: %s", why.message);
    if (result == 0) {
        take(context, &reply);
        reply_close(&reply);
    }
    zmq_msg_close(&frame);
    return result;
}
