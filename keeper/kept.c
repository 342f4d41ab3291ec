/* SPDX-License-Identifier: Apache-2.0 */

/* The set of names, a hash table by uthash. */

#include "keeper/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add(struct kept **kept, const char *name)
{
    struct kept *one = calloc(1, sizeof *one);
    if (!one)
        return -ENOMEM;
    strcpy(one->name, name);
    HASH_ADD_KEYPTR(by_name, *kept, one->name, strlen(one->name), one);
    if (one->by_name.tbl)
        return 0;
    free(one);
    return -ENOMEM;
}

int kept_take(struct kept **kept, const struct keeper_message *message)
{
    struct kept *one;
    if (message->verb != KEEPER_KEEP && message->verb != KEEPER_LEAVE)
        return -EINVAL;
    HASH_FIND(by_name, *kept, message->name, strlen(message->name), one);
    if (message->verb == KEEPER_KEEP)
        return one ? 0 : add(kept, message->name);
    if (one)
        kept_drop(kept, one);
    return 0;
}

void kept_drop(struct kept **kept, struct kept *one)
{
    HASH_DELETE(by_name, *kept, one);
    free(one);
}

void kept_clear(struct kept **kept)
{
    struct kept *one, *next;
    HASH_ITER (by_name, *kept, one, next)
        kept_drop(kept, one);
}
