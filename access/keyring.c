/* SPDX-License-Identifier: Apache-2.0 */

/* Sets of public keys that follow their directory. */

#include "access/keyring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

enum { FRESH_S = 2 }; /* no file system's times are coarser */

static int add(struct keyring *ring, const char *key, struct wps_error *error)
{
    if (ring->n >= KEYRING_MAX)
        return wps_error_set(error, -ENOSPC, "%s: more than %d keys", ring->path, KEYRING_MAX);
    char(*keys)[CURVE_KEY_SIZE] = reallocarray(ring->keys, ring->n + 1, sizeof *keys);
    if (!keys)
        return wps_error_set(error, -ENOMEM, "%s: no memory for its keys", ring->path);
    ring->keys = keys;
    memcpy(ring->keys[ring->n++], key, CURVE_KEY_SIZE);
    return 0;
}

static int add_file(struct keyring *ring, const char *file, struct wps_error *error)
{
    struct certificate certificate;
    int result = certificate_read_public(&certificate, file, error);
    return result < 0 ? result : add(ring, certificate.public_key, error);
}

static bool is_certificate_name(const char *name)
{
    size_t size = strlen(name);
    return name[0] != '.' && !(size > 7 && strcmp(name + size - 7, "_secret") == 0);
}

/* `strict`: one that cannot be read is an error. */
static int add_directory(struct keyring *ring, DIR *directory, bool strict, struct wps_error *error)
{
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        _cleanup_free_ char *file = NULL;
        if (!is_certificate_name(entry->d_name))
            continue;
        if (asprintf(&file, "%s/%s", ring->path, entry->d_name) < 0)
            return wps_error_set(error, -ENOMEM, "%s: no memory for its keys", ring->path);
        int result = add_file(ring, file, error);
        if (result < 0 && (strict || result == -ENOMEM))
            return result;
    }
    return 0;
}

static int open_directory(struct keyring *ring, int fd, bool strict, struct wps_error *error)
{
    _cleanup_close_ int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    _cleanup_closedir_ DIR *directory = own < 0 ? NULL : fdopendir(own);
    if (!directory)
        return wps_error_system(error, -errno, "reading the keys in %s", ring->path);
    own = -1;
    return add_directory(ring, directory, strict, error);
}

static int read_all(struct keyring *ring, bool strict, struct wps_error *error)
{
    struct stat status;
    _cleanup_close_ int fd = open(ring->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0)
        return wps_error_system(error, -errno, "reading the keys in %s", ring->path);
    int result = certificate_check_file(fd, ring->path, false, error);
    if (result < 0)
        return result;
    ring->changed = status.st_mtim;
    ring->is_fresh = status.st_mtim.tv_sec + FRESH_S >= time(NULL);
    return S_ISDIR(status.st_mode) ? open_directory(ring, fd, strict, error)
                                   : add_file(ring, ring->path, error);
}

int keyring_open(struct keyring *ret, const char *path, struct wps_error *error)
{
    struct keyring ring = {.path = strdup(path)};
    if (!ring.path)
        return wps_error_set(error, -ENOMEM, "%s: no memory", path);
    int result = read_all(&ring, true, error);
    if (result < 0) {
        keyring_clear(&ring);
        return result;
    }
    *ret = ring;
    return 0;
}

static void read_again(struct keyring *ring)
{
    struct stat status;
    if (stat(ring->path, &status) == 0 && !ring->is_fresh &&
        status.st_mtim.tv_sec == ring->changed.tv_sec &&
        status.st_mtim.tv_nsec == ring->changed.tv_nsec)
        return;
    ring->n = 0;
    ring->is_fresh = true; /* what fails is tried again */
    if (read_all(ring, false, NULL) < 0)
        ring->n = 0;
}

bool keyring_has(struct keyring *ring, const char *key)
{
    if (!ring->path)
        return false;
    read_again(ring);
    for (size_t i = 0; i < ring->n; i++)
        if (strcmp(ring->keys[i], key) == 0)
            return true;
    return false;
}

void keyring_clear(struct keyring *ring)
{
    free(ring->path);
    free(ring->keys);
    *ring = (struct keyring){0};
}
