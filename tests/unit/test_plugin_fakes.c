/* SPDX-License-Identifier: Apache-2.0 */

/* A feed that says what a test says, and a tracker whose members are those of a /proc that tests
 * write. */

#include "test_plugin_fakes.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_plugin_proc.h"
#include "trackers/feeds/feed_impl.h"
#include "trackers/held.h"
#include "trackers/tracker_impl.h"

/* ---- the feed ---- */

struct fake_feed {
    struct feed feed;
    const struct feed_event *next; /* what it says at the next drain */
    unsigned lost;                 /* and what it lost before */
    int watch_gives;
    unsigned n_asked;
};

static int fake_drain(struct feed *feed, unsigned max, feed_sink *sink, void *context)
{
    struct fake_feed *fake = (struct fake_feed *)feed;
    const struct feed_event *event = fake->next;
    (void)max;
    feed->lost += fake->lost;
    fake->lost = 0;
    fake->next = NULL;
    if (!event)
        return 0;
    feed->received++;
    sink(context, event);
    return 1;
}

static int fake_watch(struct feed *feed, uint32_t pid, uint64_t start_ns)
{
    struct fake_feed *fake = (struct fake_feed *)feed;
    (void)pid, (void)start_ns;
    fake->n_asked++;
    return fake->watch_gives;
}

static void fake_feed_close(struct feed *feed)
{
    free(feed);
}

static const struct feed_class feeds[] = {
    {"bpf", FEED_TELLS_BIRTHS | FEED_TELLS_PLACES, .close = fake_feed_close, .drain = fake_drain,
     .watch = fake_watch},
    {"netlink", FEED_TELLS_BIRTHS, .close = fake_feed_close, .drain = fake_drain},
    {"poll", FEED_WATCHES | FEED_WANTS_SCANS, .close = fake_feed_close, .drain = fake_drain,
     .watch = fake_watch},
};

struct feed *fake_feed_open(const char *name)
{
    for (size_t i = 0; i < sizeof feeds / sizeof *feeds; i++)
        if (strcmp(feeds[i].name, name) == 0) {
            struct fake_feed *fake = calloc(1, sizeof *fake);
            cr_assert(fake);
            fake->feed.class = &feeds[i];
            fake->feed.fd = -1;
            return &fake->feed;
        }
    cr_assert_fail("no feed %s", name);
    return NULL;
}

void fake_feed_say(struct feed *feed, const struct feed_event *event)
{
    ((struct fake_feed *)feed)->next = event;
}

bool fake_feed_said(const struct feed *feed)
{
    return !((const struct fake_feed *)feed)->next;
}

void fake_feed_lose(struct feed *feed, unsigned n)
{
    ((struct fake_feed *)feed)->lost += n;
}

void fake_feed_watch_gives(struct feed *feed, int result)
{
    ((struct fake_feed *)feed)->watch_gives = result;
}

unsigned fake_feed_n_asked(struct feed *feed)
{
    struct fake_feed *fake = (struct fake_feed *)feed;
    unsigned n = fake->n_asked;
    fake->n_asked = 0;
    return n;
}

/* ---- the tracker ---- */

/* "/root/b-BLOCK/s-SCOPE/s-SCOPE/whatever" */
static bool fake_locate(const struct tracker *tracker, const char *path, char *block, char *scope)
{
    char part[TRACKER_BLOCK_MAX + 1];
    int size = 0;
    (void)tracker;
    if (sscanf(path, "/root/b-%128[^/]%n", block, &size) != 1)
        return false;
    *scope = '\0';
    for (path += size; sscanf(path, "/s-%128[^/]%n", part, &size) == 1; path += size) {
        if (*scope)
            strcat(scope, "/");
        strcat(scope, part);
    }
    return true;
}

static _Atomic unsigned slow_ms, hanging_pid;

void fake_tracker_slow(unsigned ms, uint32_t pid)
{
    hanging_pid = pid;
    slow_ms = ms;
}

static void be_slow(void)
{
    uint32_t pid = hanging_pid;
    int ms = (int)atomic_exchange(&slow_ms, 0);
    int number = ms && pid ? held_begin(pid) : -1;
    poll(NULL, 0, ms);
    if (number >= 0)
        held_end(number);
}

static int fake_scan(struct tracker_op *op)
{
    be_slow();
    char path[256];
    uint32_t pids[PROC_FAKES];
    snprintf(path, sizeof path, "/root/b-%s", op->block);
    size_t n = proc_members(path, pids);
    for (size_t i = 0; i < n; i++) {
        struct process_facts facts;
        int r = __wrap_facts_read(&facts, pids[i], FACTS_ARGV | FACTS_CGROUP);
        r = r == 0 ? facts_list_add(&op->facts, &facts) : r;
        if (r < 0 && r != -ESRCH)
            return r;
    }
    return 0;
}

static int fake_run(struct tracker *tracker, struct tracker_op *op)
{
    (void)tracker;
    return op->kind == TRACKER_SCAN ? fake_scan(op) : 0;
}

static void fake_tracker_close(struct tracker *tracker)
{
    free(tracker);
}

static const struct tracker_class fake_tracker = {
    .name = "fake",
    .traits = TRACKER_OWNS | TRACKER_HAS_PLACES | TRACKER_TRACKS,
    .close = fake_tracker_close,
    .locate = fake_locate,
    .run = fake_run,
};

struct tracker *fake_tracker_open(void)
{
    struct tracker *tracker = calloc(1, sizeof *tracker);
    cr_assert(tracker);
    tracker->class = &fake_tracker;
    tracker->root_fd = -1;
    return tracker;
}
