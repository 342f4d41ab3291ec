/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TRACKERS_FEEDS_BPF_RECORD_H
#define TRACKERS_FEEDS_BPF_RECORD_H

/* The records in the ring buffer between proctrack.bpf.c and bpf.c. Included by both: plain types
 * only. */

enum bpf_record_kind {
    BPF_RECORD_FORK = 1,
    BPF_RECORD_EXEC = 2,
    BPF_RECORD_EXIT = 3,
    BPF_RECORD_MOVE = 4,
};

enum {
    BPF_PLACES = 4,
    BPF_COMM = 16,
    BPF_ARGV = 4096,     /* bytes of argv that are told; a power of two */
    BPF_PATH = 512,      /* bytes of a cgroup's path that are told */
    BPF_DEPTH = 32,      /* cgroup levels that are looked at; a power of two */
    BPF_NAMESPACES = 32, /* the kernel nests pid namespaces as deep; a power of two */
    BPF_CPUS = 64,       /* processors whose counters are looked at; where there are more, none */
};

struct bpf_record {
    __u32 kind;
    __u32 pid;
    __u32 parent;
    __u32 creator;
    __u64 time_ns;
    __u64 start_ns;
    __u64 place[BPF_PLACES];
    __u64 lost; /* records lost so far, over all processors */
    char comm[BPF_COMM];
    union {
        struct {
            __u64 cpu_ns;
            __u64 max_rss_pages;
            __s32 status;
            __u32 unused;
        } exit;
        struct {
            __u32 argv_size; /* of the process; what is told is at most BPF_ARGV of it */
            __u32 argv_told; /* bytes behind this record; 0 with argv_size: could not be read */
            __u64 rss_pages; /* 0: not known */
        } exec;
    };
    /* argv follows, for BPF_RECORD_EXEC; the cgroup's path and its NUL, for BPF_RECORD_MOVE */
};

#endif
