/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_EXPORTER_COLLECTOR_H
#define CLI_EXPORTER_COLLECTOR_H

/*
 * A thread that scrapes when somebody wants a page, and never twice in a second however many do:
 * those who come while it asks wait for the same page. So a slow broker holds up neither the other
 * connections nor the end of the exporter, and no crowd of scrapers holds up the broker.
 */

#include "cli/exporter/scrape.h"

enum {
    COLLECTOR_WAITING_MAX = 32, /* who wait for a page */
    COLLECTOR_FRESH_MS = 1000,  /* so old may a page be that is given away */
};

struct collector;

/* How those who wait are held and let go on; called from any thread. */
struct collector_hooks {
    void (*hold)(void *waiting);
    void (*go_on)(void *waiting);
};

/* Starts the thread. `scrape` is its own until collector_stop. -EAGAIN, -ENOMEM. */
int collector_start(struct collector **ret, struct scrape *scrape,
                    const struct collector_hooks *hooks, struct wps_error *error);

enum collected {
    COLLECTED,       /* here it is, to be freed */
    COLLECTED_LATER, /* it was held, and goes on when there is one: then ask with `waited` */
    COLLECTED_NEVER, /* no memory, too many wait, or it is the end */
};

/* Takes the page that there is; where it is too old a new one is made, in at most `timeout_ms`
 * milliseconds. `waited`: any will do. Any thread. */
enum collected collector_take(struct collector *self, void *waiting, bool waited, int timeout_ms,
                              bool classic, char **ret_text, size_t *ret_size);

/* Ends the thread, and lets all go on who wait. collector_take is still allowed. */
void collector_stop(struct collector *self);

/* Frees it, when it was stopped and nobody takes any more. Clears the pointer; null is fine. */
void collector_free(struct collector **self_p);

#endif
