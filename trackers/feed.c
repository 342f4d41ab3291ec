/* SPDX-License-Identifier: Apache-2.0 */

/* What all feeds share: the list of them, the trial at the beginning, the dispatch. */

#include "trackers/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/feeds/feed_impl.h"
#include "trackers/probe.h"
#include "trackers/procfs.h"

enum {
    TRIAL_MS = 5000, /* commonly it takes one or two; a busy machine may be late */
    LOSS_MS = 100,   /* behind a loss: it may be what was lost */
    TRIALS = 5,      /* where something was lost in each: that says nothing of the feed */
};

static const struct feed_class *const classes[] = {
#ifdef HAVE_FEED_BPF
    &feed_bpf,
#endif
    &feed_netlink,
    &feed_poll,
};

const char *const *feed_names(void)
{
    static const char *const names[] = {"bpf", "netlink", "poll", NULL};
    return names;
}

static const struct feed_class *find_class(const char *name)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    return NULL;
}

/* ---- the trial ---- */

struct trial {
    uint32_t pid;
    bool born, ended;
    int status;
};

static void trial_sink(void *context, const struct feed_event *event)
{
    struct trial *trial = context;
    if (event->pid != trial->pid)
        return;
    if (event->kind == FEED_FORK || event->kind == FEED_MOVE)
        trial->born = true;
    if (event->kind == FEED_EXIT || event->kind == FEED_THREAD_EXIT) {
        trial->ended = true;
        trial->status = event->has_status ? event->status : W_EXITCODE(PROBE_EXIT, 0);
    }
}

static int trial_fail(const struct trial *trial, bool lost, struct wps_error *error)
{
    const char *what = trial->ended ? "birth" : "end";
    if (lost)
        return wps_error_set(error, -EAGAIN,
                             "events were lost while it was tried, the %s of a trial child among "
                             "them: the machine is too busy",
                             what);
    return wps_error_set(error, -ENODATA, "the %s of a trial child was not seen in %d ms", what,
                         TRIAL_MS);
}

static int trial_wait(struct feed *feed, struct trial *trial, struct wps_error *error)
{
    uint64_t deadline = boottime_ns() + TRIAL_MS * UINT64_C(1000000), lost = feed->lost;
    bool births = feed->class->traits & FEED_TELLS_BIRTHS, has_lost = false;
    for (;;) {
        int r = feed_drain(feed, 4096, trial_sink, trial);
        if (r < 0)
            return wps_error_system(error, r, "cannot read its events");
        if (trial->ended && (trial->born || !births))
            break;
        uint64_t now = boottime_ns();
        if (feed->lost != lost && !has_lost) {
            has_lost = true;
            deadline = now + LOSS_MS * UINT64_C(1000000);
        }
        if (now >= deadline)
            return trial_fail(trial, has_lost, error);
        struct pollfd pollfd = {.fd = feed->fd, .events = POLLIN};
        poll(&pollfd, 1, (int)((deadline - now) / 1000000) + 1);
    }
    if (trial->status != W_EXITCODE(PROBE_EXIT, 0))
        return wps_error_set(error, -EBADMSG,
                             "a trial child's end was told with a wrong status %#x",
                             (unsigned)trial->status);
    return 0;
}

static int trial_run(struct feed *feed, int cgroup_fd, const struct mover *mover,
                     struct wps_error *error)
{
    struct probe probe = {0};
    struct proc_stat stat;
    if (feed->class->trial)
        feed->class->trial(feed, true);
    int r = probe_start(&probe, cgroup_fd, mover, error);
    if (feed->class->trial)
        feed->class->trial(feed, false);
    if (r < 0)
        return r;
    struct trial trial = {.pid = (uint32_t)probe.pid};
    r = proc_stat_read(&stat, trial.pid);
    if (r == 0 && feed->class->watch) {
        struct proc_clock clock = proc_clock_now();
        r = feed->class->watch(feed, trial.pid,
                               stat.start_ticks * (UINT64_C(1000000000) / clock.ticks_per_second));
    }
    /* A feed that has no room to watch anybody leaves ends to scans. */
    bool unwatched = r == -EMFILE && feed->class->traits & FEED_WANTS_SCANS;
    if (r < 0 && !unwatched)
        wps_error_system(error, r, "cannot watch a trial child");
    probe_release(&probe);
    if (unwatched)
        r = 0;
    else if (r == 0)
        r = trial_wait(feed, &trial, error);
    probe_end(&probe);
    return r;
}

