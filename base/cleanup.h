/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

/* Cleanup attributes: what a function holds is let go on every way out of it. Ownership is handed
 * over by `take_ptr` and `take_fd`, so that the hand-over is seen where it happens. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup(function) __attribute__((cleanup(function)))

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_close(const int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}

static inline void cleanup_closedir(DIR **directory)
{
    if (*directory)
        closedir(*directory);
}

static inline void cleanup_fclose(FILE **file)
{
    if (*file)
        fclose(*file);
}

#define _cleanup_free_     cleanup(cleanup_free)
#define _cleanup_close_    cleanup(cleanup_close)
#define _cleanup_closedir_ cleanup(cleanup_closedir)
#define _cleanup_fclose_   cleanup(cleanup_fclose)

/* Gives the value away and leaves nothing to clean up behind. */
#define take_ptr(pointer)                                                                          \
    ({                                                                                             \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#endif
