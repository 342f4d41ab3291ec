/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_SURVIVORS_H
#define PLUGIN_SURVIVORS_H

/* Who is left of a block when the time for its end is over. Called from the loop's thread. */

#include "plugin/control.h"
#include "plugin/module.h"

/* Those of a sub-scope and below (empty: of the block) who were told and are there. The array is
 * the caller's to free; its texts live as long as the registry's processes. -ENOMEM. */
int survivors_find(const struct block *block, struct text scope, struct survivor **ret,
                   size_t *ret_n);

#endif
