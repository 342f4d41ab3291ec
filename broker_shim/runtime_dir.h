/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RUNTIME_DIR_H
#define BROKER_RUNTIME_DIR_H

/*
 * The directory of the broker's sockets, and the lock that makes it one broker's alone.
 *
 * The lock is taken before anything is bound, since binding an ipc endpoint unlinks whatever is at
 * its path. It is a record lock (fcntl(2), F_SETLK) on the file `wpsd.lock`: the kernel drops it
 * with the process, however that ends, a child that was forked does not inherit it, and it knows
 * its holder's pid. The file itself stays, for a lock on a file that somebody unlinks guards
 * nothing. Which directory it is says base/runtime_path.h.
 *
 * Source: PROTOCOL.md, section 1.
 */

#include <stdbool.h>

#include "base/error.h"

struct runtime_dir {
    char *path; /* absolute, without a slash at its end */
    int fd;     /* of the directory */
    int lock;   /* of the lock file */
};

#define RUNTIME_DIR_NONE ((struct runtime_dir){NULL, -1, -1})

/* Makes the directory where it is missing (its parent must be there), checks it, and locks it.
 * With `allow_others` its mode is 0711, so that other users reach the sockets; else 0700.
 * -ELOOP: it is a symbolic link. -ENOTDIR. -EPERM: it is somebody else's, or open to others.
 * -EADDRINUSE: another broker runs there; the sentence has its pid. */
int runtime_dir_open(struct runtime_dir *ret, const char *path, bool allow_others,
                     struct wps_error *error);

/* Where the directory at its path is not that one any more, or its lock file was deleted: makes and
 * locks it again, as runtime_dir_open does. 1: it was so; 0: all is there. */
int runtime_dir_renew(struct runtime_dir *self, bool allow_others, struct wps_error *error);

/* Lets go of the lock and of all else. RUNTIME_DIR_NONE is fine. */
void runtime_dir_close(struct runtime_dir *self);

#endif
