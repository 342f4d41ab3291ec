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

/* Takes in what the feed has at this moment, so that what is answered next agrees with it. */
void intake_drain(struct module *module);

/* A feed without places: the blocks are looked at again for what it may have told by then. */
void intake_scan_in(struct module *module, uint64_t ms);

/* The module's scan_timer. */
int intake_on_scan_timer(sd_event_source *source, uint64_t now_us, void *module);

#endif
