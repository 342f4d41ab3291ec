/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WATCH_TEXT_H
#define CLI_WATCH_TEXT_H

/* An event as one line for people. It remembers the commands of processes that it showed, to say
 * whose end an end is. */

#include "cli/term.h"
#include "schemas/block_event.h"
#include "schemas/event.h"

struct watch_text {
    struct term term;
    struct shown *shown; /* by pid */
};

/* Writes it to stdout. `when_ms` (CLOCK_REALTIME; 0: not known) stands in front. `data` is what
 * event->data decodes to; null: it has none. Who is out of memory shows less. */
void watch_text_put(struct watch_text *text, const struct event *event, const msgpack_object *data,
                    uint64_t when_ms);

void watch_text_clear(struct watch_text *text);

#endif
