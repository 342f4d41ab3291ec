/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WATCH_HISTORY_H
#define CLI_WATCH_HISTORY_H

/* Events that the broker has kept. It keeps each name for itself; here they are put in the order in
 * which they happened. */

#include "cli/watch_link.h"

/* Reads what is kept of the events `names` for `scope` ("": of all), and gives the newest `n` of
 * each block to `show`, oldest first, by their numbers. Those of different blocks have no order
 * among each other, and come block by block. `names` begin with what tells most surely which life
 * of a block came first: EVENT_BLOCK_ADDED, where that is among them. */
int watch_history_read(struct watch_link *link, const char *const *names, size_t n_names,
                       const char *scope, uint64_t n,
                       void (*show)(void *context, const struct event *event), void *context,
                       struct wps_error *error);

#endif
