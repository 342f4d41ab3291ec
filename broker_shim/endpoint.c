/* SPDX-License-Identifier: Apache-2.0 */

/* Endpoints, and care for what already lies where a socket is to be. */

#include "broker_shim/endpoint.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "access/access.h"
#include "base/cleanup.h"

#define IPC "ipc://"
#define TCP "tcp://"

static bool begins_with(const char *string, const char *beginning)
{
    return strncmp(string, beginning, strlen(beginning)) == 0;
}

/* The path of an ipc endpoint that is a file, or null: "@name" is in the abstract namespace. */
static const char *file_of(const char *endpoint)
{
    if (!access_is_ipc(endpoint))
        return NULL;
    const char *path = endpoint + strlen(IPC);
    return *path == '@' ? NULL : path;
}

int endpoint_check(const char *endpoint, struct wps_error *error)
{
    if (begins_with(endpoint, TCP) && endpoint[strlen(TCP)] != '\0')
        return 0;
    if (!access_is_ipc(endpoint))
        return wps_error_set(error, -EINVAL,
                             "endpoint %s: expected ipc://PATH or tcp://ADDRESS:PORT", endpoint);
    const char *path = endpoint + strlen(IPC);
    if (*path != '/' && *path != '@')
        return wps_error_set(error, -EINVAL, "endpoint %s: its path must be absolute", endpoint);
    if (strlen(path) > ENDPOINT_PATH_MAX)
        return wps_error_set(error, -ENAMETOOLONG,
                             "endpoint %s: its path has %zu bytes, sockets allow %d: choose a "
                             "shorter one (WPS_RUNTIME_DIR sets the directory)",
                             endpoint, strlen(path), ENDPOINT_PATH_MAX);
    return 0;
}

/* 0 where nobody listens on the socket file, so that it may be replaced. */
static int ask_who_listens(const char *path, struct wps_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1); /* its length was checked */
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return wps_error_system(error, -errno, "making a socket to look at %s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 && errno == ECONNREFUSED)
        return 0;
    return wps_error_set(error, -EADDRINUSE,
                         "%s: another process serves this socket: stop it, or choose another path",
                         path);
}

static int make_way(const char *path, struct wps_error *error)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : wps_error_system(error, -errno, "looking at %s", path);
    if (!S_ISSOCK(status.st_mode))
        return wps_error_set(error, -EEXIST,
                             "%s: there is something that is no socket: remove it, or choose "
                             "another path",
                             path);
    return ask_who_listens(path, error);
}

int endpoint_bind(zsock_t *socket, const char *endpoint, mode_t mode, char **ret_bound,
                  struct wps_error *error)
{
    int result = endpoint_check(endpoint, error);
    if (result < 0)
        return result;
    const char *path = file_of(endpoint);
    if (path && (result = make_way(path, error)) < 0)
        return result;
    if (zmq_bind(zsock_resolve(socket), endpoint) < 0)
        return wps_error_set(error, errno < ZMQ_HAUSNUMERO ? -errno : -EINVAL,
                             "listening on %s: %s", endpoint, zmq_strerror(errno));
    if (path && chmod(path, mode) < 0)
        return wps_error_system(error, -errno, "setting the mode of %s", path);
    char *bound = zsock_last_endpoint(socket);
    if (!bound)
        return wps_error_set(error, -ENOMEM, "listening on %s: no memory", endpoint);
    *ret_bound = bound;
    return 0;
}

int endpoint_renew(zsock_t *socket, const char *endpoint, mode_t mode, struct wps_error *error)
{
    const char *path = file_of(endpoint);
    struct stat status;
    if (!path || lstat(path, &status) == 0)
        return 0;
    _cleanup_free_ char *bound = NULL;
    int result = endpoint_bind(socket, endpoint, mode, &bound, error);
    return result < 0 ? result : 1;
}

void endpoint_unlink(const char *endpoint)
{
    const char *path = endpoint ? file_of(endpoint) : NULL;
    if (path)
        unlink(path);
}
