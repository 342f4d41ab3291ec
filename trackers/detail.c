/* SPDX-License-Identifier: Apache-2.0 */

/* Reading the detail of a process. */

#include "trackers/detail.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { PATH_ROOM = 64, THREADS_LOOKED_AT = 256 };

static void path_of(char path[static PATH_ROOM], uint32_t pid, const char *file)
{
    snprintf(path, PATH_ROOM, "/proc/%" PRIu32 "/%s", pid, file);
}

/* ---- who ---- */

/* A leader that left has no files any more, while the threads that live on have. 0: none lives. */
static uint32_t find_living_thread(uint32_t pid, char *ret_state)
{
    _cleanup_closedir_ DIR *threads = proc_threads(pid);
    uint32_t tid;
    for (int i = 0; i < THREADS_LOOKED_AT && (tid = proc_next_thread(threads)); i++) {
        struct proc_stat stat;
        if (proc_stat_read(&stat, tid) == 0 && stat.state != 'Z' && stat.state != 'X') {
            *ret_state = stat.state;
            return tid;
        }
    }
    return 0;
}

static int take_stat(struct detail *detail, const struct proc_stat *stat)
{
    if (proc_has_ended(stat))
        return -ESRCH;
    detail->start_ticks = stat->start_ticks;
    detail->state = stat->state;
    detail->threads = stat->threads;
    detail->cpu_ms = stat->cpu_ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
    detail->rss_bytes = stat->rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    detail->alive_as = detail->pid;
    if (stat->state == 'Z')
        detail->alive_as = find_living_thread(detail->pid, &detail->state);
    return detail->alive_as ? 0 : -ESRCH;
}

/* True where the pid still is the process that was read. */
static bool is_same(const struct detail *detail)
{
    struct proc_stat stat;
    return proc_stat_read(&stat, detail->pid) == 0 && stat.start_ticks == detail->start_ticks;
}

/* ---- links ---- */

/* Null where it cannot be read. */
static char *read_link(uint32_t pid, const char *file)
{
    char path[PATH_ROOM], target[PATH_MAX];
    path_of(path, pid, file);
    ssize_t size = readlink(path, target, sizeof target);
    return size <= 0 ? NULL : strndup(target, (size_t)size);
}

/* ---- ports ---- */

static int by_port(const void *a, const void *b)
{
    const struct detail_port *x = a, *y = b;
    if (x->port != y->port)
        return x->port < y->port ? -1 : 1;
    if (x->family != y->family)
        return x->family == AF_INET ? -1 : 1;
    return strcmp(x->address, y->address);
}

/* Sockets that share a port (SO_REUSEPORT), and descriptors of one socket, are one port. */
static void sort_ports(struct detail *detail)
{
    size_t n = 0;
    if (detail->n_ports)
        qsort(detail->ports, detail->n_ports, sizeof *detail->ports, by_port);
    for (size_t i = 0; i < detail->n_ports; i++)
        if (n == 0 || by_port(&detail->ports[n - 1], &detail->ports[i]) != 0)
            detail->ports[n++] = detail->ports[i];
    detail->n_ports = n;
}

static int add_port(struct detail *detail, const struct listener *listener)
{
    enum { STEP = 16 };
    if (detail->n_ports >= DETAIL_PORTS_MAX)
        return 0;
    if (detail->n_ports % STEP == 0) {
        struct detail_port *ports =
            realloc(detail->ports, (detail->n_ports + STEP) * sizeof *ports);
        if (!ports)
            return -ENOMEM;
        detail->ports = ports;
    }
    struct detail_port *port = &detail->ports[detail->n_ports++];
    port->port = listener->port;
    port->family = listener->family;
    inet_ntop(listener->family, listener->address, port->address, sizeof port->address);
    return 0;
}

