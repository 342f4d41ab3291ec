/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_OUTSIDE_H
#define PLUGIN_OUTSIDE_H

/*
 * Searches for what belongs to a block and is not in it (trackers/outside.h), for those who end
 * the block: they name it, and end it if that is wanted. Looks are made by a worker, one at a time
 * for all searches; one that a process holds up is given up and begun anew without it. Called from
 * the loop's thread.
 */

#include "plugin/module.h"
#include "schemas/control_reply.h"

struct outside;

/* Begins one. With a signal, all that are found get it, once each, and looks go on while somebody
 * is found; without, nothing is looked at before outside_look. `news` is called after each look,
 * and never before this returns; it may end the search. Null: nothing is tracked, or out of memory.
 */
struct outside *outside_begin(struct module *module, const struct block *block, struct text scope,
                              uint32_t client_uid, int signal,
                              void (*news)(struct outside *outside, void *context), void *context);

/* From now on they are killed, again and again. Only where it began with a signal. */
void outside_kill(struct outside *outside);

/* Nobody is in the block: the search is over when a look that begins after this one finds nobody,
 * or, without a signal, is made. */
void outside_look(struct outside *outside);
bool outside_is_over(const struct outside *outside);

/* True where at least one look was made. */
bool outside_has_looked(const struct outside *outside);

/* The block is about to be freed: what it remembers is taken along. */
void outside_part(struct outside *outside, const struct block *block);

/* Adds those that live outside, as far as they are known, to an array of the caller's, whose texts
 * live as long as the search. -ENOMEM. Tells as well how many that got a signal are gone: before
 * outside_kill, and since. */
int outside_add_survivors(struct outside *outside, struct survivor **survivors_p, size_t *n_p);
void outside_count(const struct outside *outside, uint64_t *exited, uint64_t *killed);

/* A member has ended. True: it is one of those that were found, and is counted here; false: it is
 * the caller's to count (outside_hits_take_end). */
bool outside_counts(struct outside *outside, uint32_t pid, uint64_t start_ticks);

/* Ends it and clears the pointer; a null pointer is fine. */
void outside_end(struct outside **outside_p);

/* At the end, when no job is at the workers any more and no search is left. */
void outside_close(struct module *module);

#endif
