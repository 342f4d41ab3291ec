/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_LISTING_H
#define PLUGIN_LISTING_H

/*
 * list_block: what members use is read by a worker; then the list is made of the registry as it is
 * at that moment, so that it agrees with the events by its `seq`. Under a feed that cannot see
 * births a scan comes first; with `detail` that of each member is read (details.h), and one that is
 * late is listed without. Called from the loop's thread.
 */

#include "plugin/control.h"

/* Answers it, at once or later. */
void listing_start(struct module *module, struct ask *ask);

/* The scan of the block with this number is over: the lists that waited for it go on. `seen`: what it
 * found was taken in just now. */
void listing_scanned(struct module *module, struct block *block, uint64_t scan, bool seen);

/* The block is gone: so are the lists that waited. */
void listing_gone(struct block *block);

#endif
