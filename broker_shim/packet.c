/* SPDX-License-Identifier: Apache-2.0 */

/* One event in one piece of memory, shared by all who need it. */

#include "broker_shim/packet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct text put_bytes(char **cursor, struct text bytes)
{
    char *at = *cursor;
    if (bytes.size > 0)
        memcpy(at, bytes.at, bytes.size);
    *cursor += bytes.size;
    return (struct text){at, bytes.size};
}

struct packet *packet_new(const struct event *event, struct wire_out *scratch)
{
    wire_out_clear(scratch);
    event_pack(scratch, event);
    if (wire_out_failed(scratch))
        return NULL;

    size_t head = sizeof(struct packet) + event->n_scopes * sizeof(struct text);
    size_t size = head + event->event.size + scratch->bytes.size;
    for (size_t i = 0; i < event->n_scopes; i++)
        size += event->scopes[i].size;

    struct packet *packet = malloc(size);
    if (!packet)
        return NULL;
    char *cursor = (char *)packet + head;
    *packet = (struct packet){
        .holders = 1,
        .persist =
            (uint32_t)(event->persist < EVENT_PERSIST_MAX ? event->persist : EVENT_PERSIST_MAX),
        .footprint = size,
        .n_scopes = event->n_scopes,
    };
    packet->event = put_bytes(&cursor, event->event);
    packet->body = put_bytes(&cursor, (struct text){scratch->bytes.data, scratch->bytes.size});
    for (size_t i = 0; i < event->n_scopes; i++)
        packet->scopes[i] = put_bytes(&cursor, event->scopes[i]);
    return packet;
}

struct packet *packet_hold(struct packet *packet)
{
    atomic_fetch_add_explicit(&packet->holders, 1, memory_order_relaxed);
    return packet;
}

void packet_release(struct packet *packet)
{
    if (packet && atomic_fetch_sub_explicit(&packet->holders, 1, memory_order_acq_rel) == 1)
        free(packet);
}

void packet_cleanup(struct packet **packet)
{
    packet_release(*packet);
}

/* ZeroMQ calls it from the thread that sent or dropped the last copy. */
static void message_done(void *body, void *hint)
{
    struct packet *packet = hint;
    (void)body;
    atomic_fetch_sub_explicit(packet->unsent, packet->footprint, memory_order_relaxed);
    packet_release(packet);
}

int packet_message(struct packet *packet, _Atomic size_t *unsent, zmq_msg_t *ret_message)
{
    packet->unsent = unsent;
    atomic_fetch_add_explicit(unsent, packet->footprint, memory_order_relaxed);
    packet_hold(packet);
    if (zmq_msg_init_data(ret_message, (void *)packet->body.at, packet->body.size, message_done,
                          packet) < 0) {
        message_done(NULL, packet);
        return -ENOMEM;
    }
    return 0;
}
