/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_EXPORTER_SCRAPE_H
#define CLI_EXPORTER_SCRAPE_H

/*
 * All that there is to be told of a broker and its module, asked for and written down once, in both
 * formats. What is there whatever happens is `proctrack_up` and `wpsd_up`: a broker that does not
 * answer is a number too.
 *
 * One thread at a time, but for scrape_interrupt.
 */

#include "cli/broker.h"

struct scrape {
    struct broker broker;
    struct control_client *rpc; /* null: nobody knows where that socket is */
    size_t blocks_max;
};

/* Connects to nothing yet. `rpc`: an endpoint; null: the one beside the control socket. At most
 * `blocks_max` blocks are told one by one, the oldest; 0: none is. Errors as broker_open. */
int scrape_open(struct scrape *ret, const struct broker_options *options, const char *rpc,
                size_t blocks_max, struct wps_error *error);

struct page {
    char *text[2]; /* owned; [1]: in the older format */
    size_t size[2];
    bool up;              /* the module answered */
    struct wps_error why; /* if not: the sentence */
};

/* Asks, for at most `timeout_ms` milliseconds, and writes. -ENOMEM. */
int scrape_run(struct scrape *self, int timeout_ms, struct page *ret);

void page_free(struct page *page);

/* Ends whatever is asked now, and all that will be. Any thread. */
void scrape_interrupt(struct scrape *self);

void scrape_close(struct scrape *self);

#endif
