/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_DESCRIPTORS_H
#define BROKER_DESCRIPTORS_H

/*
 * Room for descriptors, and a guard at the door.
 *
 * libzmq 4.3.4 aborts the process when accept(2) on an ipc socket fails with EMFILE (there is an
 * assertion on the list of errors it expects). Watching the number of connections from outside it
 * can only come too late, so this module sits in the place where it happens: the program defines
 * `accept` and `accept4`, which take the place of libc's for every library in the process. They
 * take a connection that would eat into the reserve off the queue, close it, and report
 * ECONNABORTED, which every caller must expect. Clients see a closed connection and try again; the
 * log says so, every ten seconds at most.
 *
 * The kernel always hands out the lowest free descriptor. So the number of a new one tells how many
 * are in use, and nothing has to be counted.
 *
 *     0 ............... crowded ........... closed ........... limit
 *       served             connected, but      refused            the reserve: for files and
 *                          answered `limit`                       processes of the plugins
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Raises the limit of this process on descriptors to the hard limit, but to no more than `wanted`,
 * and keeps `reserve` of them from clients (a quarter of the limit where that is less). To be
 * called before there is any other thread. -EMFILE: too few to begin with. */
int descriptors_prepare(uint64_t wanted, uint64_t reserve, struct wps_error *error);

/* True where the connection with this descriptor is one too many: its requests are answered
 * `limit`. False before descriptors_prepare. Any thread. */
bool descriptors_crowded(int fd);

/* How many descriptors the process may have, and how many connections were refused. Any thread. */
uint64_t descriptors_limit(void);
uint64_t descriptors_refused(void);

#endif
