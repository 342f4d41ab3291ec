/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The least that can be between a feed and a subscriber, as a peer for latency:
 *
 *     bench_bare FEED CGROUP-DIR ENDPOINT hop|direct
 *
 * A thread reads the same feed as the module does and sends a message for each exec and each exit;
 * with `hop` over inproc to another thread that has the PUB socket, else it has that itself.
 * Nothing is known of blocks, commands or parents. It says `ready`; until it gets a line it sends
 * `sync:` messages; at the end of its stdin it ends.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/programs/bench.h"
#include "trackers/feed.h"

enum { DRAIN = 4096, SYNC_MS = 10, HWM = 100000 };

struct bare {
    struct feed *feed;
    void *to;  /* where the reader sends: the PUB socket, or the hop */
    void *hop; /* the other end of the hop */
    void *pub;
};

static void send_message(void *socket, const char *topic, const struct bench_message *message)
{
    zmq_send(socket, topic, strlen(topic), ZMQ_SNDMORE);
    zmq_send(socket, message, sizeof *message, 0);
}

static void on_event(void *context, const struct feed_event *event)
{
    struct bare *self = context;
    struct bench_message message = {.pid = event->pid, .time_ns = event->time_ns};
    if (event->kind == FEED_EXEC)
        message.kind = BENCH_EXEC;
    else if (event->kind == FEED_EXIT || event->kind == FEED_THREAD_EXIT)
        message.kind = BENCH_EXIT;
    else
        return;
    if (event->kind == FEED_THREAD_EXIT && event->tid != event->pid)
        return;
    send_message(self->to, "block:bare", &message);
}

static void read_feed(struct bare *self)
{
    struct pollfd fds[] = {{.fd = feed_fd(self->feed), .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN}};
    struct bench_message nothing = {0};
    bool syncing = true;
    for (;;) {
        poll(fds, 2, syncing ? SYNC_MS : -1);
        if (fds[1].revents) {
            if (!bench_wait_line())
                return;
            syncing = false;
        }
        if (syncing)
            send_message(self->to, "sync:bare", &nothing);
        if (fds[0].revents)
            feed_drain(self->feed, DRAIN, on_event, self);
    }
}

/* The thread behind the hop. */
static void *pass_on(void *context)
{
    struct bare *self = context;
    zmq_msg_t part;
    zmq_msg_init(&part);
    while (zmq_msg_recv(&part, self->hop, 0) >= 0) {
        bool more = zmq_msg_more(&part);
        if (zmq_msg_send(&part, self->pub, more ? ZMQ_SNDMORE : 0) < 0)
            break;
        zmq_msg_init(&part);
    }
    return NULL;
}

static void *make_socket(void *context, int type, const char *endpoint, bool binds)
{
    int hwm = HWM, linger = 0;
    void *socket = zmq_socket(context, type);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    if ((binds ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint)) < 0)
        bench_fail(endpoint);
    return socket;
}

static void open_feed(struct bare *self, const char *name, const char *directory)
{
    struct wps_error error;
    int root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        bench_fail(directory);
    struct feed_options options = {.root_fd = root, .poll_ms = 2000};
    if (feed_open(name, &options, &self->feed, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        _exit(1);
    }
}

int main(int argc, char **argv)
{
    static struct bare self;
    pthread_t thread;
    if (argc != 5) {
        fprintf(stderr, "usage: %s FEED CGROUP-DIR ENDPOINT hop|direct\n", argv[0]);
        return 2;
    }
    void *context = zmq_ctx_new();
    open_feed(&self, argv[1], argv[2]);
    self.pub = make_socket(context, ZMQ_PUB, argv[3], true);
    self.to = self.pub;
    if (strcmp(argv[4], "hop") == 0) {
        self.hop = make_socket(context, ZMQ_PAIR, "inproc://hop", true);
        self.to = make_socket(context, ZMQ_PAIR, "inproc://hop", false);
        errno = pthread_create(&thread, NULL, pass_on, &self);
        if (errno)
            bench_fail("a thread");
    }
    bench_say("ready");
    read_feed(&self);
    unlink(argv[3] + strlen("ipc://"));
    feed_close(&self.feed);
    _exit(0); /* the thread behind the hop has nothing that outlives it */
}