/* A feed that watches a root is tried below it: the root itself is nobody's block. */
static int trial_in_root(struct feed *feed, const struct feed_options *options,
                         struct wps_error *error)
{
    const int root_fd = options->root_fd;
    char name[32];
    snprintf(name, sizeof name, "trial-%d", (int)gettid());
    if (mkdirat(root_fd, name, 0755) < 0 && errno != EEXIST)
        return wps_error_system(error, -errno, "cannot make a cgroup for a trial child");
    int r;
    {
        _cleanup_close_ int fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? wps_error_system(error, -errno, "cannot open the cgroup of a trial child")
                   : trial_run(feed, fd, options->mover, error);
    }
    /* The child was reaped, but the kernel may take some milliseconds to see the cgroup empty. */
    for (int i = 0; i < 100 && unlinkat(root_fd, name, AT_REMOVEDIR) < 0 && errno == EBUSY; i++)
        poll(NULL, 0, 1);
    return r;
}

static int try_out(struct feed *feed, const struct feed_options *options, struct wps_error *error)
{
    int r = -EAGAIN;
    for (int i = 0; r == -EAGAIN && i < TRIALS; i++)
        r = options->root_fd >= 0 ? trial_in_root(feed, options, error)
                                  : trial_run(feed, -1, NULL, error);
    return r;
}

/* ---- the interface ---- */

int feed_open(const char *name, const struct feed_options *options, struct feed **ret_feed,
              struct wps_error *error)
{
    const struct feed_class *class = find_class(name);
    if (!class)
        return wps_error_set(error, -ENOSYS, "the feed '%s' is not part of this build", name);
    bool ours = proc_is_ours();
    if (class->traits & FEED_TELLS_BIRTHS && !ours)
        return wps_error_set(error, -EXDEV,
                             "/proc shows another pid namespace than the one we are in (mount -t "
                             "proc proc /proc)");
    struct feed *feed = NULL;
    int r = class->open(options, &feed, error);
    if (r < 0)
        return r;
    if (ours) /* else no tracker works: there is nobody to watch, nor a child to try it on */
        r = try_out(feed, options, error);
    if (r < 0) {
        feed_close(&feed);
        return r;
    }
    *ret_feed = feed;
    return 0;
}

void feed_close(struct feed **feed_p)
{
    if (*feed_p)
        (*feed_p)->class->close(*feed_p);
    *feed_p = NULL;
}

const char *feed_name(const struct feed *feed)
{
    return feed->class->name;
}

unsigned feed_traits(const struct feed *feed)
{
    return feed->class->traits;
}

int feed_fd(const struct feed *feed)
{
    return feed->fd;
}

int feed_drain(struct feed *feed, unsigned max, feed_sink *sink, void *context)
{
    return feed->class->drain(feed, max, sink, context);
}

uint64_t feed_lost(const struct feed *feed)
{
    return feed->lost;
}

uint64_t feed_received(const struct feed *feed)
{
    return feed->received;
}

void feed_check(struct feed *feed)
{
    if (feed->class->check)
        feed->class->check(feed);
}

void feed_doze(struct feed *feed, bool dozes)
{
    if (feed->class->doze)
        feed->class->doze(feed, dozes);
}

int feed_watch(struct feed *feed, uint32_t pid, uint64_t start_ns)
{
    return feed->class->watch ? feed->class->watch(feed, pid, start_ns) : 0;
}

void feed_unwatch(struct feed *feed, uint32_t pid)
{
    if (feed->class->unwatch)
        feed->class->unwatch(feed, pid);
}
