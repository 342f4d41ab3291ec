/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_REMOVERS_H
#define PLUGIN_REMOVERS_H

/*
 * Those who asked for the removal of a block and wait for their answer. The block's end is that of
 * its members alone; the answer names also who belongs to it outside (outside.h), and so may come a
 * little behind the end, or, where those are to be ended as well, up to its time-out behind it.
 * Called from the loop's thread.
 */

#include "plugin/control.h"
#include "plugin/module.h"

/* Takes the ask over; its block is being removed. -ENOMEM and so on: it is still the caller's. */
int removers_add(struct module *module, struct block *block, struct ask *ask);

/* The block is gone, and that was told; it is freed behind this. */
void removers_part(struct block *block);

/* Forgets all of them, unanswered: at the end. */
void removers_clear(struct module *module);

#endif
