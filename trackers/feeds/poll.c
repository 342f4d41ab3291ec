/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The poll feed: asks for a scan at an interval, and holds a pidfd for each process that it is to
 * watch, so that ends at least are told at once. It needs no privilege. Where no pidfd can be had
 * (a kernel before 5.3, a seccomp filter), there is no room to watch anybody, and scans find the
 * ends.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/cleanup.h"
#include "base/fd_budget.h"
#include "trackers/feeds/feed_impl.h"
#include "trackers/procfs.h"

enum { POLL_MS_DEFAULT = 2000, BATCH = 64 };

/* linux/pidfd.h of Linux 6.15; older headers lack it. */
struct pidfd_info_v0 {
    uint64_t mask;
    uint64_t cgroupid;
    uint32_t ids[11];
    int32_t exit_code;
    uint32_t rest[6]; /* as far as the kernels known here go */
};
#define PIDFD_INFO_EXIT_BIT (UINT64_C(1) << 3)
#define PIDFD_GET_INFO_V0   _IOWR(0xFF, 11, struct pidfd_info_v0)

struct watch {
    uint32_t pid;
    int pidfd;
    uint64_t start_ticks;
    UT_hash_handle hh;
};

struct poll_feed {
    struct feed feed; /* its descriptor is an epoll over the timer and all pidfds */
    int timer;
    struct watch *watches; /* by pid */
    size_t n_watches, max_watches;
    int fd_end; /* a pidfd has a smaller number; 0: any */
    struct proc_clock clock;
};

/* ---- how a process ended ---- */

/* An unreaped process shows its status in /proc to those who may know; a reaped one in its pidfd,
 * where the kernel is new enough. It may be reaped between the two looks, not the other way round.
 */
static bool status_of(const struct watch *watch, int *ret_status)
{
    struct proc_stat stat;
    struct pidfd_info_v0 info = {.mask = PIDFD_INFO_EXIT_BIT};
    if (proc_stat_read(&stat, watch->pid) == 0 && stat.start_ticks == watch->start_ticks &&
        (stat.state == 'Z' || stat.state == 'X')) {
        *ret_status = stat.status;
        return geteuid() == 0; /* others are told 0 */
    }
    if (ioctl(watch->pidfd, PIDFD_GET_INFO_V0, &info) < 0 || !(info.mask & PIDFD_INFO_EXIT_BIT))
        return false;
    *ret_status = info.exit_code;
    return true;
}

static void forget(struct poll_feed *poll, struct watch *watch)
{
    HASH_DEL(poll->watches, watch);
    poll->n_watches--;
    close(watch->pidfd); /* takes it out of the epoll too */
    free(watch);
}

static void tell_end(struct poll_feed *poll, struct watch *watch, feed_sink *sink, void *context)
{
    struct feed_event event = {
        .kind = FEED_EXIT,
        .pid = watch->pid,
        .time_ns = boottime_ns(),
        .start_ns = watch->start_ticks * (UINT64_C(1000000000) / poll->clock.ticks_per_second),
    };
    event.has_status = status_of(watch, &event.status);
    forget(poll, watch); /* before the reader may ask to watch its pid again */
    poll->feed.received++;
    sink(context, &event);
}

static void tell_scan(struct poll_feed *poll, feed_sink *sink, void *context)
{
    uint64_t times;
    if (read(poll->timer, &times, sizeof times) < 0)
        return;
    sink(context, &(struct feed_event){.kind = FEED_SCAN_DUE, .time_ns = boottime_ns()});
}

