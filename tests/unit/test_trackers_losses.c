/* SPDX-License-Identifier: Apache-2.0 */

/* Rings that are too small: what is lost is counted, and the feed goes on. */

#include <stdio.h>

#include "base/cleanup.h"
#include "test_trackers_witness.h"
#include "trackers/procfs.h"

static struct feed *reference;

static void close_both(void)
{
    feed_close(&reference);
    close_all();
}

static void ignore(void *context, const struct feed_event *event)
{
    (void)context, (void)event;
}

static void drain_one(struct feed *which)
{
    int n;
    do
        cr_assert_geq(n = feed_drain(which, 10000, ignore, NULL), 0);
    while (n > 0);
}

static void drain_both(void)
{
    drain_one(feed);
    if (reference)
        drain_one(reference);
}

/* Nobody reads while it storms in a cgroup. */
static void storm(void)
{
    odd = odd_start(block_directory(), "storm", "12", "3", NULL);
    odd_end(odd);
}

enum { STORM = 12 + 144 + 1728 };

/* All that there was for a reader so far. Each processor tells of something at last, so that no gap
 * is open. */
static uint64_t all_of(struct feed *which)
{
    drain_both();
    live_on_every_processor(drain_both);
    drain_both();
    return feed_received(which) + feed_lost(which);
}

/* A life is a birth and an end at the least. */
static bool is_all_there(void *before)
{
    return all_of(feed) - *(uint64_t *)before >= 2 * STORM;
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_ring_that_is_too_small_loses_and_says_how_many)
{
    open_feed(name, 4);
    uint64_t before = feed_received(feed) + feed_lost(feed), lost_before = feed_lost(feed);
    storm();
    cr_assert_eq(feed_lost(feed), lost_before, "nothing is known of it before it is read");
    cr_assert(soon(is_all_there, &before), "%llu and %llu lost ones are not all",
              (unsigned long long)feed_received(feed), (unsigned long long)feed_lost(feed));
    cr_assert_gt(feed_lost(feed) - lost_before, 100);
}

/* Others live on this machine: where the small ring lost something of theirs meanwhile, once more.
 */
FOR_FEEDS_THAT_SEE_BIRTHS(after_a_loss_the_feed_goes_on)
{
    open_feed(name, 64);
    storm();
    all_of(feed);
    cr_assert_gt(feed_lost(feed), 0);
    for (int i = 0; i < ATTEMPTS; i++) {
        uint64_t lost = feed_lost(feed);
        odd_free(&odd);
        odd = odd_start(block_directory(), "vfork-exec", NULL);
        odd_end(odd);
        odd_told_all(odd);
        drain(0);
        all_of(feed);
        if (feed_lost(feed) == lost) {
            compare_truths();
            return;
        }
    }
    skip("this machine is too busy: a ring of 64 KiB lost something each time");
}

/* A socket that overflowed says so once, and drops all that comes until it was read empty: what the
 * check of the subscription waits for, too. */
Test(feed_netlink, a_check_whose_event_is_dropped_is_made_again, .fini = close_all, .timeout = 120)
{
    open_feed("netlink", 256);
    storm();
    cr_assert_gt(feed_drain(feed, 1, ignore, NULL), 0);
    cr_assert_gt(feed_lost(feed), 0, "there was room for all of it");
    feed_check(feed);
    drain_one(feed);
}

/* Two readers of the same: what the one with the small ring got and what it says to have lost is
 * what the other one got. Others live on this machine too; so the other one is asked before and
 * behind. */
Test(feed_netlink, what_came_and_what_was_lost_is_all_there_was, .fini = close_both, .timeout = 240)
{
    enum { SLACK = 50 };
    struct wps_error error;
    open_feed("netlink", 256);
    const struct feed_options options = {.root_fd = -1, .ring_kib = 64 * 1024};
    cr_assert_eq(feed_open("netlink", &options, &reference, &error), 0, "%s", error.message);
    uint64_t lost = feed_lost(feed);
    uint64_t first = all_of(reference), begin = all_of(feed), second = all_of(reference);
    storm();
    uint64_t third = all_of(reference), end = all_of(feed), fourth = all_of(reference);
    if (feed_lost(reference) > 0) {
        feed_close(&reference);
        skip("the reader with the large buffer lost something, too: net.core.rmem_max is small");
    }
    cr_assert_gt(feed_lost(feed), lost + 100);
    cr_assert_leq(end - begin, fourth - first + SLACK);
    cr_assert_geq(end - begin + SLACK, third - second);
}
