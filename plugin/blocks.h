/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_BLOCKS_H
#define PLUGIN_BLOCKS_H

/*
 * The life of a block: making, adopting, killing, removing. Each step that the kernel can take its
 * time for is a worker's; a block is gone when it is empty, its place is removed, and that was
 * told. Called from the loop's thread.
 */

#include "plugin/control.h"
#include "plugin/module.h"

/* Makes the block and the sub-scope, or finds them, and answers. While the block is being removed
 * it waits for that. */
void blocks_ensure(struct module *module, struct ask *ask);

/* Ends everything in it (or in a sub-scope), once and thoroughly; nobody is waited for. -ENOMEM: it
 * is not ended, which is logged; where the block is being removed that is tried again. */
int blocks_kill(struct module *module, struct block *block, struct text scope);

/* Ends everything in it and takes it away; `ask` (may be null) is answered when it is gone, or at
 * its time-out with the survivors. */
void blocks_remove(struct module *module, struct block *block, const char *reason, struct ask *ask);

/* An assignment to it is over: what waited for that goes on. */
void blocks_assigned(struct module *module, struct block *block);

/* Its block-removed was handed over: it is gone, whoever asked for that is answered, and who wants
 * it again gets a new one. */
void blocks_told_removed(struct module *module, struct block *block);

/* A process was taken out of the registry: the removal of its block may go on. */
void blocks_forgot(struct module *module, struct block *block);

/* assign_process: at once, or when the kill that runs, or an assignment of the same process, is
 * over. */
void blocks_assign(struct module *module, struct block *block, struct ask *ask);

/* Finds the blocks that a broker before us left, and makes them ours; those that were to end with
 * it are ended. Waits for the kernel: at start only. */
int blocks_adopt(struct module *module, struct wps_error *error);

/* The host stops us: blocks that are to be killed are removed, the others are left for the next
 * broker. True when nothing is left to wait for. */
bool blocks_end_all(struct module *module);

/* Those that are left are for the next broker to adopt, also where they were to end in a crash: we
 * stopped in order. After the workers. */
void blocks_leave(struct module *module);

/* Version and confidence, for replies and events. The confidence is that of the module, or less
 * where somebody left the block or there is no room to list all of it; `block` may be null. It
 * lives until the next one is asked for. */
struct block_version blocks_version(const struct block *block);
struct confidence_view blocks_confidence(struct module *module, const struct block *block);

#endif
