/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_SURVIVORS_H
#define PLUGIN_SURVIVORS_H

/* Who is left of a block when the time for its end is over. Called from the loop's thread. */

#include "plugin/control.h"
#include "plugin/module.h"

/* Answers a `remove` with the block's members that are still there, with their states. */
void survivors_answer(struct module *module, struct block *block, struct ask *ask);

#endif
