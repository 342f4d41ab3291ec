/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The bpf feed: reads the ring buffer that proctrack.bpf.c fills. The program filters by the cgroup
 * that it is given as root, or, without one, by the processes that it is told to watch and their
 * descendants. Losses are counted in the kernel, in memory that is mapped here: a record is lost
 * only where the ring is full, that is, while there is something to read, so asking behind a drain
 * misses none.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/feeds/bpf_parse.h"
#include "trackers/feeds/bpf_record.h"
#include "trackers/feeds/feed_impl.h"
#include "trackers/feeds/proctrack.skel.h"
#include "trackers/procfs.h"

enum {
    RING_KIB_DEFAULT = 8 * 1024,
    RING_KIB_MAX = 1024 * 1024,
    WATCHED_DEFAULT = 65536,
    LINKS = 4, /* on_fork, on_exec, on_exit, on_move */
    RSS_TRIES = 3,
    RSS_SLACK = 16, /* pages */
};

struct bpf_feed {
    struct feed feed;
    struct proctrack_bpf *object;
    struct ring_buffer *ring;
    uint64_t page_size;
    bool by_lineage;       /* no root: what it is told to watch */
    bool cut;              /* a program is not attached any more */
    uint32_t links[LINKS]; /* their ids, in the order of the programs; 0: it has none */
    struct proc_clock clock;
    /* of the drain that runs */
    feed_sink *sink;
    void *context;
    unsigned left;
};

/* ---- reading the ring ---- */

static int on_record(void *context, void *data, size_t size)
{
    struct bpf_feed *bpf = context;
    struct feed_event event;
    bpf->feed.received++;
    /* Before the event that is the first behind a loss is handed over, the loss is known. */
    if (size >= sizeof(struct bpf_record) && ((struct bpf_record *)data)->lost > bpf->feed.lost)
        bpf->feed.lost = ((struct bpf_record *)data)->lost;
    if (bpf_parse(&event, data, size, bpf->page_size, !bpf->by_lineage))
        bpf->sink(bpf->context, &event);
    /* A negative answer stops libbpf behind this record. */
    return --bpf->left > 0 ? 0 : -ECANCELED;
}

static int bpf_drain(struct feed *feed, unsigned max, feed_sink *sink, void *context)
{
    struct bpf_feed *bpf = (struct bpf_feed *)feed;
    uint64_t before = feed->received;
    bpf->sink = sink;
    bpf->context = context;
    bpf->left = max;
    int r = ring_buffer__consume(bpf->ring);
    uint64_t lost = __atomic_load_n(&bpf->object->bss->lost, __ATOMIC_RELAXED);
    if (bpf->left > 0 && lost > feed->lost) /* emptied: nothing that tells of it will come */
        feed->lost = lost;
    if (r < 0 && r != -ECANCELED)
        return r;
    return bpf->cut && bpf->left > 0 ? -ENOLINK : (int)(feed->received - before);
}

/* That the mark is cleared has to be seen before the ring is looked at again (proctrack.bpf.c). */
static void bpf_doze(struct feed *feed, bool dozes)
{
    struct bpf_feed *bpf = (struct bpf_feed *)feed;
    (void)__atomic_exchange_n(&bpf->object->bss->dozing, dozes, __ATOMIC_SEQ_CST);
}

/* ---- whether it still is attached ---- */

/* 0 where there is none, or something else took its descriptor. */
static uint32_t link_id(const struct bpf_link *link)
{
    struct bpf_link_info info = {0};
    __u32 size = sizeof info;
    if (!link || bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &size) < 0)
        return 0;
    return info.id;
}

static void link_ids(const struct bpf_feed *bpf, uint32_t ids[LINKS])
{
    const struct bpf_link *links[LINKS] = {bpf->object->links.on_fork, bpf->object->links.on_exec,
                                           bpf->object->links.on_exit, bpf->object->links.on_move};
    for (int i = 0; i < LINKS; i++)
        ids[i] = link_id(links[i]);
}

/* A link lives as long as its descriptor does: whatever closes descriptors in this process that are
 * not its own ends it. */
