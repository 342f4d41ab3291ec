/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_MIRROR_CHANGE_H
#define CLIENT_MIRROR_CHANGE_H

/* The changes of a mirrored block, and the call that tells each: what an event says, and what a
 * list says otherwise than the picture. Whether they may be applied is decided in mirror_block.c.
 */

#include "client/mirror_block.h"

/* Applies what an event says; its epoch and number are the block's already. -EINVAL: junk;
 * -ENOMEM. Then the picture has to be listed. */
int mirror_change_by_event(struct mirror_block *block, const struct mirror_event *event);

/* Makes the picture what a list of the block says. -ENOMEM: it is not yet. */
int mirror_change_by_list(struct mirror_block *block, const struct list_reply *list);

/* There is no such block: whoever is left is gone for that reason, then the block is. */
void mirror_change_remove(struct mirror_block *block, enum proctrack_gone_how how,
                          struct text reason);

void mirror_change_current(struct mirror_block *block, bool current);

#endif
