/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_DETAILS_H
#define PLUGIN_DETAILS_H

/*
 * The detail of many processes, for a list. A few are read at a time, each by a job of its own, so
 * that other questions get their turn, and so that one whose /proc files hang costs a time-out for
 * itself only. A process that is known to hang is not read that way again while it does: then it
 * is listed without its argv, at once. Called from the loop's thread.
 */

#include "plugin/module.h"
#include "trackers/detail.h"

struct details;

/* Makes an empty one. Takes the ports over (of ports_read; null: unknown). Null: out of memory. */
struct details *details_new(struct module *module, struct ports *ports,
                            void (*done)(struct details *details, void *context), void *context);

/* One more process to read; at most once each, and before details_begin. -ENOMEM. */
int details_add(struct details *details, uint32_t pid);

/* True where this process was added. */
bool details_has(const struct details *details, uint32_t pid);

/* Reads those that were added since the last time. `done` is called when all of them are read or
 * late, perhaps before this returns; it may add more and begin again. */
void details_begin(struct details *details);

/* What was read in time; null: nothing, or it was not asked for. Argv may be missing. */
const struct detail *details_of(const struct details *details, uint32_t pid);

/* Lets go of it; what still hangs is freed when it comes back. Clears the pointer. */
void details_free(struct details **details_p);

/* How many processes hold up a worker now. */
unsigned details_held(const struct module *module);

/* At the end, when no job is at the workers any more. */
void details_close(struct module *module);

#endif