static int poll_drain(struct feed *feed, unsigned max, feed_sink *sink, void *context)
{
    struct poll_feed *poll = (struct poll_feed *)feed;
    struct epoll_event events[BATCH];
    unsigned taken = 0;
    while (taken < max) {
        int n = epoll_wait(feed->fd, events, BATCH, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        for (int i = 0; i < n; i++) {
            uint32_t pid = events[i].data.u32;
            struct watch *watch;
            HASH_FIND(hh, poll->watches, &pid, sizeof pid, watch);
            if (watch)
                tell_end(poll, watch, sink, context);
            else if (pid == 0)
                tell_scan(poll, sink, context);
        }
        taken += (unsigned)n;
        if (n < BATCH)
            break;
    }
    return (int)taken;
}

/* ---- watching ---- */

/* Takes the descriptor over where it succeeds. */
static int add_watch(struct poll_feed *poll, uint32_t pid, int *pidfd, uint64_t start_ticks)
{
    _cleanup_free_ struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return -ENOMEM;
    *watch = (struct watch){.pid = pid, .pidfd = *pidfd, .start_ticks = start_ticks};
    HASH_ADD(hh, poll->watches, pid, sizeof watch->pid, watch);
    if (!watch->hh.tbl)
        return -ENOMEM;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = pid};
    if (epoll_ctl(poll->feed.fd, EPOLL_CTL_ADD, *pidfd, &event) < 0) {
        int code = errno;
        HASH_DEL(poll->watches, watch);
        return -code;
    }
    take_fd(pidfd);
    watch = NULL;
    poll->n_watches++;
    return 0;
}

static int poll_watch(struct feed *feed, uint32_t pid, uint64_t start_ns)
{
    struct poll_feed *poll = (struct poll_feed *)feed;
    struct proc_stat stat;
    struct watch *old;
    HASH_FIND(hh, poll->watches, &pid, sizeof pid, old);
    if (old)
        return 0;
    if (poll->n_watches >= poll->max_watches)
        return -EMFILE;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return -errno;
    int r = fd_budget_take(&pidfd, poll->fd_end);
    if (r < 0)
        return r;
    /* The descriptor holds whoever has the pid now: is it the one that was meant? */
    uint64_t start_ticks = proc_clock_ticks(&poll->clock, start_ns);
    if (proc_stat_read(&stat, pid) < 0 || stat.start_ticks != start_ticks)
        return -ESRCH;
    return add_watch(poll, pid, &pidfd, start_ticks);
}

static void poll_unwatch(struct feed *feed, uint32_t pid)
{
    struct poll_feed *poll = (struct poll_feed *)feed;
    struct watch *watch;
    HASH_FIND(hh, poll->watches, &pid, sizeof pid, watch);
    if (watch)
        forget(poll, watch);
}

/* ---- opening ---- */

static void poll_close(struct feed *feed)
{
    struct poll_feed *poll = (struct poll_feed *)feed;
    struct watch *watch, *next;
    HASH_ITER (hh, poll->watches, watch, next)
        forget(poll, watch);
    cleanup_close(&poll->timer);
    cleanup_close(&feed->fd);
    free(poll);
}

static int set_up(struct poll_feed *poll, const struct feed_options *options,
                  struct wps_error *error)
{
    /* Half of the descriptors are left to blocks, which cannot do without. */
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    poll->max_watches = pidfd < 0 ? 0 : (size_t)fd_budget_limit() / 2;
    poll->fd_end = options->fd_end;
    poll->clock = proc_clock_now();
    poll->feed.fd = epoll_create1(EPOLL_CLOEXEC);
    poll->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (poll->feed.fd < 0 || poll->timer < 0)
        return wps_error_system(error, -errno, "cannot make a timer");
    unsigned ms = options->poll_ms ? options->poll_ms : POLL_MS_DEFAULT;
    struct timespec span = {ms / 1000, (long)(ms % 1000) * 1000000};
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 0};
    if (timerfd_settime(poll->timer, 0, &(struct itimerspec){span, span}, NULL) < 0 ||
        epoll_ctl(poll->feed.fd, EPOLL_CTL_ADD, poll->timer, &event) < 0)
        return wps_error_system(error, -errno, "cannot set a timer");
    return 0;
}

static int poll_open(const struct feed_options *options, struct feed **ret_feed,
                     struct wps_error *error)
{
    struct poll_feed *poll = calloc(1, sizeof *poll);
    if (!poll)
        return wps_error_set(error, -ENOMEM, "out of memory");
    poll->feed.class = &feed_poll;
    poll->feed.fd = poll->timer = -1;
    int r = set_up(poll, options, error);
    if (r < 0) {
        poll_close(&poll->feed);
        return r;
    }
    *ret_feed = &poll->feed;
    return 0;
}

const struct feed_class feed_poll = {
    .name = "poll",
    .traits = FEED_WATCHES | FEED_WANTS_SCANS,
    .open = poll_open,
    .close = poll_close,
    .drain = poll_drain,
    .watch = poll_watch,
    .unwatch = poll_unwatch,
};
