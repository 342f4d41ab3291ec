/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Plain libzmq as a peer for the rate of publishing: `bench_plain ENDPOINT BYTES` binds an XPUB, as
 * the broker does, and for each line `COUNT RATE` on its stdin sends so many messages of two frames
 * with a body of so many bytes, at that rate a second (0: as fast as it can; a full subscriber
 * makes it wait, so that nothing is lost). It says `sent COUNT FIRST-NS LAST-NS`. `0 0` sends a
 * `sync:`.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/programs/bench.h"
#include "bench/programs/pace.h"

enum { HWM = 100000 };

static void send_two(void *socket, const char *topic, const char *body, size_t size)
{
    if (zmq_send(socket, topic, strlen(topic), ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, body, size, 0) < 0)
        bench_fail("sending");
}

/* Subscriptions are read as a broker reads them. */
static void read_subscriptions(void *socket)
{
    char subscription[256];
    while (zmq_recv(socket, subscription, sizeof subscription, ZMQ_DONTWAIT) >= 0)
        ;
}

static void send_many(void *socket, uint64_t count, uint64_t rate, const char *body, size_t size)
{
    struct pace pace = pace_begin(rate);
    for (uint64_t i = 0; i < count; i++) {
        pace_wait(&pace, i);
        send_two(socket, "block:flood", body, size);
    }
    bench_say("sent %llu %llu %llu", (unsigned long long)count, (unsigned long long)pace.began_ns,
              (unsigned long long)bench_now());
}

int main(int argc, char **argv)
{
    int one = 1, hwm = HWM, linger = 0;
    unsigned long long count, rate;
    char line[64];
    if (argc != 3) {
        fprintf(stderr, "usage: %s ENDPOINT BYTES\n", argv[0]);
        return 2;
    }
    size_t size = bench_number(argv[2]);
    char *body = calloc(1, size + 1);
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_XPUB);
    zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &one, sizeof one);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    if (!body || zmq_bind(socket, argv[1]) < 0)
        bench_fail(argv[1]);
    bench_say("ready");
    while (fgets(line, sizeof line, stdin) && sscanf(line, "%llu %llu", &count, &rate) == 2) {
        read_subscriptions(socket);
        if (count == 0)
            send_two(socket, "sync:plain", body, size);
        else
            send_many(socket, count, rate, body, size);
    }
    unlink(argv[1] + strlen("ipc://"));
    zmq_close(socket);
    zmq_ctx_term(context);
    free(body);
    return 0;
}
