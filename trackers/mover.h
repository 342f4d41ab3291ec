/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_MOVER_H
#define TRACKERS_MOVER_H

/*
 * Moving a process into a cgroup. The kernel wants write access to the target and to the cgroup
 * that it and the old place have in common, and who has been delegated a part of the tree has not
 * got that one for processes outside of the part. Somebody with more rights (a service manager) may
 * move them in his place.
 */

#include <stdint.h>

#include "base/error.h"

struct mover {
    /* Moves `pid` into the cgroup directory. Any thread; may take a second or so. 0 or a negative
     * errno with a sentence. */
    int (*move)(void *context, const char *directory, uint32_t pid, struct wps_error *error);
    void *context;
};

/* Moves it ourselves, or, where that is not permitted, has it moved. `mover` may be null. There is
 * a sentence only where the mover failed. */
int mover_move(const struct mover *mover, const char *directory, uint32_t pid,
               struct wps_error *error);

#endif
