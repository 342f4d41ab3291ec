/* SPDX-License-Identifier: Apache-2.0 */

/* One event in one piece of memory, shared by all who need it. */

#include "broker_shim/packet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

/*
 * Packets are made in one thread and freed in another, one of ZeroMQ's. At hundreds of thousands a
 * second malloc's lock is what both wait for most of their time. So memory for packets of the usual
 * size is used again: who frees puts it on a stack without a lock, and who makes takes the whole
 * stack at once, which no other taker can get between. It is the process's, as malloc's is: packets
 * outlive the broker that made them.
 */

enum {
    SLOT_BYTES = 512,
    SLOTS_KEPT_MAX = 1024, /* unused ones */
};

#if defined(__SANITIZE_ADDRESS__)
static const bool is_used_again = false; /* so that a use behind the end is found */
#else
static const bool is_used_again = true;
#endif

static _Atomic(struct packet *) returned;
static _Atomic unsigned n_unused;
static struct packet *unused; /* guarded by is_taken */
static atomic_flag is_taken = ATOMIC_FLAG_INIT;

/* Null: there is none, or another thread is taking one just now. */
static struct packet *take_unused(void)
{
    if (atomic_flag_test_and_set_explicit(&is_taken, memory_order_acquire))
        return NULL;
    if (!unused)
        unused = atomic_exchange_explicit(&returned, NULL, memory_order_acquire);
    struct packet *packet = unused;
    if (packet) {
        unused = packet->next;
        atomic_fetch_sub_explicit(&n_unused, 1, memory_order_relaxed);
    }
    atomic_flag_clear_explicit(&is_taken, memory_order_release);
    return packet;
}

static struct packet *allocate(size_t size)
{
    if (size > SLOT_BYTES)
        return malloc(size);
    struct packet *packet = take_unused();
    return packet ? packet : malloc(SLOT_BYTES);
}

static void deallocate(struct packet *packet)
{
    if (!is_used_again || packet->footprint > SLOT_BYTES ||
        atomic_load_explicit(&n_unused, memory_order_relaxed) >= SLOTS_KEPT_MAX) {
        free(packet);
        return;
    }
    atomic_fetch_add_explicit(&n_unused, 1, memory_order_relaxed);
    packet->next = atomic_load_explicit(&returned, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&returned, &packet->next, packet,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

/* ---- packets ---- */

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

    struct packet *packet = allocate(size);
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
        deallocate(packet);
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
