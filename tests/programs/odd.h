/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PROGRAMS_ODD_H
#define TESTS_PROGRAMS_ODD_H

/*
 * What the odd lives share. They tell on stdout, one JSON line at a time, what they did, so that a
 * test knows the truth:
 *
 *     {"what":"born","pid":7,"ppid":6,"as":"vfork child"}
 *     {"what":"exec","pid":7,"command":"/x/odd exit 3"}    it is about to become this
 *     {"what":"ends","pid":7,"status":768}                 a wait status: seen, or about to come
 *     {"what":"ready","pid":7}                             all of it stands; some add keys
 *     {"what":"waiting","pid":7}                           for a line on stdin
 *
 * Who is to stay alive holds until its stdin ends, so one pipe lets a whole tree go. Every process
 * has an alarm on itself, and every number of processes has a limit.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    ODD_SECONDS = 120,     /* the longest that any of them lives */
    ODD_CHILDREN = 4000,   /* the most children of one `spawn` */
    ODD_STORM = 2000,      /* the most processes of one `storm` */
    ODD_CHAIN = 500,       /* the longest `fork-chain` and `exec-chain` */
    ODD_THREADS = 256,     /* the most threads */
    ODD_USAGE = 64,        /* exit status where the command line makes no sense */
    ODD_FAILED = 65,       /* exit status where the system refused */
    ODD_WAIT_EXIT_3 = 768, /* the wait status of `exit 3` */
};

/* One odd life: takes what follows its name and returns the exit status. */
typedef int odd_life(int argc, char **argv);

odd_life odd_vfork_exec, odd_posix_spawn, odd_clone_parent, odd_into_cgroup, odd_join_cgroup,
    odd_move_cgroup, odd_double_fork, odd_setsid_child, odd_orphan, odd_spawn, odd_storm,
    odd_fork_chain, odd_reuse_pid, odd_listen, odd_zombie;
odd_life odd_thread_exec, odd_exec_later, odd_exec_chain, odd_argv_odd, odd_comm_odd, odd_retitle,
    odd_threads;
odd_life odd_exit, odd_signal, odd_hold, odd_ignore_term, odd_leader_leaves;

/* ---- telling ------------------------------------------------------------------------------- */

/* Writes one line, with one write, so that lines of many processes do not mix. */
void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

void tell_born(pid_t pid, pid_t parent, const char *as);
void tell_exec(pid_t pid, char *const argv[]);
void tell_ends(pid_t pid, int status);
void tell_ready(void);

/* ---- living -------------------------------------------------------------------------------- */

/* Sets the alarm that ends this process in ODD_SECONDS. It survives exec and not fork. */
void odd_bound(void);

/* Waits until stdin ends. */
void odd_hold_stdin(void);

/* Waits for one line on stdin, or its end. */
void odd_wait_line(void);

/* fork, with the alarm set in the child. Ends the program where it fails. */
pid_t odd_fork(void);

/* Tells the exec and does it; comes back only by ending the process. Where argv is empty it runs
 * this program as `exit 3`. */
__attribute__((noreturn)) void odd_exec(char *const argv[]);

/* What odd_exec would run for this argv. */
char *const *odd_command(char *const argv[]);

/* Waits for a child and tells its end. Returns the wait status. */
int odd_wait(pid_t pid);

/* Writes to a file of cgroup.procs kind: "0", the caller. */
void odd_join(const char *procs_path);

/* A number between low and high, or the end of the program with a sentence. */
long odd_number(const char *string, long low, long high);

/* The end of the program, with a sentence and the system's reason. */
__attribute__((noreturn, format(printf, 1, 2))) void odd_fail(const char *format, ...);

/* This program's own path. */
extern char odd_path[4096];

/* The environment variable that tells a program run again by itself what to do, where its argv
 * cannot. */
#define ODD_AGAIN "ODD_AGAIN"

/* Where this is set a life begins only when a line comes on stdin: until then it can be assigned. */
#define ODD_GATE "ODD_GATE"

#endif
