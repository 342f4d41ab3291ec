/* SPDX-License-Identifier: MIT OR GPL-2.0-only */

/*
 * When the kernel saw an exec or an exit below one cgroup, noted in a table that is read at the
 * end: nothing is woken. Two ways, of which the loader takes one: where the tracepoints of the bpf
 * feed are, and where the process connector takes its own time.
 */

#include "trackers/feeds/kernel_types.h"

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_tracing.h>

#include "bench/programs/stamp.h"

/* Of linux/bpf.h, besides what kernel_types.h has of it. */
enum { BPF_MAP_TYPE_CGROUP_ARRAY = 8, BPF_F_MMAPABLE = 1 << 10 };

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, BENCH_STAMPS);
    __type(key, __u32);
    __type(value, struct stamp);
} stamps SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} root SEC(".maps");

__u64 n_stamps;

static __always_inline int note(__u32 kind)
{
    __u64 now = bpf_ktime_get_boot_ns();
    __u64 id = bpf_get_current_pid_tgid();
    if ((__u32)id != id >> 32 || bpf_current_task_under_cgroup(&root, 0) != 1)
        return 0;
    __u32 at = __sync_fetch_and_add(&n_stamps, 1);
    struct stamp *stamp = bpf_map_lookup_elem(&stamps, &at);
    if (stamp)
        *stamp = (struct stamp){now, (__u32)id, kind};
    return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec)
{
    return note(1);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit)
{
    return note(2);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
