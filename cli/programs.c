/* SPDX-License-Identifier: Apache-2.0 */

/* Where programs are. */

#include "cli/programs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

char *program_beside_us(const char *relative)
{
    char self[PATH_MAX];
    _cleanup_free_ char *path = NULL;
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size <= 0)
        return NULL;
    self[size] = '\0';
    *(strrchr(self, '/') + 1) = '\0';
    if (asprintf(&path, "%s%s", self, relative) < 0)
        path = NULL;
    return path && access(path, R_OK) == 0 ? realpath(path, NULL) : NULL;
}

char *program_in_path(const char *name)
{
    const char *list = getenv("PATH");
    _cleanup_free_ char *copy = strdup(list ? list : "");
    char *save = NULL;
    for (char *part = copy ? strtok_r(copy, ":", &save) : NULL; part;
         part = strtok_r(NULL, ":", &save)) {
        _cleanup_free_ char *path = NULL;
        if (asprintf(&path, "%s/%s", part, name) < 0)
            path = NULL;
        if (path && access(path, X_OK) == 0)
            return take_ptr(path);
    }
    return NULL;
}
