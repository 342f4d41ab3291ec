/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_SETUP_H
#define PLUGIN_SETUP_H

/* Choosing tracker and feed: the best that works here, tried for real, or the ones that the options
 * force. What was tried and why not a better one is kept for describe and logged once. Called from
 * the loop's thread. */

#include "plugin/module.h"

/* A negative errno only where an option forces what does not work. */
int setup_tracker(struct module *module, struct wps_error *error);

/* After the tracker. Also when a feed died: then the best that works now. */
int setup_feed(struct module *module, struct wps_error *error);

/* Notes one attempt for describe, in its old place where it was made before. `why` is a sentence.
 */
void setup_note(struct module *module, const char *what, bool ok, const char *why);

/* What tracker and feed can promise together, in `confidence` and its reason. */
void setup_confidence(struct module *module);

/* Logs what was chosen. */
void setup_log(const struct module *module);

#endif
