/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCTRACK_PROCTRACK_H
#define PROCTRACK_PROCTRACK_H

/*
 * libproctrack: which processes the blocks of a broker run, as it happens, and their end.
 *
 *     #include <proctrack/proctrack.h>
 *
 *     common.h      errors, and the connection that all begins with
 *     process.h     what is known of a process
 *     blocks.h      making, listing, stopping and removing blocks
 *     birth.h       children that are in a block from their first instruction on
 *     mirror.h      a picture of blocks and processes that keeps itself up to date
 *     events.h      events as they come
 *     ask.h         asking a broker anything else, and value.h: reading what it answers
 *
 * Nothing here starts a thread (but ZeroMQ, one for each connection), installs a handler of a
 * signal, writes to a stream or ends the program.
 */

#include "ask.h"
#include "birth.h"
#include "blocks.h"
#include "common.h"
#include "events.h"
#include "mirror.h"
#include "process.h"
#include "value.h"

#endif
