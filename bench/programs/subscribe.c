/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A subscriber that only takes what comes and notes when:
 *
 *     bench_subscribe ENDPOINT FILE QUIET-MS       keeps every message
 *     bench_subscribe ENDPOINT - QUIET-MS          only counts
 *
 * It says `synced` when a message with a topic `sync:...` came, so that its subscriptions are in
 * force. When its stdin ended and nothing came for QUIET-MS it writes the file: for each message
 * the time, the sizes of topic and body, and both. Then it says `got COUNT FIRST-NS LAST-NS
 * BODY-BYTES`.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/programs/bench.h"

struct head {
    uint64_t time_ns;
    uint32_t topic_size, body_size;
};

struct subscriber {
    void *socket;
    bool keeps, synced;
    uint64_t count, first_ns, last_ns, body_size;
    struct bench_bytes messages;
};

static void take(struct subscriber *self, zmq_msg_t *topic, zmq_msg_t *body)
{
    static const char sync[] = "sync:";
    size_t topic_size = zmq_msg_size(topic), body_size = zmq_msg_size(body);
    if (topic_size >= sizeof sync - 1 && memcmp(zmq_msg_data(topic), sync, sizeof sync - 1) == 0) {
        if (!self->synced)
            bench_say("synced");
        self->synced = true;
        return;
    }
    self->last_ns = bench_now();
    if (self->count++ == 0)
        self->first_ns = self->last_ns;
    self->body_size = body_size;
    if (!self->keeps)
        return;
    struct head head = {self->last_ns, (uint32_t)topic_size, (uint32_t)body_size};
    bench_append(&self->messages, &head, sizeof head);
    bench_append(&self->messages, zmq_msg_data(topic), topic_size);
    bench_append(&self->messages, zmq_msg_data(body), body_size);
}

/* One message of two frames. False: none is there. */
static bool receive(struct subscriber *self)
{
    zmq_msg_t topic, body;
    zmq_msg_init(&topic);
    zmq_msg_init(&body);
    bool came = zmq_msg_recv(&topic, self->socket, ZMQ_DONTWAIT) >= 0;
    if (came && zmq_msg_more(&topic) && zmq_msg_recv(&body, self->socket, 0) >= 0)
        take(self, &topic, &body);
    zmq_msg_close(&topic);
    zmq_msg_close(&body);
    return came;
}

static void run(struct subscriber *self, long quiet_ms)
{
    zmq_pollitem_t items[] = {{.socket = self->socket, .events = ZMQ_POLLIN},
                              {.fd = STDIN_FILENO, .events = ZMQ_POLLIN}};
    bool ending = false;
    for (;;) {
        int n = zmq_poll(items, ending ? 1 : 2, ending ? quiet_ms : -1);
        if (n == 0)
            return;
        if (n < 0 && errno != EINTR)
            bench_fail("zmq_poll");
        while (receive(self))
            ;
        if (!ending && n > 0 && items[1].revents && !bench_wait_line())
            ending = true;
    }
}

int main(int argc, char **argv)
{
    static struct subscriber self;
    int no_mark = 0;
    if (argc != 4) {
        fprintf(stderr, "usage: %s ENDPOINT FILE QUIET-MS\n", argv[0]);
        return 2;
    }
    void *context = zmq_ctx_new();
    self.socket = zmq_socket(context, ZMQ_SUB);
    self.keeps = strcmp(argv[2], "-") != 0;
    zmq_setsockopt(self.socket, ZMQ_RCVHWM, &no_mark, sizeof no_mark);
    zmq_setsockopt(self.socket, ZMQ_SUBSCRIBE, "block:", 6);
    zmq_setsockopt(self.socket, ZMQ_SUBSCRIBE, "sync:", 5);
    if (zmq_connect(self.socket, argv[1]) < 0)
        bench_fail(argv[1]);
    run(&self, (long)bench_number(argv[3]));
    if (self.keeps)
        bench_write(&self.messages, argv[2]);
    bench_say("got %llu %llu %llu %llu", (unsigned long long)self.count,
              (unsigned long long)self.first_ns, (unsigned long long)self.last_ns,
              (unsigned long long)self.body_size);
    return 0;
}
