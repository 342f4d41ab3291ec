/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Says what a feed really says: `feed_trace FEED CGROUP-ROOT CMD ARGS...` opens the feed on a fresh
 * cgroup below CGROUP-ROOT, runs the command in it, and prints each event as one line until the
 * command's tree is gone. The traces in tests/traces were recorded with it.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trackers/feed.h"
#include "trackers/procfs.h"

static const char *const kinds[] = {
    [FEED_FORK] = "fork", [FEED_THREAD] = "thread", [FEED_EXEC] = "exec",
    [FEED_THREAD_EXIT] = "thread-exit", [FEED_EXIT] = "exit", [FEED_MOVE] = "move",
    [FEED_SCAN_DUE] = "scan-due",
};

static uint64_t begin_ns;

static void print_argv(struct text argv)
{
    printf(" argv=\"");
    for (size_t i = 0; i < argv.size && i < 60; i++)
        putchar(argv.at[i] >= ' ' && argv.at[i] < 127 ? argv.at[i] : argv.at[i] ? '?' : ' ');
    putchar('"');
}

static void print_event(void *context, const struct feed_event *event)
{
    (void)context;
    printf("%-11s t=%" PRIu64 "us pid=%u", kinds[event->kind], (event->time_ns - begin_ns) / 1000,
           event->pid);
    if (event->tid)
        printf(" tid=%u", event->tid);
    if (event->parent)
        printf(" parent=%u", event->parent);
    if (event->creator)
        printf(" creator=%u", event->creator);
    if (event->has_place) {
        printf(" place=");
        for (int i = 0; i < FEED_PLACES && event->place[i]; i++)
            printf("/%" PRIu64, event->place[i]);
    }
    if (event->comm.size)
        printf(" comm=%.*s", (int)event->comm.size, event->comm.at);
    if (event->has_argv)
        print_argv(event->argv);
    if (event->path.size)
        printf(" path=%.*s", (int)event->path.size, event->path.at);
    if (event->has_status)
        printf(" status=%#x", (unsigned)event->status);
    if (event->cpu_ns)
        printf(" cpu=%" PRIu64 "us maxrss=%" PRIu64, event->cpu_ns / 1000, event->max_rss_bytes);
    putchar('\n');
}

/* In the child: into the cgroup, then the command. */
_Noreturn static void run(int root, char **argv)
{
    int procs = openat(root, "block/main/cgroup.procs", O_WRONLY);
    if (procs < 0 || write(procs, "0", 1) != 1) {
        perror("cgroup.procs");
        _exit(126);
    }
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

static bool is_populated(int root)
{
    char text[64] = "";
    int fd = openat(root, "block/cgroup.events", O_RDONLY);
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    return size > 0 && strstr(text, "populated 1");
}

int main(int argc, char **argv)
{
    struct wps_error error;
    struct feed *feed;
    if (argc < 4) {
        fprintf(stderr, "usage: %s FEED CGROUP-ROOT CMD ARGS...\n", argv[0]);
        return 2;
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/feed-trace-%d", argv[2], (int)getpid());
    mkdir(path, 0755);
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct feed_options options = {.root_fd = root, .poll_ms = 100};
    int r = feed_open(argv[1], &options, &feed, &error);
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], error.message);
        rmdir(path);
        return 1;
    }
    mkdirat(root, "block", 0755);
    mkdirat(root, "block/main", 0755);
    begin_ns = boottime_ns();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        run(root, argv + 3);
    printf("# %s: %s is pid %d\n", argv[1], argv[3], (int)child);
    bool reaped = false;
    for (int rest = 5; rest > 0;) {
        struct pollfd pollfd = {.fd = feed_fd(feed), .events = POLLIN};
        poll(&pollfd, 1, 50);
        if (feed_drain(feed, 1000, print_event, NULL) < 0)
            break;
        reaped = reaped || waitpid(child, NULL, WNOHANG) == child;
        rest = reaped && !is_populated(root) ? rest - 1 : 5;
    }
    printf("# lost=%" PRIu64 " received=%" PRIu64 "\n", feed_lost(feed), feed_received(feed));
    feed_close(&feed);
    unlinkat(root, "block/main", AT_REMOVEDIR);
    unlinkat(root, "block", AT_REMOVEDIR);
    return rmdir(path) < 0;
}
