/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEEPER_END_H
#define KEEPER_END_H

/* The end of blocks whose host is dead. */

#include "keeper/kept.h"

/* Kills all that is in the blocks `*kept` of the cgroup directory `root`, waits until they are
 * empty, and removes them, for up to `patience_ms`. What is over is taken out of the set: empty at
 * the end means all went well. Its own process is spared: it leaves a block that it is in. */
void end_blocks(const char *root, struct kept **kept, unsigned patience_ms);

#endif
