/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEEPER_KEPT_H
#define KEEPER_KEPT_H

/* The blocks that a keeper is to end, by the name of their directory. */

/* Where memory runs out uthash leaves the item out and its `tbl` null, rather than calling exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "keeper/message.h"

struct kept {
    UT_hash_handle by_name;
    char name[KEEPER_NAME_MAX + 1];
};

/* Does what a message says; `*kept` is the set, null: empty. 0, also where it was so already;
 * -ENOMEM; -EINVAL: not a message to a keeper about a block. */
int kept_take(struct kept **kept, const struct keeper_message *message);

/* Takes one out and frees it. */
void kept_drop(struct kept **kept, struct kept *one);

void kept_clear(struct kept **kept);

#endif
