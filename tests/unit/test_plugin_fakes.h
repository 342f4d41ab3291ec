/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_PLUGIN_FAKES_H
#define TEST_PLUGIN_FAKES_H

/* A feed that says what a test says, and a tracker whose members are those of test_plugin_proc.h:
 * block X has its directory at /root/b-X and its sub-scopes at /root/b-X/s-Y. */

#include "trackers/feed.h"
#include "trackers/tracker.h"

/* With the traits of "bpf", "netlink" or "poll". */
struct feed *fake_feed_open(const char *name);

/* At the next drain it says this, which has to live until then. */
void fake_feed_say(struct feed *feed, const struct feed_event *event);
bool fake_feed_said(const struct feed *feed);
/* It lost so many before what it says next. */
void fake_feed_lose(struct feed *feed, unsigned n);

/* Watching anybody gives this from now on; 0 at first. */
void fake_feed_watch_gives(struct feed *feed, int result);
/* How many were asked for since the last call. */
unsigned fake_feed_n_asked(struct feed *feed);

struct tracker *fake_tracker_open(void);

/* The next scan is slow: it takes so many milliseconds, or in a read of this process hangs for as
 * long. */
void fake_tracker_slow(unsigned ms, uint32_t hanging_pid);

#endif
