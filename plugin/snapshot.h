/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_SNAPSHOT_H
#define PLUGIN_SNAPSHOT_H

/*
 * What the registry knows, as a value for operations in worker threads. With a tracker that has
 * places for blocks the kernel is asked instead, and none is needed. Called from the loop's thread.
 */

#include "plugin/module.h"

/* True where the tracker has members and its owner is who remembers them. */
bool snapshot_is_needed(const struct module *module);

/* What the registry knows now, held for the caller; null where that is not needed. -ENOMEM. */
int snapshot_hold(struct module *module, struct known **ret);

/* Gives `op` what the registry knows now, where that is needed. While nothing changes, all share
 * one. -ENOMEM. */
int snapshot_give(struct module *module, struct tracker_op *op);

/* Gives `op` what the registry knows of this block now, however the tracker has its members.
 * -ENOMEM.
 */
int snapshot_give_block(const struct block *block, struct tracker_op *op);

/* The registry's sub-scope that a fact of a scan is in; null: its block is gone. */
struct scope *snapshot_scope(struct module *module, const struct tracker_op *op, uint32_t place);

/* True where somebody is in the block (of the sub-scope and below, if given), lives, and was not
 * known yet when `op` was given what was. */
bool snapshot_is_behind(struct module *module, const struct block *block,
                        const struct tracker_op *op);

#endif
