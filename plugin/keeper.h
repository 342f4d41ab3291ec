/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_KEEPER_H
#define PLUGIN_KEEPER_H

/*
 * `on_crash: kill` is kept by a process of its own, proctrack-keeper: it ends those blocks when our
 * process dies in whatever way. It is started for the first of them and ended a moment after the
 * last. A block's on_crash is in force when the keeper said so; only then is ensure_tracker
 * answered. A keeper that ends is started again and told all blocks anew; where that does not work,
 * the confidence's reason says that the promise does not hold. Called from the loop's thread.
 */

#include "plugin/control.h"
#include "plugin/module.h"

/* Where its program is: by the option, else beside the file that this code is in. */
void keeper_find_program(const struct module *module, char *path, size_t room);

/* Finds its program. -ENOMEM. */
int keeper_open(struct module *module, struct wps_error *error);

/* Waits until the keeper of the broker before us has done its work: at start only. */
void keeper_wait_for_last(struct module *module);

/* Puts the ask's on_crash into force. True where that is so; else it was refused, or it comes back
 * to blocks_ensure when it is. */
bool keeper_settle(struct module *module, struct ask *ask);

/* There is no such block any more, or it was not made after all. */
void keeper_forget(struct module *module, struct text block_id);

/* Where the promise does not hold, says so behind what is in `reason`. */
void keeper_doubt(const struct module *module, char *reason, size_t room);

/* For stats: 0 where none runs; how many blocks it is to end. */
uint32_t keeper_pid(const struct module *module);
unsigned keeper_blocks(const struct module *module);

/* We stop in order: it leaves all blocks alone and ends, and that is waited for, shortly. */
void keeper_end(struct module *module);

/* Frees what is kept of it, after the workers are gone. */
void keeper_close(struct module *module);

#endif
