/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_ASSIGN_H
#define PLUGIN_ASSIGN_H

/*
 * Putting a running process, and the descendants it has, into a block. The move is made by a
 * worker; feeds that see moves tell of it before the worker answers, so what is under way is kept
 * here for lives to ask about. Called from the loop's thread.
 */

#include "plugin/module.h"
#include "schemas/control_request.h"

struct ask;

/* Starts it and answers `ask` when all that was moved was told. The request was checked; the block
 * lives and is not being ended. */
void assign_start(struct module *module, struct block *block, struct ask *ask,
                  const struct control_request *request, uint32_t client_uid);

/* True where an assignment to this block is under way. */
bool assign_runs(const struct module *module, const struct block *block);

/* The same of one process: who assigns it once more meanwhile has to wait, as the answer depends on
 * what becomes of it. */
bool assign_runs_for(const struct module *module, const struct block *block, uint32_t pid);

/* One that is seen first in its block: true where an assignment under way puts it there as a root,
 * or where it was one for the broker that the block is adopted of. That holds once: who
 * leaves and comes back by itself is none, as in any block. */
bool assign_takes_root(const struct module *module, const struct process *process);

#endif
