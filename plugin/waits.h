/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_WAITS_H
#define PLUGIN_WAITS_H

/*
 * wait_empty and stop_tree: requests that are answered when nobody is left in a block, or in a
 * sub-scope and below, or at their deadline. Emptiness is the kernel's word, where it has one, and
 * that every end was told: so a reply comes behind all of its events. Nothing is polled, and any
 * number of them wait at once. Called from the loop's thread.
 */

#include "plugin/control.h"
#include "plugin/module.h"

/* Takes a request over, by its command; its block is there. */
void waits_start(struct module *module, struct block *block, struct ask *ask);

/* A member ended and that was told, for those who count; it is still in the registry. */
void waits_count_end(struct module *module, const struct process *process);

/* Somebody was taken out of the registry, or is in another sub-scope now: it is looked soon. */
void waits_look_soon(struct module *module);

/* The block is gone, all of it: who waits for that is answered. It is still in the registry. */
void waits_block_gone(struct module *module, const struct block *block);

/* Forgets all of them, unanswered: at the end. */
void waits_clear(struct module *module);

#endif
