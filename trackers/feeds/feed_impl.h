/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_FEEDS_FEED_IMPL_H
#define TRACKERS_FEEDS_FEED_IMPL_H

/* What a feed is made of: for the files of this folder alone. Each feed's own struct begins with a
 * `struct feed`. */

#include "trackers/feed.h"

struct feed_class {
    const char *name;
    unsigned traits;
    /* Opens and subscribes; the trial is the caller's. */
    int (*open)(const struct feed_options *options, struct feed **ret_feed,
                struct wps_error *error);
    void (*close)(struct feed *feed); /* frees the struct too */
    int (*drain)(struct feed *feed, unsigned max, feed_sink *sink, void *context);
    void (*check)(struct feed *feed);                                 /* null: nothing to do */
    void (*doze)(struct feed *feed, bool dozes);                      /* null: it wakes anyway */
    int (*watch)(struct feed *feed, uint32_t pid, uint64_t start_ns); /* null: nothing to do */
    void (*unwatch)(struct feed *feed, uint32_t pid);
    /* While a trial runs, our own children are told too; null: they are anyway. */
    void (*trial)(struct feed *feed, bool runs);
};

struct feed {
    const struct feed_class *class;
    int fd;
    uint64_t lost;
    uint64_t received;
};

extern const struct feed_class feed_bpf;
extern const struct feed_class feed_netlink;
extern const struct feed_class feed_poll;

#endif
