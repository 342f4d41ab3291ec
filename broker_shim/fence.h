/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_FENCE_H
#define BROKER_FENCE_H

/*
 * What the broker gives up before it serves, so that a slip in it, or in a plugin, is of less use:
 *
 *   - capabilities (7) that nothing here needs, from each of its sets, the bounding set among them;
 *   - that an exec gives more of them (PR_SET_NO_NEW_PRIVS);
 *   - system calls of no use to it, by a seccomp (2) filter that answers EPERM.
 *
 * All of it is for good, and what the broker starts inherits it. It is the calling thread's own,
 * and that of all which it makes: put it up before there is a second one. (The filter takes in
 * threads that are there already.) Which calls are refused stands in fence_calls.c.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct fence {
    uint64_t capabilities; /* to keep, where they are there: a bit for each number */
    int *calls;            /* not to refuse: numbers of system calls */
    size_t n_calls;
};

/* What is to be kept: what the broker and the module need, and besides the capabilities
 * ("SYS_ADMIN", with CAP_ before it or without) and system calls ("mount") of two lists with spaces
 * or commas between the names; null: none. The caller clears it. -EINVAL: a name is none, and the
 * sentence says which; -ENOMEM. */
int fence_init(struct fence *ret, const char *capabilities, const char *calls,
               struct wps_error *error);
void fence_clear(struct fence *self);

/* An exec gives no capability and no other user from here on. */
int fence_privileges(struct wps_error *error);

/* Gives up all capabilities but those to be kept. Where only the bounding set could not be made
 * smaller because we may not (an ordinary user), it is left. -EPERM: a filter refuses it. */
int fence_capabilities(const struct fence *self, struct wps_error *error);

/* Refuses the system calls. `*ret_n`: how many they are. -ENOSYS and the like: the kernel has no
 * filters, or refuses one. */
int fence_calls(const struct fence *self, size_t *ret_n, struct wps_error *error);

/* The names of the capabilities that this thread has, for a person; "none". Null: no memory. The
 * caller frees it. */
char *fence_capabilities_text(void);

/* The number of a system call; negative: there is none of this name here. */
int fence_call_number(const char *name);

#endif
