/* SPDX-License-Identifier: Apache-2.0 */

/* Moving a process into a cgroup, by whoever may. */

#include "trackers/mover.h"

#include <errno.h>

#include "trackers/cgroupfs.h"

int mover_move(const struct mover *mover, const char *directory, uint32_t pid,
               struct wps_error *error)
{
    int r = cgroupfs_move(directory, pid);
    return mover && (r == -EACCES || r == -EPERM)
               ? mover->move(mover->context, directory, pid, error)
               : r;
}
