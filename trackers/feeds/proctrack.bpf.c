/* SPDX-License-Identifier: MIT OR GPL-2.0-only */

/*
 * The part of the bpf feed that runs in the kernel: births, program changes, ends and moves of the
 * processes below one cgroup, filtered here so that all others cost a few loads.
 *
 * A process is tracked where its cgroup v2 ancestor at the root's level is the root. The level of
 * the root is found at the first fork below it (cgroup namespaces hide it from user space).
 *
 * The members themselves are remembered too, by the number of their process: the reader puts in
 * whom it finds, children of members are put in at their birth, and whoever ends is taken out.
 * Without a root that alone decides who is tracked. With one it tells whether somebody who moves to
 * elsewhere comes from below it, which the kernel does not say.
 *
 * While its reader dozes, to gather what comes within a millisecond, nobody is woken: it looks by
 * itself when that is over.
 */

#include "kernel_types.h"

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "bpf_record.h"

/* Set before loading. */
const volatile __u64 root_id;   /* cgroup id of the root */
const volatile bool by_lineage; /* members are remembered, rather than told by their cgroup */
const volatile __u32 ns_inum;   /* the reader's pid namespace; 0: the first one */
const volatile __u32 cpus;      /* how many there can be; 0: the pages of a program are not told */

/* Shared with the reader, who maps it. */
__s32 root_level = -1;
__s32 ns_level = -1; /* depth of that namespace: found at the first process that is in it */
__u64 lost;
bool forgetful; /* there was no room to remember a member */
bool dozing;    /* the reader looks again by itself, soon */
bool tells_rss; /* what resident_pages() finds is true here */
__u64 own_rss;  /* of the reader, in pages, as count_reader() found it */

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 8 * 1024 * 1024);
} ring SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u8);
} members SEC(".maps");

struct scratch {
    struct bpf_record record;
    char argv[BPF_ARGV];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct scratch);
} scratch SEC(".maps");

enum { SIGNAL_GROUP_EXIT = 4 };

enum { RSS_FILE = 0, RSS_ANONYMOUS = 1, RSS_SHARED = 3 }; /* pages that are in memory */

/* ---- membership ---- */

/* A function of its own, so that the compiler cannot move the way of an older kernel out of its
 * branch, where the loader would refuse it on a newer one. */
static __noinline __u64 ancestor_id(struct cgroup *cgroup, int level)
{
    level &= BPF_DEPTH - 1; /* the verifier wants it bounded */
    if (bpf_core_field_exists(cgroup->ancestors)) {
        struct cgroup *ancestor;
        if (bpf_core_read(&ancestor, sizeof ancestor, &cgroup->ancestors[level]))
            return 0;
        return BPF_CORE_READ(ancestor, kn, id);
    }
    struct cgroup___ids *old = (void *)cgroup;
    __u64 id = 0;
    bpf_core_read(&id, sizeof id, &old->ancestor_ids[level]);
    return id;
}

static __noinline void find_root_level(struct cgroup *cgroup)
{
    int depth = cgroup->level;
    for (int level = 0; level < BPF_DEPTH && level <= depth; level++) {
        if (ancestor_id(cgroup, level) == root_id) {
            root_level = level;
            return;
        }
    }
}

/* True where the cgroup is below the root. */
static __always_inline bool is_below_root(struct cgroup *cgroup)
{
    if (root_level < 0)
        find_root_level(cgroup);
    int level = root_level;
    return level >= 0 && level < cgroup->level && ancestor_id(cgroup, level) == root_id;
}

/* ---- what a record says ---- */

/* The number that a process has at this depth; 0: that is not the reader's namespace. */
static __noinline __u32 number_at(struct pid *pid, int level)
{
    struct pid_namespace *namespace;
    int number = 0;
    level &= BPF_NAMESPACES - 1; /* the verifier wants it bounded */
    if (level > (int)pid->level ||
        bpf_core_read(&namespace, sizeof namespace, &pid->numbers[level].ns) ||
        BPF_CORE_READ(namespace, ns.inum) != ns_inum)
        return 0;
    bpf_core_read(&number, sizeof number, &pid->numbers[level].nr);
    return number;
}

static __noinline __u32 number_in_namespace(struct pid *pid)
{
    if (ns_level >= 0)
        return number_at(pid, ns_level);
    for (int level = 0; level < BPF_NAMESPACES; level++) {
        __u32 number = number_at(pid, level);
        if (number) {
            ns_level = level;
            return number;
        }
    }
    return 0;
}

/* The number of a task's process in the reader's pid namespace; 0: it has none there. The helper
 * that the kernel has for this knows the current task alone, and parents and children are asked of
 * too. */
static __always_inline __u32 pid_of(struct task_struct *task)
{
    if (ns_inum == 0)
        return task->tgid;
    struct pid *pid = task->group_leader->thread_pid;
    return pid ? number_in_namespace(pid) : 0;
}

static __always_inline bool is_member(struct task_struct *task)
{
    __u32 pid = pid_of(task);
    return pid && bpf_map_lookup_elem(&members, &pid);
}

