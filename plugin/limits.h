/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_LIMITS_H
#define PLUGIN_LIMITS_H

/*
 * What a client, or what runs in a block, could push up without end has a limit: settable, told by
 * `describe`, with an error that names it and a counter of how often it held. What ends something
 * is never refused by one but that of requests. Called from the loop's thread.
 */

#include "plugin/control.h"
#include "plugin/module.h"

enum limit {
    LIMIT_BLOCKS,      /* max-blocks */
    LIMIT_SCOPES,      /* max-scopes: of one block */
    LIMIT_PROCESSES,   /* max-processes: members of all blocks */
    LIMIT_REQUESTS,    /* max-requests: that wait for their answer */
    LIMIT_DESCRIPTORS, /* reserve-descriptors */
    LIMITS,
};

/* Counts that one held. */
void limits_count(struct module *module, enum limit limit);

/* Counts it, and gives the sentence: which one, its value, what to do. Returns -EAGAIN. */
int limits_error(struct module *module, enum limit limit, struct wps_error *error);

/* Counts it, and answers with errorcode `limit` and the sentence. */
void limits_refuse(struct module *module, struct ask *ask, enum limit limit);

/* True where there is no room for one more process. */
bool limits_full(const struct module *module);

/* True where the block cannot have this sub-scope, since it is not there yet. */
bool limits_too_many_scopes(const struct module *module, const struct block *block,
                            struct text scope);

#endif
