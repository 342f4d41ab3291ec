/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_FEED_H
#define CLI_TOP_FEED_H

/* From the broker into the model: events by a mirror, and samples of what is in sight. */

#include "cli/broker.h"
#include "cli/top/ui.h"

struct feed {
    struct proctrack *connection;
    struct proctrack_mirror *mirror;
    struct ui *ui;
    char *const *words; /* which blocks: ids and patterns of fnmatch(3); none: all */
    size_t n_words;
    uint64_t interval_ms; /* between two samples of a block */
    const char *endpoint; /* of the broker, for what is said */
};

/* Sockets of the broker that the command line may name. */
struct feed_sockets {
    const char *events, *rpc; /* null: beside the control socket */
};

/* Begins; the rest of `self` is filled in. Nobody is waited for. With a sentence. */
int feed_open(struct feed *self, const struct broker *broker, const struct feed_sockets *sockets,
              struct wps_error *error);
void feed_close(struct feed *self);

/* Asks for samples of the blocks of these rows, where it is time. When it is time again, in
 * milliseconds from now; at most the interval. */
int64_t feed_sample(struct feed *self, const struct row *rows, size_t n);

#endif
