/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_SIGNALS_H
#define BROKER_SIGNALS_H

/* Signals as something to read: SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 come through a
 * descriptor, SIGPIPE and SIGXFSZ are ignored. */

#include "base/error.h"

/* Blocks the signals and makes the descriptor, the caller's to close. To be called before there is
 * any other thread, since threads inherit what is blocked. */
int signals_open(int *ret_fd, struct wps_error *error);

/* From now on SIGINT and SIGTERM are not read any more but end the process at once, with this
 * status: for the last wait, when there is nothing left to put in order. */
void signals_end_at_once(int status);

/* The number of the next signal, or 0 where there is none. */
int signals_next(int fd);

#endif
