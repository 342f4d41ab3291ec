/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_PUBLISH_H
#define PLUGIN_PUBLISH_H

/*
 * Telling readers: each event of a block takes the next number of its sequence and goes to the
 * host. What the host cannot take now is counted, the block is marked, and a block-resync follows
 * as soon as there is room; nobody waits. Called from the loop's thread.
 */

#include "plugin/module.h"

void publish_added(struct module *module, const struct process *process, uint64_t rss_bytes,
                   bool by_scan);
void publish_exec(struct module *module, const struct process *process, uint64_t rss_bytes,
                  bool by_scan);
void publish_changed(struct module *module, const struct process *process, bool by_scan);
/* How it ended stands in the process. */
void publish_exited(struct module *module, const struct process *process, bool by_scan);
void publish_escaped(struct module *module, const struct process *process, const char *reason,
                     struct text where);

void publish_block_added(struct module *module, struct block *block);
void publish_block_changed(struct module *module, struct block *block);
/* There was no memory for a member of it: block-resync in a moment, and a scan that finds it. */
void publish_missing(struct module *module, struct block *block);

/* `lost` of 0: unknown. */
void publish_block_resync(struct module *module, struct block *block, const char *reason,
                          uint64_t lost);
/* False where the host has no room: it is tried again, and then blocks_told_removed is called. */
bool publish_block_removed(struct module *module, struct block *block, const char *reason);

/* The record of a process, as events and lists hold it. Its views live as long as the process. */
void publish_record(const struct process *process, uint64_t rss_bytes, struct process_record *ret);

/* Says once more which is a block's newest event (marks.h). */
void publish_mark(struct module *module, const char *topic, const struct block_point *at);

/* Nothing more is told of a block but the marks of its removal. To be called before it is freed. */
void publish_forget_block(struct module *module, struct block *block);

/* Timer of the loop: the next try where the host had no room. */
int publish_on_retry_timer(sd_event_source *source, uint64_t now_us, void *module);

#endif
