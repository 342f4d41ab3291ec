/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_HELD_H
#define TRACKERS_HELD_H

/*
 * Reads of other processes' memory (cmdline, environ) that hang. A process can hold up whoever
 * reads it for as long as it likes, and nothing ends such a read but its own end. So who reads says
 * so here, and the next one asks nothing of a process that holds up another reader already: it
 * costs one thread, and not all of them. Any thread; a lock guards the list.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
    HELD_MS = 50,  /* a read that waits for longer hangs; one that has only no processor does not */
    HELD_MAX = 64, /* reads at a time, over all threads */
};

/* A read of this process begins. Returns a number for held_end; -EBUSY: it hangs another reader, or
 * too many reads are under way: leave it. */
int held_begin(uint32_t pid);
void held_end(int number);

/* True where this thread is in a read that hangs. Where it has but no processor, or waits for
 * something else, a lock of the kernel's for example, it is not. */
bool held_hangs(uint32_t tid);

#endif
