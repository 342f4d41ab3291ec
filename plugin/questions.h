/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_QUESTIONS_H
#define PLUGIN_QUESTIONS_H

/*
 * What a member's command and place are is asked of the workers, where the feed does not tell. Only
 * so many questions are with them at a time: an operation is larger than a member is, and ten
 * thousand that join at once would leave as much memory in pieces. The others wait here, in order.
 * So does each, while events come at thousands a second, until all of them are taken in: whoever
 * has ended and was reaped by then need not be asked about.
 *
 * Called from the loop's thread.
 */

#include "plugin/module.h"

void questions_init(struct module *module);

/* Asks about a member whose `ask` has its number. The answer goes to lives_answered. */
void questions_put(struct module *module, struct process *process);

/* Events were taken in: what waits is asked, as far as there is room. */
void questions_go_on(struct module *module);

/* The member is about to be freed: it is not asked about any more. */
void questions_drop(struct module *module, struct process *process);

#endif
