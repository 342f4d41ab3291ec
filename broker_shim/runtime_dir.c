/* SPDX-License-Identifier: Apache-2.0 */

/* The runtime directory: made, checked, locked. */

#include "broker_shim/runtime_dir.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define LOCK_FILE "wpsd.lock"

static int make(const char *path, mode_t mode, struct wps_error *error)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return 0;
    if (errno == ENOENT)
        return wps_error_set(error, -ENOENT,
                             "runtime directory %s: the directory it is to be made in is missing: "
                             "make that first, or set WPS_RUNTIME_DIR to another place",
                             path);
    return wps_error_system(error, -errno, "making the runtime directory %s", path);
}

static int open_directory(int *ret_fd, const char *path, struct wps_error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int code = -errno;
    struct stat status;
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    if (lstat(path, &status) == 0 && S_ISLNK(status.st_mode))
        return wps_error_set(error, -ELOOP,
                             "runtime directory %s: it is a symbolic link: name the directory "
                             "itself, or remove the link",
                             path);
    if (code == -ENOTDIR)
        return wps_error_set(error, code, "runtime directory %s: it is not a directory", path);
    return wps_error_system(error, code, "opening the runtime directory %s", path);
}

static int check(int fd, const char *path, mode_t mode, struct wps_error *error)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return wps_error_system(error, -errno, "looking at the runtime directory %s", path);
    if (status.st_uid != geteuid())
        return wps_error_set(error, -EPERM,
                             "runtime directory %s: it belongs to user %u, not to user %u who runs "
                             "the broker: choose another one",
                             path, (unsigned)status.st_uid, (unsigned)geteuid());
    mode_t is = status.st_mode & 07777;
    if (is & 077 & ~mode)
        return wps_error_set(error, -EPERM,
                             "runtime directory %s: its mode %04o lets others in: chmod %04o it, "
                             "after a look at what is in it",
                             path, (unsigned)is, (unsigned)mode);
    if (is != mode && fchmod(fd, mode) < 0)
        return wps_error_system(error, -errno, "setting the mode of %s", path);
    return 0;
}

/* Who holds the lock: for the sentence only, so 0 where it cannot be found out. */
static pid_t holder(int lock)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(lock, F_GETLK, &range) < 0 || range.l_type == F_UNLCK)
        return 0;
    return range.l_pid;
}

static int take_lock(int *ret_lock, int directory, const char *path, struct wps_error *error)
{
    _cleanup_close_ int lock =
        openat(directory, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0)
        return wps_error_system(error, -errno, "opening %s/" LOCK_FILE, path);
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(lock, F_SETLK, &range) < 0) {
        if (errno != EAGAIN && errno != EACCES)
            return wps_error_system(error, -errno, "locking %s/" LOCK_FILE, path);
        return wps_error_set(error, -EADDRINUSE,
                             "another broker runs in %s, with pid %d: stop it, or set "
                             "WPS_RUNTIME_DIR to another directory",
                             path, (int)holder(lock));
    }
    *ret_lock = take_fd(&lock);
    return 0;
}

int runtime_dir_open(struct runtime_dir *ret, const char *path, bool allow_others,
                     struct wps_error *error)
{
    mode_t mode = allow_others ? 0711 : 0700;
    _cleanup_close_ int fd = -1;
    _cleanup_close_ int lock = -1;
    int result = make(path, mode, error);
    if (result == 0)
        result = open_directory(&fd, path, error);
    if (result == 0)
        result = check(fd, path, mode, error);
    if (result == 0)
        result = take_lock(&lock, fd, path, error);
    if (result < 0)
        return result;
    char *copy = strdup(path);
    if (!copy)
        return wps_error_set(error, -ENOMEM, "opening the runtime directory: no memory");
    *ret = (struct runtime_dir){copy, take_fd(&fd), take_fd(&lock)};
    return 0;
}

/* True where what we hold is what others find by the path. */
static bool is_there(const struct runtime_dir *self)
{
    struct stat held, found, lock;
    return fstat(self->fd, &held) == 0 && lstat(self->path, &found) == 0 &&
           held.st_dev == found.st_dev && held.st_ino == found.st_ino &&
           fstat(self->lock, &lock) == 0 && lock.st_nlink > 0;
}

int runtime_dir_renew(struct runtime_dir *self, bool allow_others, struct wps_error *error)
{
    struct runtime_dir next = RUNTIME_DIR_NONE;
    if (is_there(self))
        return 0;
    int result = runtime_dir_open(&next, self->path, allow_others, error);
    if (result < 0)
        return result;
    free(next.path); /* plugins hold the one that there is */
    close(self->lock);
    close(self->fd);
    self->fd = next.fd;
    self->lock = next.lock;
    return 1;
}

void runtime_dir_close(struct runtime_dir *self)
{
    free(self->path);
    if (self->lock >= 0)
        close(self->lock);
    if (self->fd >= 0)
        close(self->fd);
    *self = RUNTIME_DIR_NONE;
}
