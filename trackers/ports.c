/* SPDX-License-Identifier: Apache-2.0 */

/* Asking sock_diag for listening TCP sockets. Source: sock_diag (7), linux/inet_diag.h. */

#include "trackers/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
    DATAGRAM_MAX = 64 * 1024, /* the kernel makes them of up to 32 KiB */
    ANSWER_MS = 1000,
    LISTENERS_MAX = 1 << 20,
};

/* ---- the answer ---- */

static int add(struct ports *ports, const struct inet_diag_msg *message)
{
    if (ports->n == ports->room) {
        size_t room = ports->room ? ports->room * 2 : 64;
        struct listener *items =
            room > LISTENERS_MAX ? NULL : realloc(ports->items, room * sizeof *items);
        if (!items)
            return -ENOMEM;
        ports->items = items;
        ports->room = room;
    }
    struct listener *listener = &ports->items[ports->n++];
    *listener = (struct listener){.inode = message->idiag_inode,
                                  .port = ntohs(message->id.idiag_sport),
                                  .family = message->idiag_family};
    memcpy(listener->address, message->id.idiag_src, message->idiag_family == AF_INET ? 4 : 16);
    return 0;
}

/* One message; `body` are `size` bytes that are there. */
static int take(struct ports *ports, const struct nlmsghdr *header, const char *body, size_t size)
{
    struct inet_diag_msg message;
    int error;
    switch (header->nlmsg_type) {
    case NLMSG_DONE:
        return 1;
    case NLMSG_ERROR:
        if (size < sizeof error)
            return -EBADMSG;
        memcpy(&error, body, sizeof error);
        return error < 0 ? error : 0;
    case SOCK_DIAG_BY_FAMILY:
        if (size < sizeof message)
            return -EBADMSG;
        memcpy(&message, body, sizeof message);
        /* Inode 0: a socket that no descriptor stands for any more. */
        if (message.idiag_state != TCP_LISTEN || message.idiag_inode == 0 ||
            (message.idiag_family != AF_INET && message.idiag_family != AF_INET6))
            return 0;
        return add(ports, &message);
    default:
        return 0;
    }
}

int ports_parse(struct ports *ports, const void *bytes, size_t size, uint32_t seq)
{
    const char *at = bytes;
    while (size > 0) {
        struct nlmsghdr header;
        if (size < sizeof header)
            return -EBADMSG;
        memcpy(&header, at, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > size)
            return -EBADMSG;
        int r = header.nlmsg_seq == seq
                    ? take(ports, &header, at + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN)
                    : 0;
        if (r != 0)
            return r;
        size_t step = NLMSG_ALIGN((size_t)header.nlmsg_len);
        if (step > size)
            step = size; /* the last one needs no padding */
        at += step;
        size -= step;
    }
    return 0;
}

/* ---- the question ---- */

static int ask(int fd, int family, uint32_t seq)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
    } question = {
        .header = {.nlmsg_len = sizeof question,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                   .nlmsg_seq = seq},
        .body = {.sdiag_family = (__u8)family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = 1 << TCP_LISTEN},
    };
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t n =
        sendto(fd, &question, sizeof question, 0, (const struct sockaddr *)&kernel, sizeof kernel);
    return n < 0 ? -errno : 0;
}

static int read_answer(int fd, struct ports *ports, char *buffer, uint32_t seq)
{
    for (;;) {
        struct sockaddr_nl from = {0};
        socklen_t from_size = sizeof from;
        ssize_t size =
            recvfrom(fd, buffer, DATAGRAM_MAX, MSG_TRUNC, (struct sockaddr *)&from, &from_size);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (size > DATAGRAM_MAX)
            return -EMSGSIZE;
        if (from.nl_pid != 0)
            continue; /* not of the kernel */
        int r = ports_parse(ports, buffer, (size_t)size, seq);
        if (r != 0)
            return r < 0 ? r : 0;
    }
}

static int by_inode(const void *a, const void *b)
{
    const struct listener *x = a, *y = b;
    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/* Both families over a socket that is in the namespace already. */
static int read_over(struct ports *ports, int fd)
{
    const struct timeval patience = {ANSWER_MS / 1000, 0};
    _cleanup_free_ char *buffer = malloc(DATAGRAM_MAX);
    if (!buffer)
        return -ENOMEM;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        return -errno;
    int r = ask(fd, AF_INET, 1);
    r = r < 0 ? r : read_answer(fd, ports, buffer, 1);
    if (r < 0)
        return r;
    r = ask(fd, AF_INET6, 2);
    r = r < 0 ? r : read_answer(fd, ports, buffer, 2);
    if (r < 0 && r != -ENOENT) /* a kernel without IPv6 */
        return r;
    if (ports->n)
        qsort(ports->items, ports->n, sizeof *ports->items, by_inode);
    return 0;
}

static int read_at(struct ports *ret, int fd, const struct stat *netns)
{
    struct ports ports = {.netns_dev = netns->st_dev, .netns_ino = netns->st_ino};
    int r = read_over(&ports, fd);
    if (r < 0) {
        ports_clear(&ports);
        return r;
    }
    *ret = ports;
    return 0;
}

static int open_socket(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    return fd < 0 ? -errno : fd;
}

int ports_read(struct ports *ret)
{
    struct stat netns;
    _cleanup_close_ int fd = open_socket();
    if (fd < 0)
        return fd;
    if (stat("/proc/thread-self/ns/net", &netns) < 0)
        return -errno;
    return read_at(ret, fd, &netns);
}

/* ---- elsewhere ---- */

struct visit {
    int netns_fd;
    int socket; /* or a negative errno */
};

static void *go_there(void *argument)
{
    struct visit *visit = argument;
    visit->socket = setns(visit->netns_fd, CLONE_NEWNET) < 0 ? -errno : open_socket();
    return NULL;
}

/* A socket stays in the namespace that it was made in. So a thread of its own goes there, makes it
 * and ends: nobody has to find the way back. */
int ports_read_in(struct ports *ret, int netns_fd)
{
    struct visit visit = {.netns_fd = netns_fd};
    struct stat netns;
    pthread_t thread;
    if (fstat(netns_fd, &netns) < 0)
        return -errno;
    int r = -pthread_create(&thread, NULL, go_there, &visit);
    if (r < 0)
        return r;
    pthread_join(thread, NULL);
    if (visit.socket < 0)
        return visit.socket;
    r = read_at(ret, visit.socket, &netns);
    close(visit.socket);
    return r;
}

/* ---- finding ---- */

const struct listener *ports_find(const struct ports *ports, uint32_t inode, size_t *ret_n)
{
    size_t from = 0, to = ports->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (ports->items[middle].inode < inode)
            from = middle + 1;
        else
            to = middle;
    }
    *ret_n = 0;
    while (from + *ret_n < ports->n && ports->items[from + *ret_n].inode == inode)
        ++*ret_n;
    return *ret_n ? &ports->items[from] : NULL;
}

void ports_clear(struct ports *ports)
{
    free(ports->items);
    *ports = (struct ports){0};
}
