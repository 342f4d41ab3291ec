/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_EXPIRY_H
#define PLUGIN_EXPIRY_H

/*
 * Blocks that a broker before us left, that no client ensured again, and that have been empty for
 * `adopt-expire-ms`: they are removed. Those that a client of ours made or ensured never are,
 * however long they are empty. Called from the loop's thread.
 */

#include "plugin/module.h"

/* From here on it can expire. */
void expiry_adopted(struct module *module, struct block *block);

/* A client wants it, or it is going anyway: it does not expire. */
void expiry_claim(struct module *module, struct block *block);

/* A process of it was taken out of the registry: where that was the last one, its time begins. */
void expiry_forgot(struct module *module, struct block *block);

int expiry_on_timer(sd_event_source *source, uint64_t now_us, void *module);

#endif
