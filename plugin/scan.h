/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_SCAN_H
#define PLUGIN_SCAN_H

/*
 * Comparing the registry with the kernel: at an interval where the feed wants it, after a loss,
 * when a block is adopted or listed under a feed that cannot see. The difference is published as
 * ordinary events. Of thousands of blocks some are scanned at a time, so that what else is asked of
 * the workers is not behind all of them. Called from the loop's thread.
 */

#include "plugin/module.h"

void scan_init(struct module *module);

/* Scans one block, or with a tracker without places all of them, which is the same work; where a
 * scan of it is at the workers already, another one follows. */
void scan_block(struct module *module, struct block *block);

/* The block is no more. */
void scan_forget(struct module *module, struct block *block);

/* The process is no more, or was told to have ended. */
void scan_forget_missed(struct module *module, struct process *process);

/* The module's missed_timer. */
int scan_on_missed_timer(sd_event_source *source, uint64_t now_us, void *module);

/* True where a scan of it is at the workers, or waits for them. */
bool scan_is_coming(const struct module *module, const struct block *block);

/* The number that the next scan of this block will have, for who wants to wait for it: to be asked
 * before scan_block. */
uint64_t scan_next(const struct module *module, const struct block *block);

/* Scans all blocks. */
void scan_all(struct module *module);

/* Scans those in which something happened since; with a tracker without places all. */
void scan_active(struct module *module);

/* Takes in what a scan found; of one block, or, with a tracker without places, of all. */
void scan_apply(struct module *module, struct block *block, const struct tracker_op *op);

/* The kernel says that nobody is in the block: whoever is still known ended unseen. */
void scan_end_all(struct module *module, struct block *block);

/* Scans that are held up by a process that cannot be read begin anew, without it. To be called from
 * time to time while jobs are pending. */
void scan_give_up_late(struct module *module);

/* The feed lost something: every block is told so and scanned. */
void scan_after_loss(struct module *module, const char *reason, uint64_t lost);

#endif
