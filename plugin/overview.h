/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_OVERVIEW_H
#define PLUGIN_OVERVIEW_H

/*
 * list_all_blocks. With `detail` a worker reads what the members of all blocks use, and the
 * accounts of blocks that have one; there is one such reading at a time, and who asks meanwhile
 * gets the next. Called from the loop's thread.
 */

#include "plugin/control.h"

/* Answers it, at once or later. */
void overview_start(struct module *module, struct ask *ask);

/* At the end, when no job is at the workers any more. */
void overview_close(struct module *module);

#endif
