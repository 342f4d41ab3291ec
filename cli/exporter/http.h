/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_EXPORTER_HTTP_H
#define CLI_EXPORTER_HTTP_H

/*
 * The HTTP side, by libmicrohttpd: /metrics, and a page at / that says so. GET and HEAD, nothing
 * else; no bodies; a bounded number of connections and size of a request's head. Where it listens
 * on the loopback only requests that mean the loopback are answered: a page in a browser that had a
 * name of its own point there would otherwise read along.
 */

#include "cli/exporter/collector.h"
#include "cli/exporter/listen.h"

enum {
    HTTP_CONNECTIONS_MAX = COLLECTOR_WAITING_MAX,
    HTTP_HEAD_BYTES_MAX = 16 * 1024,
    HTTP_IDLE_S = 15,
    HTTP_END_S = 1, /* for the last answers */
    HTTP_TIMEOUT_MIN_MS = 100,
    HTTP_TIMEOUT_MARGIN_MS = 500, /* less than the scraper says that it waits */
};

struct http;

/* Serves from a thread of its own. Takes the listener's descriptor over; `timeout_ms` is for a
 * scrape whose client says nothing of how long it waits, and no scrape takes longer. -ENOMEM, -EIO.
 */
int http_start(struct http **ret, struct listener *listener, struct scrape *scrape, int timeout_ms,
               struct wps_error *error);

/* Stops serving: who waits gets an answer, then all connections are closed. Clears the pointer;
 * null is fine. */
void http_stop(struct http **self_p);

#endif