static __always_inline bool is_tracked(struct task_struct *task, struct cgroup *cgroup)
{
    return by_lineage ? is_member(task) : is_below_root(cgroup);
}

/* Without a root, where there is no room for it, what it does will not be told: that is a loss. */
static __always_inline void remember_member(struct task_struct *task)
{
    __u32 pid = pid_of(task);
    __u8 there = 1;
    if (!bpf_map_update_elem(&members, &pid, &there, 0))
        return;
    forgetful = true;
    if (by_lineage)
        __sync_fetch_and_add(&lost, 1);
}

static __always_inline void forget_member(struct task_struct *task)
{
    __u32 pid = pid_of(task);
    bpf_map_delete_elem(&members, &pid);
}

/* A child of a member is one, whoever its parent is by name: CLONE_PARENT makes siblings. */
static __always_inline bool is_born_tracked(struct task_struct *maker, struct task_struct *child,
                                            struct cgroup *cgroup)
{
    bool tracked = !by_lineage     ? is_below_root(cgroup)
                   : pid_of(child) ? is_member(maker) || is_member(child->real_parent)
                                   : false;
    if (tracked)
        remember_member(child);
    return tracked;
}

static __always_inline void put_places(struct bpf_record *record, struct cgroup *cgroup)
{
    if (by_lineage)
        return;
    for (int i = 0; i < BPF_PLACES; i++) {
        int level = root_level + 1 + i;
        record->place[i] = level <= cgroup->level ? ancestor_id(cgroup, level) : 0;
    }
}

static __noinline __u64 start_of(struct task_struct *leader)
{
    if (bpf_core_field_exists(leader->start_boottime))
        return BPF_CORE_READ(leader, start_boottime);
    struct task_struct___old_time *old = (void *)leader;
    return BPF_CORE_READ(old, real_start_time);
}

static __always_inline void put_head(struct bpf_record *record, __u32 kind,
                                     struct task_struct *leader)
{
    record->kind = kind;
    record->pid = pid_of(leader);
    record->parent = pid_of(leader->real_parent);
    record->creator = 0;
    record->time_ns = bpf_ktime_get_boot_ns();
    record->start_ns = start_of(leader);
    record->lost = lost;
    bpf_probe_read_kernel(record->comm, sizeof record->comm, leader->comm);
}

/* ---- what a program uses ---- */

/* Numbers that the verifier holds for addresses can be reckoned with no further. */
static __always_inline __u64 address_of(const void *place)
{
    __u64 address = 0;
    bpf_probe_read_kernel(&address, sizeof address, &place);
    return address;
}

/* Where the kernel says that the counters of a program's pages are. */
struct counters {
    __u64 file, anonymous, shared;
};

static __always_inline __s64 pages_at(__u64 counter)
{
    __s32 pages = 0;
    bpf_probe_read_kernel(&pages, sizeof pages, (void *)counter);
    return pages;
}

/* Such counters are memory that each processor has of its own, and where that begins is in no
 * symbol that every kernel shows. But it is as far from the address that the kernel has for it as
 * what we have of it, the scratch map, is from its own, `name`. */
static __noinline __s64 pages_on(__u32 cpu, __u64 name, const struct counters *counters)
{
    __u32 zero = 0;
    void *here = bpf_map_lookup_percpu_elem(&scratch, &zero, cpu);
    if (!here)
        return 0;
    __u64 distance = address_of(here) - name;
    return pages_at(counters->file + distance) + pages_at(counters->anonymous + distance) +
           pages_at(counters->shared + distance);
}

/* What of a program is in memory: right behind an exec nearly all of it is in the counters of the
 * processors. 0: not known. */
static __noinline __u64 resident_pages(struct mm_struct *mm)
{
    struct bpf_array *array = (struct bpf_array *)address_of(&scratch);
    if (cpus == 0 || cpus > BPF_CPUS || !bpf_core_field_exists(array->pptrs) ||
        !bpf_core_field_exists(mm->rss_stat[0].counters) ||
        !bpf_core_field_exists(mm->rss_stat[0].count) ||
        !bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_map_lookup_percpu_elem))
        return 0;
    __u64 name = 0;
    bpf_core_read(&name, sizeof name, &array->pptrs[0]);
    struct counters counters = {
        .file = (__u64)BPF_CORE_READ(mm, rss_stat[RSS_FILE].counters),
        .anonymous = (__u64)BPF_CORE_READ(mm, rss_stat[RSS_ANONYMOUS].counters),
        .shared = (__u64)BPF_CORE_READ(mm, rss_stat[RSS_SHARED].counters),
    };
    __s64 pages = BPF_CORE_READ(mm, rss_stat[RSS_FILE].count) +
                  BPF_CORE_READ(mm, rss_stat[RSS_ANONYMOUS].count) +
                  BPF_CORE_READ(mm, rss_stat[RSS_SHARED].count);
    for (__u32 cpu = 0; cpu < cpus && cpu < BPF_CPUS; cpu++)
        pages += pages_on(cpu, name, &counters);
    return pages > 0 ? pages : 0;
}

