/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_ESCAPEES_H
#define PLUGIN_ESCAPEES_H

/*
 * Processes that left their block alive and are in none of ours. While one of them lives its block
 * promises less, and says so; block-changed tells both when that begins and when it ends. A pidfd
 * tells when one is gone, so they cost nothing meanwhile; where no descriptor can be spared it is
 * looked at now and then. Called from the loop's thread.
 */

#include "plugin/module.h"
#include "trackers/outside.h"

enum { ESCAPEES_MAX = 1024 }; /* of all blocks; of a block with more, the doubt stays for good */

/* The process has just left its block, alive, and was told so; it is in the registry still. */
void escapees_add(struct module *module, const struct process *process);

/* One with this pid is in a block now. */
void escapees_take_back(struct module *module, uint32_t pid);

/* The block is about to be freed. */
void escapees_forget_block(struct module *module, struct block *block);

/* A member that was found by its tag alone, beside any lineage, came, or is gone: it is told. */
void escapees_count_stray(struct module *module, struct block *block, int change);

/* What the block promises less than others, as a sentence without its end; "" where that is
 * nothing. `reason` has room for ESCAPEES_REASON. */
enum { ESCAPEES_REASON = 256 };
void escapees_doubt(const struct block *block, char reason[static ESCAPEES_REASON]);

/* Copies of those of the block that are remembered, for a search. -ENOMEM; on success the array is
 * the caller's to free. */
int escapees_copy(const struct block *block, struct outside_known **ret, size_t *ret_n);

/* How many are remembered now. */
unsigned escapees_count(const struct module *module);

/* The module's escape_timer. */
int escapees_on_timer(sd_event_source *source, uint64_t now_us, void *module);

/* Forgets all of them, at the end. */
void escapees_clear(struct module *module);

#endif
