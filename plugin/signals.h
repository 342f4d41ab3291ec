/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_SIGNALS_H
#define PLUGIN_SIGNALS_H

/*
 * Commands that signal members, or stop and continue them: each is a worker's, and answered when it
 * is done. A signal goes through a descriptor behind a look at what that stands for, so that it
 * never reaches a process that is no member. Called from the loop's thread.
 */

#include "plugin/control.h"
#include "plugin/module.h"

/* kill_pid: `block` may be null. */
void signals_kill_pid(struct module *module, struct block *block, struct ask *ask);

/* kill_started: until a round finds none that is new, so what they make meanwhile goes with them.
 */
void signals_kill_started(struct module *module, struct block *block, struct ask *ask);

/* signal_tree */
void signals_tree(struct module *module, struct block *block, struct ask *ask);

/* freeze and thaw */
void signals_freeze(struct module *module, struct block *block, struct ask *ask);

#endif