static void bpf_check(struct feed *feed)
{
    struct bpf_feed *bpf = (struct bpf_feed *)feed;
    uint32_t ids[LINKS];
    link_ids(bpf, ids);
    bpf->cut = memcmp(ids, bpf->links, sizeof ids) != 0;
}

/* ---- what a program uses ---- */

/* In pages, as the programs reckon it; 0: they cannot. */
static uint64_t reckoned_rss(struct bpf_feed *bpf)
{
    LIBBPF_OPTS(bpf_test_run_opts, options);
    bpf->object->bss->own_rss = 0;
    if (bpf_prog_test_run_opts(bpf_program__fd(bpf->object->progs.count_reader), &options) < 0)
        return 0;
    return bpf->object->bss->own_rss;
}

/* The kernel must be able to run the one that tells of the reader (Linux 5.14). */
static void prepare_rss(struct bpf_feed *bpf, bool wanted)
{
    bool can = wanted && libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SYSCALL, NULL) == 1;
    bpf_program__set_autoload(bpf->object->progs.count_reader, can);
    bpf->object->rodata->cpus = can ? (uint32_t)MAX(libbpf_num_possible_cpus(), 0) : 0;
}

/* How the programs find the counters of a program's pages rests on what the kernel is inside: it is
 * believed where it comes out right for ourselves. Other threads may take memory meanwhile. */
static bool reckons_rss(struct bpf_feed *bpf)
{
    for (int i = 0; i < RSS_TRIES; i++) {
        uint64_t before = reckoned_rss(bpf);
        uint64_t counted = proc_rss_counted_bytes((uint32_t)getpid()) / bpf->page_size;
        uint64_t after = reckoned_rss(bpf);
        if (before && after && counted && counted + RSS_SLACK >= MIN(before, after) &&
            counted <= MAX(before, after) + RSS_SLACK)
            return true;
    }
    return false;
}

/* ---- opening ---- */

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level, (void)format, (void)args;
    return 0;
}

static unsigned ring_bytes(unsigned kib)
{
    unsigned bytes = (unsigned)sysconf(_SC_PAGESIZE);
    unsigned wanted = (kib == 0             ? RING_KIB_DEFAULT
                       : kib > RING_KIB_MAX ? RING_KIB_MAX
                                            : kib) *
                      1024;
    while (bytes < wanted)
        bytes *= 2;
    return bytes;
}

/* Moves between cgroups mean nothing then. */
static void load_by_lineage(struct bpf_feed *bpf)
{
    bpf->object->rodata->by_lineage = true;
    bpf_program__set_autoload(bpf->object->progs.on_move, false);
}

/* Opens the object and loads it as the options say. */
static int make_object(struct bpf_feed *bpf, const struct feed_options *options, uint64_t root_id,
                       bool with_rss)
{
    bpf->object = proctrack_bpf__open();
    if (!bpf->object)
        return -errno;
    bpf->object->rodata->root_id = root_id;
    bpf->object->rodata->ns_inum = proc_pid_namespace();
    if (bpf->by_lineage)
        load_by_lineage(bpf);
    prepare_rss(bpf, with_rss);
    bpf_map__set_max_entries(bpf->object->maps.members,
                             options->max_watched ? options->max_watched : WATCHED_DEFAULT);
    bpf_map__set_max_entries(bpf->object->maps.ring, ring_bytes(options->ring_kib));
    int r = proctrack_bpf__load(bpf->object);
    if (r < 0) {
        proctrack_bpf__destroy(bpf->object);
        bpf->object = NULL;
    }
    return r;
}

static int load(struct bpf_feed *bpf, const struct feed_options *options, struct wps_error *error)
{
    struct stat stat = {0};
    if (!bpf->by_lineage && fstat(options->root_fd, &stat) < 0)
        return wps_error_system(error, -errno, "cannot look at the root cgroup");
    /* kernfs: the inode number is the cgroup's id. A kernel that refuses what only saves time is
     * one for the rest all the same. */
    int r = make_object(bpf, options, stat.st_ino, true);
    r = r < 0 ? make_object(bpf, options, stat.st_ino, false) : r;
    if (r < 0)
        return wps_error_system(error, r,
                                "cannot load the BPF programs (needs root, or CAP_BPF and "
                                "CAP_PERFMON, and a kernel with BTF)");
    bpf->object->bss->tells_rss = reckons_rss(bpf);
    r = proctrack_bpf__attach(bpf->object);
    if (r < 0)
        return wps_error_system(error, r, "cannot attach the BPF programs to their tracepoints");
    bpf->ring = ring_buffer__new(bpf_map__fd(bpf->object->maps.ring), on_record, bpf, NULL);
    if (!bpf->ring)
        return wps_error_system(error, -errno, "cannot map the BPF ring buffer");
    bpf->feed.fd = ring_buffer__epoll_fd(bpf->ring);
    link_ids(bpf, bpf->links);
    return 0;
}