/* Run by the reader, who compares it with what the kernel tells of it elsewhere. */
SEC("syscall")
int count_reader(void *context)
{
    struct mm_struct *mm = bpf_get_current_task_btf()->mm;
    own_rss = mm ? resident_pages(mm) : 0;
    return 0;
}

/* ---- telling ---- */

/* A record that nobody reads, since the ring wakes for a record only. Where there is no room for it
 * the ring is full, and its reader, which is about to look, finds what filled it. */
static __noinline void wake(void)
{
    void *record = bpf_ringbuf_reserve(&ring, sizeof(__u64), 0);
    if (record)
        bpf_ringbuf_discard(record, BPF_RB_FORCE_WAKEUP);
}

/* The reader that stops dozing clears the mark first and looks into the ring then; here the record
 * is put in first and the mark looked at then. So one of both sees what the other did. */
static __always_inline void send(struct bpf_record *record, __u64 size)
{
    volatile bool *mark = &dozing;
    bool quietly = *mark;
    if (bpf_ringbuf_output(&ring, record, size, quietly ? BPF_RB_NO_WAKEUP : 0))
        __sync_fetch_and_add(&lost, 1);
    else if (quietly && !*mark)
        wake();
}

/* ---- births, programs, ends, moves ---- */

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
    if (child->pid != child->tgid)
        return 0;
    struct cgroup *cgroup = child->cgroups->dfl_cgrp;
    if (!is_born_tracked(parent, child, cgroup))
        return 0;
    struct bpf_record record = {};
    put_head(&record, BPF_RECORD_FORK, child);
    record.creator = pid_of(parent);
    put_places(&record, cgroup);
    send(&record, sizeof record);
    return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
    struct cgroup *cgroup = task->cgroups->dfl_cgrp;
    if (!is_tracked(task, cgroup))
        return 0;
    __u32 zero = 0;
    struct scratch *buffer = bpf_map_lookup_elem(&scratch, &zero);
    if (!buffer)
        return 0;
    struct bpf_record *record = &buffer->record;
    put_head(record, BPF_RECORD_EXEC, task);
    put_places(record, cgroup);

    struct mm_struct *mm = task->mm;
    if (!mm)
        return 0;
    unsigned long begin = mm->arg_start;
    unsigned long size = mm->arg_end - begin;
    record->exec.argv_size = size;
    record->exec.rss_pages = tells_rss ? resident_pages(mm) : 0;
    __u64 told = size < BPF_ARGV ? size : BPF_ARGV;
    if (told > BPF_ARGV) /* for the verifier */
        told = BPF_ARGV;
    if (bpf_probe_read_user(buffer->argv, told, (void *)begin))
        told = 0;
    record->exec.argv_told = told;
    send(record, sizeof *record + told);
    return 0;
}

/* Of all threads of a process the last one to end sees nobody live; where two end at once both may,
 * and the reader takes the first. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    if (task->signal->live.counter != 0)
        return 0;
    struct cgroup *cgroup = task->cgroups->dfl_cgrp;
    if (!is_tracked(task, cgroup))
        return 0;
    forget_member(task);
    struct task_struct *leader = task->group_leader;
    struct signal_struct *signal = task->signal;
    struct bpf_record record = {};
    put_head(&record, BPF_RECORD_EXIT, leader);
    put_places(&record, cgroup);
    record.exit.status =
        signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : leader->exit_code;
    record.exit.cpu_ns = signal->sum_sched_runtime + task->se.sum_exec_runtime;
    if (leader != task)
        record.exit.cpu_ns += leader->se.sum_exec_runtime;
    record.exit.max_rss_pages = signal->maxrss;
    send(&record, sizeof record);
    return 0;
}

/* Moves of whole processes in the unified hierarchy, into the root's tree, within it and out of it.
 * Where it is not known for certain who comes out of it all are told, and the reader sorts it out.
 */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_move, struct cgroup *target, const char *path, struct task_struct *task,
             bool whole_process)
{
    if (!whole_process || target->root->hierarchy_id != 0)
        return 0;
    /* The kernel lets the dead be moved too: their end was told of before, or nobody's. */
    if (task->signal->live.counter == 0)
        return 0;
    bool comes = is_below_root(target);
    if (comes)
        remember_member(task);
    else if (!is_member(task) && !forgetful)
        return 0;
    else
        forget_member(task);
    __u32 zero = 0;
    struct scratch *buffer = bpf_map_lookup_elem(&scratch, &zero);
    if (!buffer)
        return 0;
    struct bpf_record *record = &buffer->record;
    put_head(record, BPF_RECORD_MOVE, task->group_leader);
    if (comes)
        put_places(record, target);
    else
        __builtin_memset(record->place, 0, sizeof record->place);
    long told = bpf_probe_read_kernel_str(buffer->argv, BPF_PATH, path);
    if (told < 0)
        told = 0;
    if (told > BPF_PATH) /* for the verifier */
        told = BPF_PATH;
    send(record, sizeof *record + told);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
