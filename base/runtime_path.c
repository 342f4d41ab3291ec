/* SPDX-License-Identifier: Apache-2.0 */

/* Which directory the sockets of a broker are in. */

#include "base/runtime_path.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"

static bool is_set(const char *string)
{
    return string && *string;
}

static int join(char **ret, const char *directory, const char *name, struct wps_error *error)
{
    char *path;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return wps_error_set(error, -ENOMEM, "finding the runtime directory: no memory");
    *ret = path;
    return 0;
}

/* A symbolic link with a slash behind it would be followed. */
static void cut_slashes(char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        path[--size] = '\0';
}

static int make_absolute(char **ret, const char *path, struct wps_error *error)
{
    char here[PATH_MAX];
    char *absolute;
    if (*path == '/')
        absolute = strdup(path);
    else if (!getcwd(here, sizeof here))
        return wps_error_system(error, -errno, "finding the working directory for %s", path);
    else if (asprintf(&absolute, "%s/%s", here, path) < 0)
        absolute = NULL;
    if (!absolute)
        return wps_error_set(error, -ENOMEM, "finding the runtime directory: no memory");
    cut_slashes(absolute);
    *ret = absolute;
    return 0;
}

int runtime_path_resolve(const char *wanted, char **ret_path, struct wps_error *error)
{
    if (!is_set(wanted))
        wanted = getenv("WPS_RUNTIME_DIR");
    if (is_set(wanted))
        return make_absolute(ret_path, wanted, error);
    if (geteuid() == 0)
        return make_absolute(ret_path, "/run/wps", error);
    const char *user_dir = getenv("XDG_RUNTIME_DIR");
    if (is_set(user_dir))
        return join(ret_path, user_dir, "wps", error);
    return wps_error_set(
        error, -ENOENT,
        "no runtime directory: neither WPS_RUNTIME_DIR nor XDG_RUNTIME_DIR is set; "
        "set WPS_RUNTIME_DIR to a directory of your own");
}
