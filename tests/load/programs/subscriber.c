/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One of many subscribers, and not always a good one:
 *
 *     load_subscriber ENDPOINT reads PREFIX...      takes what comes
 *     load_subscriber ENDPOINT slow PREFIX...       takes 100 messages a second
 *     load_subscriber ENDPOINT deaf PREFIX...       takes none, ever
 *     load_subscriber ENDPOINT stopped PREFIX...    is stopped, with all its threads
 *
 * It says `ready` when it has asked for its subscriptions, and ends with its stdin.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/programs/bench.h"

enum { SLOW_MS = 10 };

/* One message. False: none is there. */
static bool receive(void *socket)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    bool came = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0;
    while (came && zmq_msg_more(&frame))
        zmq_msg_recv(&frame, socket, 0);
    zmq_msg_close(&frame);
    return came;
}

/* Waits for a message, where `socket` is not null, or the end of stdin; so long at most. */
static bool goes_on(void *socket, long timeout_ms)
{
    zmq_pollitem_t items[] = {{.fd = STDIN_FILENO, .events = ZMQ_POLLIN},
                              {.socket = socket, .events = ZMQ_POLLIN}};
    int n = zmq_poll(items, socket ? 2 : 1, timeout_ms);
    if (n < 0 && errno != EINTR)
        bench_fail("zmq_poll");
    return n <= 0 || !items[0].revents;
}

static void read_all(void *socket)
{
    while (goes_on(socket, -1))
        while (receive(socket))
            ;
}

static void read_slowly(void *socket)
{
    while (goes_on(NULL, SLOW_MS))
        receive(socket);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s ENDPOINT reads|slow|deaf|stopped PREFIX...\n", argv[0]);
        return 2;
    }
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_SUB);
    for (int i = 3; i < argc; i++)
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, argv[i], strlen(argv[i]));
    if (zmq_connect(socket, argv[1]) < 0)
        bench_fail(argv[1]);
    bench_say("ready");
    if (strcmp(argv[2], "slow") == 0)
        read_slowly(socket);
    else if (strcmp(argv[2], "deaf") == 0)
        goes_on(NULL, -1);
    else if (strcmp(argv[2], "stopped") == 0)
        raise(SIGSTOP);
    else
        read_all(socket);
    return 0;
}
