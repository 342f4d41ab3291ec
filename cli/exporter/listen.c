/* SPDX-License-Identifier: Apache-2.0 */

/* Addresses. */

#include "cli/exporter/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/cleanup.h"

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *ip = (const struct sockaddr_in *)address;
        return ntohl(ip->sin_addr.s_addr) >> 24 == 127;
    }
    const struct in6_addr *ip = &((const struct sockaddr_in6 *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(ip) || (IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == 127);
}

/* Parts "[HOST]:PORT" or "HOST:PORT", in place. False: it is neither. */
static bool split(char *text, const char **ret_host, const char **ret_port)
{
    char *colon = strrchr(text, ':');
    bool brackets = *text == '[';
    if (!colon || colon == text || !colon[1] || (brackets && colon[-1] != ']') ||
        (!brackets && strchr(text, ':') != colon) || strspn(colon + 1, "0123456789") > 5 ||
        colon[1 + strspn(colon + 1, "0123456789")] || atoi(colon + 1) > 65535)
        return false;
    *colon = '\0';
    if (brackets)
        colon[-1] = '\0';
    *ret_host = text + brackets;
    *ret_port = colon + 1;
    return true;
}

/* Null where it fails. */
static int resolve(struct addrinfo **ret, const char *address, struct wps_error *error)
{
    static const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                          .ai_socktype = SOCK_STREAM};
    _cleanup_free_ char *copy = strdup(address);
    const char *host, *port;
    *ret = NULL;
    if (!copy)
        return wps_error_system(error, -ENOMEM, "cannot listen");
    if (!split(copy, &host, &port) || getaddrinfo(host, port, &hints, ret) != 0)
        return wps_error_set(error, -EINVAL,
                             "--listen: expected ADDRESS:PORT in numbers, such as 127.0.0.1:19770 "
                             "or [::1]:19770, got '%s'",
                             address);
    return 0;
}

/* As it is bound, with the port that it got. */
static int read_url(struct listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[48], port[8];
    if (getsockname(listener->fd, (struct sockaddr *)&address, &size) < 0 ||
        getnameinfo((const struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -EADDRNOTAVAIL;
    snprintf(listener->url, sizeof listener->url,
             address.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host, port);
    return 0;
}

static int bind_and_listen(const struct listener *listener, const struct addrinfo *at)
{
    const int yes = 1;
    if (listener->fd < 0 ||
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
        bind(listener->fd, at->ai_addr, at->ai_addrlen) < 0 || listen(listener->fd, 32) < 0)
        return -errno;
    return 0;
}

static int open_at(struct listener *ret, const struct addrinfo *at, const char *address,
                   struct wps_error *error)
{
    struct listener listener = {.loopback = is_loopback(at->ai_addr)};
    _cleanup_close_ int fd =
        socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    listener.fd = fd;
    int result = bind_and_listen(&listener, at);
    if (result == 0)
        result = read_url(&listener);
    if (result < 0)
        return wps_error_system(error, result, "cannot listen on %s", address);
    take_fd(&fd);
    *ret = listener;
    return 0;
}

int listen_open(struct listener *ret, const char *address, bool allow_remote,
                struct wps_error *error)
{
    struct addrinfo *at;
    int result = resolve(&at, address, error);
    if (!at)
        return result;
    if (!allow_remote && !is_loopback(at->ai_addr))
        result = wps_error_set(error, -EPERM,
                               "--listen: %s is not of this machine alone, and whoever reaches it "
                               "could read; --allow-remote says that they may",
                               address);
    else
        result = open_at(ret, at, address, error);
    freeaddrinfo(at);
    return result;
}

bool listen_host_is_loopback(const char *host)
{
    char name[INET6_ADDRSTRLEN];
    struct in_addr ip;
    bool brackets = *host == '[';
    size_t size = strcspn(host, brackets ? "]" : ":");
    const char *behind = host + size + (brackets && host[size]);
    if ((brackets && !host[size]) || (*behind && *behind != ':') || size >= sizeof name ||
        size <= (size_t)brackets)
        return false;
    memcpy(name, host + brackets, size - brackets);
    name[size - brackets] = '\0';
    if (brackets)
        return strcmp(name, "::1") == 0;
    return strcasecmp(name, "localhost") == 0 ||
           (inet_pton(AF_INET, name, &ip) == 1 && ntohl(ip.s_addr) >> 24 == 127);
}