/* The number in "socket:[4711]"; 0: it is something else. */
static uint32_t socket_inode(int directory, const char *name)
{
    static const char begin[] = "socket:[";
    char target[64];
    ssize_t size = readlinkat(directory, name, target, sizeof target - 1);
    if (size < 0)
        return 0;
    target[size] = '\0';
    if (strncmp(target, begin, sizeof begin - 1) != 0)
        return 0;
    return (uint32_t)strtoul(target + sizeof begin - 1, NULL, 10);
}

/* Its sockets among those that listen. -EACCES: we may not see its descriptors. */
static int match_sockets(struct detail *detail, const struct ports *ports)
{
    char path[PATH_ROOM];
    path_of(path, detail->alive_as, "fd");
    _cleanup_closedir_ DIR *directory = opendir(path);
    if (!directory)
        return -errno;
    struct dirent *entry;
    for (int i = 0; i < DETAIL_FDS_MAX && (entry = readdir(directory)); i++) {
        size_t n;
        uint32_t inode = isdigit((unsigned char)entry->d_name[0])
                             ? socket_inode(dirfd(directory), entry->d_name)
                             : 0;
        const struct listener *listener = inode ? ports_find(ports, inode, &n) : NULL;
        for (size_t k = 0; listener && k < n; k++)
            if (add_port(detail, &listener[k]) < 0)
                return -ENOMEM;
    }
    return 0;
}

/* Sockets of the network namespace that the process is in, where that is not ours. */
static int match_elsewhere(struct detail *detail, const struct ports *ours)
{
    struct stat netns;
    char path[PATH_ROOM];
    path_of(path, detail->alive_as, "ns/net");
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &netns) < 0)
        return -errno;
    if (netns.st_ino == ours->netns_ino && netns.st_dev == ours->netns_dev)
        return 0;
    struct ports ports cleanup(ports_clear) = {0};
    int r = ports_read_in(&ports, fd);
    return r < 0 ? r : match_sockets(detail, &ports);
}

static int read_ports(struct detail *detail, const struct ports *ports)
{
    int r = match_sockets(detail, ports);
    r = r < 0 ? r : match_elsewhere(detail, ports);
    if (r == 0)
        sort_ports(detail);
    detail->has_ports = r == 0;
    return r == -ENOMEM ? r : 0;
}

/* ---- both parts ---- */

int detail_read(struct detail *ret, uint32_t pid, const struct ports *ports)
{
    struct proc_stat stat;
    struct detail detail = {.pid = pid};
    int r = proc_stat_read(&stat, pid);
    r = r < 0 ? r : take_stat(&detail, &stat);
    if (r < 0)
        return r;
    detail.exe = read_link(detail.alive_as, "exe");
    detail.cwd = read_link(detail.alive_as, "cwd");
    detail.has_uid = proc_uid_read(&detail.uid, pid) == 0;
    r = ports ? read_ports(&detail, ports) : 0;
    if (r == 0 && !is_same(&detail))
        r = -ESRCH;
    if (r < 0) {
        detail_clear(&detail);
        return r;
    }
    *ret = detail;
    return 0;
}

int detail_read_argv(struct detail *detail, size_t max)
{
    _cleanup_free_ char *argv = malloc(max);
    bool cut = false;
    if (!argv)
        return -ENOMEM;
    ssize_t size = detail->exe /* what has no program never has an argv */
                       ? proc_argv_read_patiently(argv, max, detail->alive_as, &cut)
                       : proc_argv_read(argv, max, detail->alive_as, &cut);
    if (size < 0)
        return (int)size;
    if (!is_same(detail))
        return -ESRCH;
    char *fit = size ? realloc(argv, (size_t)size) : NULL;
    if (fit)
        argv = fit;
    detail->argv = (struct text){size ? take_ptr(argv) : NULL, (size_t)size};
    detail->argv_cut = cut;
    detail->has_argv = true;
    return 0;
}

void detail_clear(struct detail *detail)
{
    free(detail->exe);
    free(detail->cwd);
    free(detail->ports);
    free((char *)detail->argv.at);
    *detail = (struct detail){0};
}
