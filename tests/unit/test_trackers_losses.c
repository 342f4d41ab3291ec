/* SPDX-License-Identifier: Apache-2.0 */

/* Rings that are too small: what is lost is counted, and the feed goes on. */

#include <stdio.h>

#include "base/cleanup.h"
#include "test_trackers_witness.h"
#include "trackers/procfs.h"

static void ignore(void *context, const struct feed_event *event)
{
    (void)context, (void)event;
}

static void drain_all(struct feed *which)
{
    int n;
    do
        cr_assert_geq(n = feed_drain(which, 10000, ignore, NULL), 0);
    while (n > 0);
}

/* Nobody reads while it storms in a cgroup that is ended then. */
static void storm(void)
{
    odd = odd_start(block_directory(), "storm", "12", "3", NULL);
    odd_end(odd);
}

FOR_FEEDS_THAT_SEE_BIRTHS(a_ring_that_is_too_small_loses_and_says_how_many)
{
    open_feed(name, 4);
    uint64_t before = feed_received(feed) + feed_lost(feed), lost_before = feed_lost(feed);
    storm();
    cr_assert_eq(feed_lost(feed), lost_before, "nothing is known of it before it is read");
    live_on_every_processor();
    drain_all(feed);
    live_on_every_processor();
    drain_all(feed);
    cr_assert_gt(feed_lost(feed) - lost_before, 100);
    /* A life is a birth and an end at the least. */
    cr_assert_geq(feed_received(feed) + feed_lost(feed) - before, 2 * (12 + 144 + 1728));
}

/* Others live on this machine: where the small ring lost something of theirs meanwhile, once more.
 */
FOR_FEEDS_THAT_SEE_BIRTHS(after_a_loss_the_feed_goes_on)
{
    open_feed(name, 64);
    storm();
    drain_all(feed);
    live_on_every_processor();
    drain_all(feed);
    cr_assert_gt(feed_lost(feed), 0);
    for (int i = 0; i < ATTEMPTS; i++) {
        uint64_t lost = feed_lost(feed);
        odd_free(&odd);
        odd = odd_start(block_directory(), "vfork-exec", NULL);
        odd_end(odd);
        odd_told_all(odd);
        live_on_every_processor();
        drain(0);
        if (feed_lost(feed) == lost) {
            compare_truths();
            return;
        }
    }
    skip("this machine is too busy: a ring of 64 KiB lost something each time");
}

/* All that there was for a reader so far. Each processor tells of something at last, so that no gap
 * is open. */
static uint64_t sum_up(struct feed *which)
{
    drain_all(which);
    live_on_every_processor();
    drain_all(which);
    return feed_received(which) + feed_lost(which);
}

/* Two readers of the same: what the one with the small ring got and what it says to have lost is
 * what the other one got. Others live on this machine too, and the two are looked at a little
 * apart. */
Test(feed_netlink, what_came_and_what_was_lost_is_all_there_was, .fini = close_all, .timeout = 240)
{
    struct wps_error error;
    struct feed *reference;
    open_feed("netlink", 128);
    const struct feed_options options = {.root_fd = -1, .ring_kib = 64 * 1024};
    cr_assert_eq(feed_open("netlink", &options, &reference, &error), 0, "%s", error.message);
    uint64_t all = 0, reference_all = 0, lost = feed_lost(feed);
    all -= sum_up(feed), reference_all -= sum_up(reference);
    storm();
    all += sum_up(feed), reference_all += sum_up(reference);
    bool complete = feed_lost(reference) == 0;
    feed_close(&reference);
    if (!complete)
        skip("the reader with the large buffer lost something, too: net.core.rmem_max is small");
    uint64_t apart = all > reference_all ? all - reference_all : reference_all - all;
    cr_assert_gt(feed_lost(feed), lost + 100);
    cr_assert_lt(apart, 300, "%llu in all, and %llu", (unsigned long long)all,
                 (unsigned long long)reference_all);
}
