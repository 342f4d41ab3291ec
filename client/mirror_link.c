/* SPDX-License-Identifier: Apache-2.0 */

/* Four sockets of ZeroMQ and a timer in one epoll. */

#include "client/mirror_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    UNREAD_MAX = 100000, /* events that may wait for us on our side */
    RECONNECT_MS = 50,   /* between two tries to connect, doubled up to the next */
    RECONNECT_MAX_MS = 1000,
    HEARTBEAT_MS = 10000, /* over tcp, where a peer may go without a word */
    HEARTBEAT_TIMEOUT_MS = 30000,
};

/* ---- its life ------------------------------------------------------------------------------- */

static int watch(struct mirror_link *link, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(link->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int mirror_link_open(struct mirror_link *link, const struct proctrack *connection)
{
    *link = (struct mirror_link){.connection = connection, .timer = -1};
    link->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (link->epoll < 0)
        return -errno;
    link->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int result = link->timer < 0 ? -errno : watch(link, link->timer);
    if (result < 0)
        mirror_link_close(link);
    return result;
}

void mirror_link_close(struct mirror_link *link)
{
    mirror_link_disconnect(link);
    if (link->connection && link->epoll >= 0)
        close(link->epoll);
    if (link->connection && link->timer >= 0)
        close(link->timer);
    *link = (struct mirror_link){0};
}

/* ---- sockets -------------------------------------------------------------------------------- */

static int fd_of(void *socket)
{
    int fd = -1;
    size_t size = sizeof fd;
    return zmq_getsockopt(socket, ZMQ_FD, &fd, &size) < 0 ? -errno : fd;
}

static int set(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int set_all(void *socket, bool over_tcp)
{
    const struct {
        int option, value;
    } options[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_RCVHWM, UNREAD_MAX},
        {ZMQ_SNDHWM, 0}, /* subscriptions travel under it: none may be dropped */
        {ZMQ_RECONNECT_IVL, RECONNECT_MS},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
        {ZMQ_HEARTBEAT_IVL, over_tcp ? HEARTBEAT_MS : 0},
        {ZMQ_HEARTBEAT_TIMEOUT, over_tcp ? HEARTBEAT_TIMEOUT_MS : 0},
    };
    int result = 0;
    for (size_t i = 0; i < sizeof options / sizeof *options && result == 0; i++)
        result = set(socket, options[i].option, options[i].value);
    return result;
}

static int make(struct mirror_link *link, enum mirror_socket which, int type)
{
    void *socket = zmq_socket(link->connection->context, type);
    if (!socket)
        return -errno;
    link->sockets[which] = socket;
    int result = set_all(socket, strncmp(link->connection->events, "tcp://", 6) == 0);
    if (result == 0 && type != ZMQ_PAIR)
        result = client_keys_use(&link->connection->keys, socket);
    int fd = result == 0 ? fd_of(socket) : result;
    return fd < 0 ? fd : watch(link, fd);
}

static int make_all(struct mirror_link *link)
{
    static const int types[MIRROR_SOCKETS] = {ZMQ_SUB, ZMQ_PAIR, ZMQ_DEALER, ZMQ_DEALER};
    int result = 0;
    for (int i = 0; i < MIRROR_SOCKETS && result == 0; i++)
        result = make(link, i, types[i]);
    return result;
}

static int begin_monitor(struct mirror_link *link)
{
    enum {
        WANTED = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED
    };
    char name[64];
    snprintf(name, sizeof name, "inproc://proctrack-mirror-%p-%llu", (void *)link,
             (unsigned long long)++link->n);
    if (zmq_socket_monitor(link->sockets[MIRROR_EVENTS], name, WANTED) < 0 ||
        zmq_connect(link->sockets[MIRROR_MONITOR], name) < 0)
        return -errno;
    return 0;
}

static int connect_all(struct mirror_link *link, struct text prefix)
{
    const struct proctrack *to = link->connection;
    int result = make_all(link);
    if (result == 0)
        result = begin_monitor(link);
    if (result < 0)
        return result;
    if (zmq_setsockopt(link->sockets[MIRROR_EVENTS], ZMQ_SUBSCRIBE, prefix.at, prefix.size) < 0 ||
        zmq_connect(link->sockets[MIRROR_EVENTS], to->events) < 0 ||
        zmq_connect(link->sockets[MIRROR_CONTROL], to->control) < 0 ||
        zmq_connect(link->sockets[MIRROR_RPC], to->rpc) < 0)
        return -errno;
    return 0;
}

int mirror_link_connect(struct mirror_link *link, struct text prefix)
{
    mirror_link_disconnect(link);
    int result = connect_all(link, prefix);
    if (result < 0)
        mirror_link_disconnect(link);
    return result;
}

void mirror_link_disconnect(struct mirror_link *link)
{
    if (link->sockets[MIRROR_EVENTS])
        zmq_socket_monitor(link->sockets[MIRROR_EVENTS], NULL, 0);
    for (int i = 0; i < MIRROR_SOCKETS; i++) {
        if (!link->sockets[i])
            continue;
        /* ZeroMQ closes its descriptor in another thread, some time: it must not wake us then. */
        int fd = fd_of(link->sockets[i]);
        if (fd >= 0)
            epoll_ctl(link->epoll, EPOLL_CTL_DEL, fd, NULL);
        zmq_close(link->sockets[i]);
        link->sockets[i] = NULL;
    }
}

bool mirror_link_is_connected(const struct mirror_link *link)
{
    return link->sockets[MIRROR_EVENTS] != NULL;
}

int mirror_link_subscribe(struct mirror_link *link, const char *topic)
{
    return zmq_setsockopt(link->sockets[MIRROR_EVENTS], ZMQ_SUBSCRIBE, topic, strlen(topic)) < 0
               ? -errno
               : 0;
}

void mirror_link_unsubscribe(struct mirror_link *link, const char *topic)
{
    zmq_setsockopt(link->sockets[MIRROR_EVENTS], ZMQ_UNSUBSCRIBE, topic, strlen(topic));
}

void mirror_link_wake_at(struct mirror_link *link, int64_t at_ms)
{
    struct itimerspec when = {0}; /* all zero: never */
    if (at_ms != MIRROR_NEVER_MS) {
        when.it_value.tv_sec = at_ms / 1000;
        when.it_value.tv_nsec = at_ms % 1000 * 1000000 + 1; /* 0 would be never */
    }
    timerfd_settime(link->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* ---- messages ------------------------------------------------------------------------------- */

/* Takes a frame: 1 where more follow, 0 where not; -EAGAIN: there is none. */
static int take(void *socket, zmq_msg_t *frame)
{
    int n;
    do
        n = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : zmq_msg_more(frame);
}

/* Takes the frames of one message: the first `n` are kept. All of a message arrives together. 1; 0:
 * there is none; -EBADMSG: it has another number of frames. */
static int take_message(void *socket, zmq_msg_t *const *frames, int n)
{
    int result = take(socket, frames[0]);
    int taken = 1;
    if (result == -EAGAIN)
        return 0;
    zmq_msg_t rest;
    zmq_msg_init(&rest);
    while (result == 1) {
        result = take(socket, taken < n ? frames[taken] : &rest);
        taken++;
    }
    zmq_msg_close(&rest);
    return result < 0 ? result : taken == n ? 1 : -EBADMSG;
}

int mirror_link_what_happened(struct mirror_link *link)
{
    uint16_t event = 0;
    zmq_msg_t what, where;
    zmq_msg_init(&what);
    zmq_msg_init(&where);
    int result = take_message(link->sockets[MIRROR_MONITOR], (zmq_msg_t *[]){&what, &where}, 2);
    if (result == 1 && zmq_msg_size(&what) >= sizeof event)
        memcpy(&event, zmq_msg_data(&what), sizeof event);
    zmq_msg_close(&what);
    zmq_msg_close(&where);
    return result < 0 ? result : event;
}

int mirror_link_event(struct mirror_link *link, zmq_msg_t *topic, zmq_msg_t *body)
{
    return take_message(link->sockets[MIRROR_EVENTS], (zmq_msg_t *[]){topic, body}, 2);
}

int mirror_link_send(struct mirror_link *link, enum mirror_socket to, struct text body)
{
    void *socket = link->sockets[to];
    if (zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(socket, body.at, body.size, ZMQ_DONTWAIT) < 0)
        return -errno;
    return 0;
}

int mirror_link_reply(struct mirror_link *link, enum mirror_socket from, zmq_msg_t *body)
{
    zmq_msg_t empty;
    zmq_msg_init(&empty);
    int result = take_message(link->sockets[from], (zmq_msg_t *[]){&empty, body}, 2);
    zmq_msg_close(&empty);
    return result;
}
