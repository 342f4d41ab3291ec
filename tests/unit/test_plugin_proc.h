/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_PLUGIN_PROC_H
#define TEST_PLUGIN_PROC_H

/* A /proc that tests write: for processes from PROC_FIRST on, which no kernel numbers so high, the
 * linker leads facts_read, proc_stat_read and proc_rss_bytes here (--wrap). All others are read in
 * the real one. Workers read it too: any thread. */

#include <stdbool.h>

#include "trackers/facts.h"

enum { PROC_FIRST = 5000000, PROC_FAKES = 256 };

struct fake {
    uint32_t pid, parent;
    char state; /* 'S', 'Z'; 'E': it runs, on its way out */
    uint64_t ticks, threads;
    char comm[64];
    char argv[4200];
    size_t argv_size;
    char cgroup[512]; /* "": unknown */
    uint64_t read_ns; /* CLOCK_BOOTTIME: when it is read; 0: just when it is */
    int refusal;      /* what facts_read gives; 0: its facts */
};

/* It is there from now on, and so. */
void proc_put(const struct fake *fake);
/* Until it is put again, facts_read gives this of it. */
void proc_refuse(uint32_t pid, int refusal);
/* It is there no more. */
void proc_take(uint32_t pid);
void proc_take_all(void);

/* The pids of those whose cgroup is the directory or below it and who have not ended, sorted;
 * returns how many. */
size_t proc_members(const char *cgroup, uint32_t pids[static PROC_FAKES]);

/* While it is shut, who reads facts of a fake one, or asks for members, waits. */
void proc_shut(bool shut);

/* The functions that the linker puts in the place of the real ones. */
int __real_facts_read(struct process_facts *ret, uint32_t pid, unsigned wanted);
int __wrap_facts_read(struct process_facts *ret, uint32_t pid, unsigned wanted);
int __real_proc_stat_read(struct proc_stat *ret, uint32_t pid);
int __wrap_proc_stat_read(struct proc_stat *ret, uint32_t pid);
uint64_t __real_proc_rss_bytes(uint32_t pid);
uint64_t __wrap_proc_rss_bytes(uint32_t pid);

#endif
