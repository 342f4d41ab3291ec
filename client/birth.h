/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCTRACK_BIRTH_H
#define PROCTRACK_BIRTH_H

/*
 * For programs that start others themselves: a child that is a member of its block before its first
 * own instruction, so that nothing it does can be missed. A process that is assigned once it runs
 * may have forked before, and ended: nobody would ever know of its children.
 *
 * `procs_path` is what proctrack_ensure answers: the file cgroup.procs of one sub-scope
 * of one block. Whoever uses these helpers needs to be allowed to write there; who is not (or where
 * there is no procs_path, with the tracker lineage) starts the program by `proctrack run`, which
 * asks the broker.
 *
 * Three ways, from the least work to the most freedom:
 *
 *   proctrack_birth_spawn   starts a program and says whether that worked; needs nothing else
 *   proctrack_birth_clone   like fork, with the child in its block already
 *   proctrack_birth_enter   for the moment between a fork and an exec of one's own:
 *
 *       int procs = proctrack_birth_open(procs_path, &error);      // before the fork
 *       pid_t pid = fork();
 *       if (pid == 0) {
 *           proctrack_birth_enter_or_exit(procs);
 *           execv(path, argv);
 *           _exit(127);
 *       }
 *
 * In all of them a child that cannot enter does not run. Any thread. Sources: cgroup-v2.rst of the
 * kernel, clone3(2), signal-safety(7).
 */

#include <sys/types.h>

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PROCTRACK_BIRTH_FAILED = 125 }; /* exit status of a child that could not enter its block */

/* ---- between fork and exec ------------------------------------------------------------------ */

/* Opens a procs_path for writing, before the fork: one descriptor serves any number of children of
 * that sub-scope, until the block is removed. It is closed by close(2), and by exec. -ENOENT: the
 * block is gone; -EACCES: we may not put processes there; -EMFILE and others. */
PROCTRACK_API int proctrack_birth_open(const char *procs_path, struct proctrack_error *error);

/* Makes the calling process, and what it forks from then on, members. Async-signal-safe: one
 * write(2), so it may be called in the child of a threaded program, also after vfork. 0; -ENODEV:
 * the block was removed; -EACCES: we may write the file, but not move processes here from where
 * this one is. Who goes on after a failure runs untracked, and nobody will know. */
PROCTRACK_API __attribute__((warn_unused_result)) int proctrack_birth_enter(int procs_fd);

/* The same, and where it fails a line on stderr and _exit(PROCTRACK_BIRTH_FAILED).
 * Async-signal-safe. */
PROCTRACK_API void proctrack_birth_enter_or_exit(int procs_fd);

/* ---- born inside ---------------------------------------------------------------------------- */

/* Opens the cgroup of a procs_path, for proctrack_birth_clone. Closed by close(2), and by exec. */
PROCTRACK_API int proctrack_birth_open_cgroup(const char *procs_path,
                                              struct proctrack_error *error);

/* clone3(CLONE_INTO_CGROUP), otherwise like fork(2): the pid of the child in the parent, 0 in the
 * child, which has never been anywhere else. `*ret_pidfd` (may be null; the parent's) is a
 * close-on-exec descriptor of the child. libc does not know of this fork: it runs no atfork
 * handlers, so the child may only call what is async-signal-safe, and exec.
 * -ENOSYS: a kernel before 5.7, or a sandbox that refuses clone3 (-EPERM from some): fork, and
 * proctrack_birth_enter; proctrack_birth_spawn does that by itself. -EACCES, -ENODEV: as above.
 * -EAGAIN, -ENOMEM. */
PROCTRACK_API pid_t proctrack_birth_clone(int cgroup_fd, int *ret_pidfd);

/* ---- a whole program ------------------------------------------------------------------------ */

/* Starts `argv[0]` (looked up in $PATH where it has no slash) as a child, born in `procs_path`,
 * with the environment `envp` (null: ours). Like fork and exec otherwise: descriptors, signal mask
 * and ignored signals are as they are here; SIGCHLD comes when it ends, and it is ours to wait for.
 * On success the program runs. On failure there is no child left, and nothing of it ever ran
 * outside of the block: -ENOENT: no such program, or no such block; -EACCES: not executable, or not
 * allowed there; the sentence tells which. Other errors: those of fork, execve and pipe. */
PROCTRACK_API int proctrack_birth_spawn(const char *procs_path, char *const argv[],
                                        char *const envp[], pid_t *ret_pid,
                                        struct proctrack_error *error);

#ifdef __cplusplus
}
#endif

#endif
