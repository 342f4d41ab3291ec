/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_STREAM_H
#define CLI_TOP_STREAM_H

/* `top` for scripts: an object a line, in place of a picture. */

#include "cli/top/feed.h"

/* Writes to stdout what the model has, each interval, once all of it was sampled twice: `n` times
 * (0: for ever), or until a signal comes or nobody reads it any more. With a sentence. */
int stream(struct feed *feed, uint64_t n, int signals_fd, int *ret_signal, struct wps_error *error);

#endif
