/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The netlink feed: the kernel's process connector (linux/cn_proc.h). It tells of every process of
 * the machine, threads one by one, without argv and without cgroups.
 *
 * Each message has a number that counts per processor, before any filter; none is set here, so a
 * gap in the numbers of a processor is a loss, counted exactly. Where the socket says that it
 * overflowed (ENOBUFS) the loss is known before the gap is: one is counted at once and taken off
 * the gap.
 *
 * A subscription can end without a word: on the socket itself, and before Linux 6.6, where the
 * kernel only counted its listeners, by anybody's. So, when asked to check, the thread gives itself
 * the name that it has: the kernel puts that event into each listener's socket before the call
 * returns. A socket that overflowed says so only once until it was read empty, whatever is dropped
 * till then; so where the event does not come it is made again when the socket is empty.
 */

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/feeds/feed_impl.h"
#include "trackers/feeds/netlink_message.h"
#include "trackers/procfs.h"

enum { BUFFER_KIB_DEFAULT = 8 * 1024, BATCH = 64 };

struct netlink_feed {
    struct feed feed;
    struct netlink_sequence sequence;
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    struct sockaddr_nl senders[BATCH];
    char messages[BATCH][256];
};

/* ---- reading ---- */

static uint64_t clock_gap_ns(void)
{
    struct timespec boot, mono;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    return (uint64_t)((boot.tv_sec - mono.tv_sec) * INT64_C(1000000000) + boot.tv_nsec -
                      mono.tv_nsec);
}

static void take_message(struct netlink_feed *netlink, int i, uint64_t gap_ns, feed_sink *sink,
                         void *context)
{
    struct feed_event event;
    struct text message = {netlink->messages[i], netlink->headers[i].msg_len};
    if (netlink->senders[i].nl_pid != 0)
        return; /* only the kernel is believed */
    netlink->feed.received++;
    bool told = netlink_parse(&netlink->sequence, message, gap_ns, &event);
    netlink->feed.lost = netlink->sequence.lost;
    if (told)
        sink(context, &event);
}

/* Takes what is there, about `max` of them. Less: the socket was empty. */
static int take(struct netlink_feed *netlink, unsigned max, feed_sink *sink, void *context)
{
    struct feed *feed = &netlink->feed;
    uint64_t gap_ns = clock_gap_ns();
    unsigned taken = 0;
    while (taken < max) {
        for (int i = 0; i < BATCH; i++)
            netlink->headers[i].msg_hdr.msg_namelen = sizeof netlink->senders[i];
        int n = recvmmsg(feed->fd, netlink->headers, BATCH, MSG_DONTWAIT, NULL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ENOBUFS) {
            netlink_overflowed(&netlink->sequence);
            feed->lost = netlink->sequence.lost;
            continue;
        }
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return -errno;
        for (int i = 0; i < n; i++)
            take_message(netlink, i, gap_ns, sink, context);
        taken += (unsigned)n;
        /* An overflow behind the last message is told by the next call only. */
        if (n < BATCH && !netlink->sequence.awaited)
            break;
    }
    return (int)taken;
}

static void ask(struct netlink_feed *netlink)
{
    char name[16];
    netlink->sequence.awaited = (uint32_t)gettid();
    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, name);
}

static int netlink_drain(struct feed *feed, unsigned max, feed_sink *sink, void *context)
{
    struct netlink_feed *netlink = (struct netlink_feed *)feed;
    int n = take(netlink, max, sink, context);
    if (n < 0 || n >= (int)max || !netlink->sequence.awaited)
        return n;
    ask(netlink);
    int more = take(netlink, max - (unsigned)n, sink, context);
    if (more < 0)
        return more;
    return netlink->sequence.awaited && n + more < (int)max ? -ENOLINK : n + more;
}

static void netlink_check(struct feed *feed)
{
    ask((struct netlink_feed *)feed);
}

/* ---- opening ---- */

static int tell_kernel(int fd, enum proc_cn_mcast_op op)
{
    struct __attribute__((aligned(NLMSG_ALIGNTO))) {
        struct nlmsghdr head;
        struct cn_msg connector;
        enum proc_cn_mcast_op op;
    } request = {
        .head = {.nlmsg_len = sizeof request, .nlmsg_type = NLMSG_DONE},
        .connector = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof op},
        .op = op,
    };
    /* The structs are packed by the kernel's layout: the operation follows right behind. */
    _Static_assert(sizeof request.head + sizeof request.connector + sizeof op <= sizeof request,
                   "nothing is cut off");
    return send(fd, &request, sizeof request.head + sizeof request.connector + sizeof op, 0) < 0
               ? -errno
               : 0;
}

static void set_buffer(int fd, unsigned kib)
{
    int bytes = (int)(kib ? kib : BUFFER_KIB_DEFAULT) * 1024;
    /* The first is for root and knows no limit; the second is cut to net.core.rmem_max. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static int subscribe(const struct feed_options *options, int *ret_fd, struct wps_error *error)
{
    /* The kernel takes a subscription from elsewhere too, and tells nothing. */
    if (proc_pid_namespace())
        return wps_error_set(error, -EOPNOTSUPP,
                             "the process connector tells nothing in a pid namespace of its own: "
                             "start the broker outside of the container");
    _cleanup_close_ int fd =
        socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    if (fd < 0)
        return wps_error_system(error, -errno, "cannot make a connector socket");
    set_buffer(fd, options->ring_kib);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return wps_error_system(error, -errno,
                                "cannot join the process connector's group (before Linux 6.6 it "
                                "needs CAP_NET_ADMIN)");
    int r = tell_kernel(fd, PROC_CN_MCAST_LISTEN);
    if (r < 0)
        return wps_error_system(error, r, "cannot subscribe to the process connector");
    *ret_fd = take_fd(&fd);
    return 0;
}

static void netlink_close(struct feed *feed)
{
    struct netlink_feed *netlink = (struct netlink_feed *)feed;
    if (feed->fd >= 0) {
        tell_kernel(feed->fd, PROC_CN_MCAST_IGNORE);
        close(feed->fd);
    }
    netlink_sequence_destroy(&netlink->sequence);
    free(netlink);
}

static int netlink_open(const struct feed_options *options, struct feed **ret_feed,
                        struct wps_error *error)
{
    struct netlink_feed *netlink = calloc(1, sizeof *netlink);
    if (!netlink)
        return wps_error_set(error, -ENOMEM, "out of memory");
    netlink->feed.class = &feed_netlink;
    netlink->feed.fd = -1;
    for (int i = 0; i < BATCH; i++) {
        netlink->parts[i] = (struct iovec){netlink->messages[i], sizeof netlink->messages[i]};
        netlink->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &netlink->senders[i], .msg_iov = &netlink->parts[i], .msg_iovlen = 1};
    }
    int r = netlink_sequence_init(&netlink->sequence);
    r = r < 0 ? wps_error_set(error, r, "out of memory")
              : subscribe(options, &netlink->feed.fd, error);
    if (r < 0) {
        netlink_close(&netlink->feed);
        return r;
    }
    *ret_feed = &netlink->feed;
    return 0;
}

const struct feed_class feed_netlink = {
    .name = "netlink",
    .traits = FEED_TELLS_BIRTHS,
    .open = netlink_open,
    .close = netlink_close,
    .drain = netlink_drain,
    .check = netlink_check,
};
