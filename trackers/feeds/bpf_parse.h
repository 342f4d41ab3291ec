/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_FEEDS_BPF_PARSE_H
#define TRACKERS_FEEDS_BPF_PARSE_H

/* One record of the ring buffer as an event: apart from the ring, so that it can be tested. */

#include "trackers/feed.h"

/* `bytes` are aligned as a ring buffer's records are (8 bytes). Texts of the event point into them.
 * `has_place`: the feed watches cgroups, so that places mean something. False: it is no event for
 * the reader. */
bool bpf_parse(struct feed_event *ret_event, const void *bytes, size_t size, uint64_t page_size,
               bool has_place);

#endif
