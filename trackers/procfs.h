/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_PROCFS_H
#define TRACKERS_PROCFS_H

/*
 * What /proc says of a process (proc (5)), parsed without trust: names hold spaces and brackets,
 * argument vectors are empty, rewritten or two megabytes long, and the process may be gone between
 * any two reads. All of it keeps no state; any thread.
 *
 * Reading `stat`, `statm` and `status` takes no lock that a process could hold for long. Reading
 * `cmdline`, `environ` and `cgroup` can wait: only worker threads do that.
 */

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/text.h"

enum {
    PROC_COMM_MAX = 64,            /* bytes of a name; kernel threads have longer ones than 15 */
    PROC_ARGV_MAX = 4096,          /* bytes of argv that facts are made of */
    PROC_ENVIRON_MAX = 256 * 1024, /* bytes of an environment that are read */
};

struct proc_stat {
    uint32_t pid;
    char comm[PROC_COMM_MAX];
    char state; /* R S D Z T t X I ... */
    uint32_t ppid;
    uint32_t session;
    uint64_t flags; /* PF_* */
    uint64_t cpu_ticks;
    uint64_t threads;
    uint64_t start_ticks; /* since boot */
    uint64_t rss_pages;
    int status; /* of a zombie; 0 where we may not know */
};

/* A descriptor of a process's directory in /proc (O_PATH), for the functions that end in `_in`. It
 * stands for that process whoever gets its number later: through it, what is gone is -ESRCH. So one
 * read that succeeds shows that all before it, also those by number, were of the same process. The
 * caller closes it. -ESRCH, -EMFILE. */
int proc_open(uint32_t pid);

/* Parses the text of /proc/PID/stat. -EBADMSG where it is not one. */
int proc_stat_parse(struct proc_stat *ret, struct text text);

/* -ESRCH: no such process. */
int proc_stat_read(struct proc_stat *ret, uint32_t pid);

/* True where a thread runs or has only to wait for a processor; false where it waits for anything
 * else, or is no more. */
bool proc_is_runnable(uint32_t tid);
int proc_stat_read_in(struct proc_stat *ret, int directory);

/* True where the number is a process's, and not that of one of its other threads. */
bool proc_is_process(uint32_t pid);

/* The process that a thread is of. -ESRCH. */
int proc_tgid_read(uint32_t *ret_pid, uint32_t tid);

/* True where all of it ended: a leader that left is a zombie too, while its other threads run on.
 */
bool proc_has_ended(const struct proc_stat *stat);

/* Its first thread is on its way out and does not show it otherwise: its end may have been told
 * already. */
bool proc_is_exiting(const struct proc_stat *stat);

/* True where the kernel made it for itself. */
bool proc_is_kernel_thread(const struct proc_stat *stat);

/* Resident set in bytes; 0 where there is none or it cannot be read. */
uint64_t proc_rss_bytes(uint32_t pid);

/* The same as the kernel finds it by looking through all of its pages, which takes it long. */
uint64_t proc_rss_counted_bytes(uint32_t pid);

/* Reads argv, up to `room` bytes of it; `*ret_cut` where there was more. The padding that programs
 * leave when they rewrite their argv is taken off. Returns its size in bytes, 0 where it has none;
 * -ESRCH. */
ssize_t proc_argv_read(char *argv, size_t room, uint32_t pid, bool *ret_cut);
ssize_t proc_argv_read_in(char *argv, size_t room, int directory, bool *ret_cut);

/* The same for one that has a program. In the middle of exec it has no argv for a moment: so an
 * empty one is looked at four times more, a millisecond apart. */
ssize_t proc_argv_read_patiently(char *argv, size_t room, uint32_t pid, bool *ret_cut);

/* The same by way of its other threads, for one whose leader left: the kernel shows nothing of a
 * process at its leader then. 0 where none of them has any. */
ssize_t proc_argv_read_by_threads(char argv[static PROC_ARGV_MAX], uint32_t pid, bool *ret_cut);

/* The path in the unified hierarchy, as in the `0::` line of /proc/PID/cgroup, out of its text:
 * " (deleted)" is taken off and told. Empty where there is no such line. */
struct text proc_cgroup_parse(struct text text, bool *ret_deleted);

/* Reads it, of the thread with that number: where the leader left before the process was moved,
 * that is where it was before (facts.h knows better). The string is the caller's to free. -ESRCH,
 * -ENOENT (no unified hierarchy), -ENOMEM. */
int proc_cgroup_read(char **ret_path, uint32_t pid);
int proc_cgroup_read_in(char **ret_path, int directory);

/* Reads the environment that a process was given when its program began, as far as the room goes
 * (what it set since is not seen, and it may have written over it). Returns its size in bytes;
 * -ESRCH, -EACCES: a process of somebody else's. */
ssize_t proc_environ_read(char *buffer, size_t room, uint32_t pid);

/* The same by way of its other threads, for one whose leader left. 0 where none of them has any, or
 * may be read. */
ssize_t proc_environ_read_by_threads(char *buffer, size_t room, uint32_t pid);

/* The value of a variable in it, as getenv finds it; `at` is null where there is none. */
struct text proc_environ_value(struct text environment, const char *name);

/* Real uid of a process. -ESRCH. */
int proc_uid_read(uid_t *ret_uid, uint32_t pid);

/* All pids in /proc, unsorted; the array is the caller's to free. */
int proc_list(uint32_t **ret_pids, size_t *ret_n);

/* The order of numbers, for qsort and bsearch. */
int proc_by_number(const void *a, const void *b);

/* Begins to go through the threads of a process. The caller closes it (closedir); null with errno.
 */
DIR *proc_threads(uint32_t pid);

/* The next one's number, which leads into /proc as a pid does; 0: there are no more. `threads` may
 * be null: then there are none. */
uint32_t proc_next_thread(DIR *threads);

/* Children of a process, of all its threads, as the kernel links them now; appended to the caller's
 * array, which is grown as needed. 0 also where it is gone. -ENOSYS: this kernel has no
 * /proc/PID/task/TID/children. */
int proc_children(uint32_t pid, uint32_t **pids_p, size_t *n_p, size_t *room_p);

/* True where /proc shows our own pid namespace: else its numbers are of other processes. */
bool proc_is_ours(void);

/* The number of our pid namespace, as in /proc/self/ns/pid; 0: it is the one that the machine began
 * with, or there are none. */
uint32_t proc_pid_namespace(void);

/* ---- time ---- */

/* The clock that processes' creation times are told in. One clock is made at start and used for
 * every process, so that the same life has the same number wherever it is named. */
struct proc_clock {
    int64_t boot_ms; /* of the Unix epoch, when CLOCK_BOOTTIME was 0, to the clock tick */
    uint64_t ticks_per_second;
};

/* Measures it now. */
struct proc_clock proc_clock_now(void);

uint64_t proc_clock_ticks(const struct proc_clock *clock, uint64_t boottime_ns);
uint64_t proc_clock_ms(const struct proc_clock *clock, uint64_t ticks);
/* The way back. A time that no process can have been created at gives UINT64_MAX, which is
 * nobody's. */
uint64_t proc_clock_ticks_of(const struct proc_clock *clock, uint64_t ms);

/* CLOCK_BOOTTIME in nanoseconds. */
uint64_t boottime_ns(void);

#endif