static void unload(struct bpf_feed *bpf)
{
    ring_buffer__free(bpf->ring);
    proctrack_bpf__destroy(bpf->object);
    bpf->ring = NULL;
    bpf->object = NULL;
}

static void bpf_close(struct feed *feed)
{
    struct bpf_feed *bpf = (struct bpf_feed *)feed;
    unload(bpf);
    free(bpf);
}

/* ---- watching -----------------------------------------------------------------------------------
 */

static int put_member(struct bpf_feed *bpf, uint32_t pid)
{
    const uint8_t there = 1;
    return bpf_map_update_elem(bpf_map__fd(bpf->object->maps.members), &pid, &there, BPF_ANY);
}

static void take_member(struct bpf_feed *bpf, uint32_t pid)
{
    bpf_map_delete_elem(bpf_map__fd(bpf->object->maps.members), &pid);
}

/* Nobody is unwatched: the kernel's part forgets who ended, and does so before the pid can be
 * another's, which could not be said of us. For the same reason it is looked only after it was put
 * in whether it lives. */
static int bpf_watch(struct feed *feed, uint32_t pid, uint64_t start_ns)
{
    struct bpf_feed *bpf = (struct bpf_feed *)feed;
    struct proc_stat stat;
    int r = put_member(bpf, pid);
    if (r < 0) {
        __atomic_store_n(&bpf->object->bss->forgetful, true, __ATOMIC_RELAXED);
        return r == -E2BIG ? -ENOSPC : r;
    }
    r = proc_stat_read(&stat, pid);
    if (r == 0 && !proc_has_ended(&stat) &&
        stat.start_ticks == proc_clock_ticks(&bpf->clock, start_ns))
        return 0;
    take_member(bpf, pid);
    return r < 0 ? r : -ESRCH;
}

static void bpf_trial(struct feed *feed, bool runs)
{
    if (runs)
        put_member((struct bpf_feed *)feed, (uint32_t)getpid());
    else
        take_member((struct bpf_feed *)feed, (uint32_t)getpid());
}

static const struct feed_class feed_bpf_by_lineage = {
    .name = "bpf",
    .traits = FEED_TELLS_BIRTHS | FEED_WATCHES,
    .close = bpf_close,
    .drain = bpf_drain,
    .check = bpf_check,
    .doze = bpf_doze,
    .watch = bpf_watch,
    .trial = bpf_trial,
};

static int bpf_open(const struct feed_options *options, struct feed **ret_feed,
                    struct wps_error *error)
{
    struct bpf_feed *bpf = calloc(1, sizeof *bpf);
    if (!bpf)
        return wps_error_set(error, -ENOMEM, "out of memory");
    bpf->by_lineage = options->root_fd < 0;
    bpf->feed.class = bpf->by_lineage ? &feed_bpf_by_lineage : &feed_bpf;
    bpf->clock = proc_clock_now();
    bpf->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    /* libbpf tells of failures on stderr, which is not ours. */
    libbpf_print_fn_t before = libbpf_set_print(silent);
    int r = load(bpf, options, error);
    libbpf_set_print(before);
    if (r < 0) {
        bpf_close(&bpf->feed);
        return r;
    }
    *ret_feed = &bpf->feed;
    return 0;
}

const struct feed_class feed_bpf = {
    .name = "bpf",
    .traits = FEED_TELLS_BIRTHS | FEED_TELLS_PLACES,
    .open = bpf_open,
    .close = bpf_close,
    .drain = bpf_drain,
    .watch = bpf_watch,
    .check = bpf_check,
    .doze = bpf_doze,
};
