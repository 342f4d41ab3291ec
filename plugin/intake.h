/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_INTAKE_H
#define PLUGIN_INTAKE_H

/*
 * Between the feed and the registry: takes events in, sees losses, replaces a feed that died, and,
 * for a feed that sees births but no places, has the blocks scanned while things happen. Called
 * from the loop's thread.
 */

#include "plugin/module.h"

/* Watches the module's feed in the loop. */
int intake_open(struct module *module);

/* Takes in what the feed has at this moment, so that what is answered next agrees with it; where it
 * has more than one turn's share, only that: who asks for an end is not to wait for a storm's. */
void intake_drain(struct module *module);

/* Takes in all that happened up to now, and not only one turn's share: a scan that is told of next
 * would otherwise end who ended without the status that waits in the feed. Only a kernel that
 * outruns us for long leaves something. */
void intake_drain_all(struct module *module);

/* Takes in all of it, and then what the workers had brought back before: what happened before an
 * answer is taken in before it. Whoever gives something up for being late does this first. */
void intake_drain_and_reap(struct module *module);

/* Opens the feed anew, or another one that works, and looks at everything: where it died, or what
 * it watches is not there any more. */
void intake_renew_feed(struct module *module);

/* What the kernel says of a block (null: of all) could not be read, for want of descriptors or
 * memory: it is looked at again a little later. */
void intake_scan_again(struct module *module, struct block *block);

/* The module's scan_timer. */
int intake_on_scan_timer(sd_event_source *source, uint64_t now_us, void *module);

#endif
