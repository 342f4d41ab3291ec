/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCTRACK_PROCTRACK_H
#define PROCTRACK_PROCTRACK_H

/*
 * libproctrack: which processes the blocks of a broker run, as it happens, and their end.
 *
 *     #include <proctrack/proctrack.h>
 *
 *     common.h      errors, and the connection that all begins with
 *     mirror.h      a picture of blocks and processes that keeps itself up to date
 *
 * Nothing here starts a thread (but ZeroMQ, one for each connection), installs a handler of a
 * signal, writes to a stream or ends the program.
 */

#include "common.h"
#include "mirror.h"

#endif
