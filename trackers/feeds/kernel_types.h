/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TRACKERS_FEEDS_KERNEL_TYPES_H
#define TRACKERS_FEEDS_KERNEL_TYPES_H

/* The few fields of kernel structures that proctrack.bpf.c reads. libbpf finds their places in the
 * running kernel by its BTF (CO-RE), so only names and types stand here, not offsets. Names with
 * three underscores are older or newer shapes of the same structure; what is behind the underscores
 * does not count when it is looked up. */

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

enum { false = 0, true = 1 };

/* linux/bpf.h is not included: it would pull in the headers of the machine that builds. */
enum bpf_map_type_used {
    BPF_MAP_TYPE_HASH = 1,
    BPF_MAP_TYPE_ARRAY = 2,
    BPF_MAP_TYPE_PERCPU_ARRAY = 6,
    BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_F_NO_PREALLOC = 1 };
enum bpf_func_id { BPF_FUNC_map_lookup_percpu_elem = 195 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
    __u64 id;
};

struct cgroup_root {
    int hierarchy_id;
};

struct cgroup {
    struct kernfs_node *kn;
    struct cgroup_root *root;
    int level;
    struct cgroup *ancestors[];
};

/* Before Linux 6.1: ids in place of pointers. */
struct cgroup___ids {
    __u64 ancestor_ids[1];
};

struct css_set {
    struct cgroup *dfl_cgrp;
};

struct ns_common {
    unsigned int inum;
};

struct pid_namespace {
    struct ns_common ns;
};

struct upid {
    int nr;
    struct pid_namespace *ns;
};

struct pid {
    unsigned int level;
    struct upid numbers[];
};

/* What is in `counters` is not in `count` yet. */
struct percpu_counter {
    __s64 count;
    __s32 *counters; /* to be looked for on each processor */
};

struct mm_struct {
    unsigned long arg_start;
    unsigned long arg_end;
    struct percpu_counter rss_stat[4]; /* in pages; another shape before Linux 6.2 */
};

typedef struct {
    int counter;
} atomic_t;

struct sched_entity {
    __u64 sum_exec_runtime;
};

struct signal_struct {
    atomic_t live;
    unsigned int flags;
    int group_exit_code;
    unsigned long long sum_sched_runtime;
    unsigned long maxrss;
};

struct task_struct {
    int pid;
    int tgid;
    int exit_code;
    __u64 start_boottime;
    struct task_struct *real_parent;
    struct task_struct *group_leader;
    struct css_set *cgroups;
    struct signal_struct *signal;
    struct mm_struct *mm;
    struct sched_entity se;
    struct pid *thread_pid;
    char comm[16];
};

/* Before Linux 5.5. */
struct task_struct___old_time {
    __u64 real_start_time;
};

struct linux_binprm;

/* The map of scratch memory as the kernel has it. */
struct bpf_array {
    void *pptrs[1];
};

#pragma clang attribute pop

#endif
