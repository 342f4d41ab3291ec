/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Notes when the kernel saw each exec and exit, at next to no cost to what is measured:
 *
 *     bench_stamps bpf CGROUP-DIR FILE       by tracepoints, below that cgroup
 *     bench_stamps netlink CGROUP-DIR FILE   by the process connector's own time, of all processes
 *
 * Each takes the time where the feed of that name does: for an exit the two are far apart. It says
 * `ready`, and at the end of its stdin writes the file: time, pid, kind. The connector's messages
 * wait in a large buffer until then: nobody is woken for them.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/programs/bench.h"
#include "bench/programs/stamp.h"
#include "bench/stamps.skel.h"
#include "trackers/feed.h"

enum { CONNECTOR_KIB = 512 * 1024 };

/* ---- by tracepoints ---- */

static void set_root(struct stamps_bpf *object, const char *directory)
{
    __u32 zero = 0;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || bpf_map_update_elem(bpf_map__fd(object->maps.root), &zero, &fd, BPF_ANY) < 0)
        bench_fail(directory);
}

static void write_stamps(const struct stamps_bpf *object, const struct stamp *table,
                         const char *path)
{
    __u64 n = object->bss->n_stamps;
    struct bench_bytes bytes = {0};
    if (n > BENCH_STAMPS)
        fprintf(stderr, "%llu stamps had no room\n", (unsigned long long)(n - BENCH_STAMPS));
    bench_append(&bytes, table, (n < BENCH_STAMPS ? n : BENCH_STAMPS) * sizeof *table);
    bench_write(&bytes, path);
}

static void by_tracepoints(const char *directory, const char *path)
{
    struct stamps_bpf *object = stamps_bpf__open_and_load();
    if (!object)
        bench_fail("loading the BPF programs");
    const struct stamp *table = mmap(NULL, BENCH_STAMPS * sizeof *table, PROT_READ, MAP_SHARED,
                                     bpf_map__fd(object->maps.stamps), 0);
    if (table == MAP_FAILED)
        bench_fail("mapping the table");
    set_root(object, directory);
    if (stamps_bpf__attach(object) < 0)
        bench_fail("attaching the BPF programs");
    bench_say("ready");
    while (bench_wait_line())
        ;
    write_stamps(object, table, path);
    stamps_bpf__destroy(object);
}

/* ---- by the connector ---- */

static void on_event(void *context, const struct feed_event *event)
{
    struct bench_bytes *bytes = context;
    bool exits = event->kind == FEED_THREAD_EXIT && event->tid == event->pid;
    if (!exits && event->kind != FEED_EXEC)
        return;
    struct stamp stamp = {event->time_ns, event->pid, exits ? BENCH_EXIT : BENCH_EXEC};
    bench_append(bytes, &stamp, sizeof stamp);
}

static void by_connector(const char *path)
{
    struct feed *feed;
    struct wps_error error;
    struct bench_bytes bytes = {0};
    struct feed_options options = {.root_fd = -1, .ring_kib = CONNECTOR_KIB};
    if (feed_open("netlink", &options, &feed, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        _exit(1);
    }
    bench_say("ready");
    while (bench_wait_line())
        ;
    while (feed_drain(feed, 4096, on_event, &bytes) > 0)
        ;
    if (feed_lost(feed) > 0)
        fprintf(stderr, "%llu stamps were lost\n", (unsigned long long)feed_lost(feed));
    bench_write(&bytes, path);
    feed_close(&feed);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s bpf|netlink CGROUP-DIR FILE\n", argv[0]);
        return 2;
    }
    if (strcmp(argv[1], "netlink") == 0)
        by_connector(argv[3]);
    else
        by_tracepoints(argv[2], argv[3]);
    return 0;
}
