/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef BENCH_PROGRAMS_STAMP_H
#define BENCH_PROGRAMS_STAMP_H

/* The table between stamps.bpf.c and stamps.c. Plain types only. */

enum { BENCH_STAMPS = 1 << 20 };

struct stamp {
    __u64 time_ns; /* CLOCK_BOOTTIME */
    __u32 pid;
    __u32 kind; /* 1: exec, 2: exit */
};

#endif
