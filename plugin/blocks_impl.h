/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_BLOCKS_IMPL_H
#define PLUGIN_BLOCKS_IMPL_H

/*
 * What the files behind blocks.h share: blocks.c makes blocks and brings processes in, ends.c kills
 * and removes, adopt.c hands them on from broker to broker. For them alone.
 */

#include "plugin/blocks.h"

/* ---- blocks.c ---- */

/* An operation on this life of this block; null: out of memory, counted. The caller owns it until
 * it is submitted. */
struct tracker_op *blocks_op(struct module *module, enum tracker_op_kind kind,
                             const struct block *block, struct text scope,
                             void (*done)(struct tracker_op *op, void *context));
/* Hands it to a worker; the block stays until blocks_come_back was called for it. Not while its
 * place is being taken away (`clearing`): what that waited for is over. */
void blocks_submit(struct module *module, struct block *block, struct tracker_op *op);
struct block *blocks_come_back(struct module *module, const struct tracker_op *op);

/* What the worker made is known now: the block and each level of the sub-scope can be found by
 * their places. */
void blocks_take_places(struct module *module, struct block *block, struct tracker_op *op);

/* Its epoch begins, and readers are told. */
void blocks_start_live(struct module *module, struct block *block);

/* Moves all asks from one list to an empty one. */
void blocks_take_asks(struct asks *from, struct asks *to);

/* Those who waited for a kill to be over, or for a block to be gone, ask again. */
void blocks_resume_waiting(struct module *module, struct block *block);
void blocks_ensure_all(struct module *module, struct asks *makers);

/* Out of the registry, without a word to readers. */
void blocks_unmake(struct module *module, struct block *block);

/* ---- ends.c ---- */

/* The removal of the block takes its next step, if it can. */
void blocks_go_on(struct module *module, struct block *block);

#endif
