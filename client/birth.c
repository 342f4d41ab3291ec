/* SPDX-License-Identifier: Apache-2.0 */

/* Children that are members before their first own instruction. */

#include "client/birth.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client/connection.h"

/* ---- between fork and exec ------------------------------------------------------------------ */

static int cannot_open(const char *procs_path, int code, struct wps_error *error)
{
    if (code == -ENOENT)
        return wps_error_set(error, code,
                             "cannot join by %s: it is gone, and so is its block: ask for the "
                             "tracker again",
                             procs_path);
    if (code == -EACCES || code == -EPERM)
        return wps_error_set(error, code,
                             "cannot join by %s: this user may not write there: use proctrack run, "
                             "which asks the broker",
                             procs_path);
    return wps_error_system(error, code, "cannot join by %s", procs_path);
}

static int open_procs(const char *procs_path, struct wps_error *error)
{
    int fd = open(procs_path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? cannot_open(procs_path, -errno, error) : fd;
}

int proctrack_birth_open(const char *procs_path, struct proctrack_error *error)
{
    struct wps_error why;
    int fd = open_procs(procs_path, &why);
    return fd < 0 ? connection_fail(error, fd, &why) : fd;
}

int proctrack_birth_enter(int procs_fd)
{
    ssize_t n;
    do
        n = write(procs_fd, "0", 1);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : n < 0 ? -errno : -EIO;
}

void proctrack_birth_enter_or_exit(int procs_fd)
{
    static const char message[] = "could not enter its block: not started\n";
    if (proctrack_birth_enter(procs_fd) == 0)
        return;
    ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
    (void)written; /* there is nobody else to tell; the exit status does */
    _exit(PROCTRACK_BIRTH_FAILED);
}

/* ---- born inside ---------------------------------------------------------------------------- */

static int open_cgroup(const char *procs_path, struct wps_error *error)
{
    _cleanup_free_ char *directory = strdup(procs_path);
    char *slash = directory ? strrchr(directory, '/') : NULL;
    if (!directory)
        return wps_error_system(error, -ENOMEM, "cannot join by %s", procs_path);
    if (!slash)
        return wps_error_set(error, -EINVAL, "cannot join by %s: it is no procs_path", procs_path);
    *slash = '\0';
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? cannot_open(procs_path, -errno, error) : fd;
}

int proctrack_birth_open_cgroup(const char *procs_path, struct proctrack_error *error)
{
    struct wps_error why;
    int fd = open_cgroup(procs_path, &why);
    return fd < 0 ? connection_fail(error, fd, &why) : fd;
}

static int clone_error(int code)
{
    if (code == E2BIG || code == EINVAL)
        return -ENOSYS;                      /* the kernel knows less of clone3 */
    return code == ENOENT ? -ENODEV : -code; /* removed: as proctrack_birth_enter tells it */
}

pid_t proctrack_birth_clone(int cgroup_fd, int *ret_pidfd)
{
    int pidfd = -1;
    struct clone_args args = {
        .flags = CLONE_INTO_CGROUP | (ret_pidfd ? CLONE_PIDFD : 0),
        .pidfd = (uintptr_t)(ret_pidfd ? &pidfd : NULL),
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)cgroup_fd,
    };
    if (cgroup_fd < 0)
        return -EBADF;
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0)
        return clone_error(errno);
    if (pid > 0 && ret_pidfd)
        *ret_pidfd = pidfd;
    return pid;
}

/* ---- a whole program ------------------------------------------------------------------------ */

enum step { STEP_ENTER, STEP_EXEC };

struct failure { /* what the child tells through the pipe where it cannot become the program */
    enum step step;
    int code;
};

struct birth {
    const char *procs_path;
    char *const *argv, *const *envp;
    int procs, cgroup; /* one of them is open, the other -1 */
    int tell;          /* write end of the pipe, closed by exec */
};

_Noreturn static void give_up(int tell, enum step step, int code)
{
    const struct failure failure = {step, code};
    ssize_t written;
    do
        written = write(tell, &failure, sizeof failure); /* less than PIPE_BUF: whole or not */
    while (written < 0 && errno == EINTR);
    _exit(PROCTRACK_BIRTH_FAILED);
}

/* Only system calls (execvpe of glibc allocates nothing). */
_Noreturn static void become(const struct birth *birth)
{
    int result = birth->procs >= 0 ? proctrack_birth_enter(birth->procs) : 0;
    if (result < 0)
        give_up(birth->tell, STEP_ENTER, result);
    execvpe(birth->argv[0], birth->argv, birth->envp);
    give_up(birth->tell, STEP_EXEC, -errno);
}

/* Born inside where the kernel does that, else forked and moved before the exec. */
static pid_t bear(struct birth *birth, struct wps_error *error)
{
    birth->procs = -1;
    birth->cgroup = open_cgroup(birth->procs_path, error);
    if (birth->cgroup < 0)
        return birth->cgroup;
    pid_t pid = proctrack_birth_clone(birth->cgroup, NULL);
    if (pid == -ENOSYS || pid == -EPERM) {
        birth->procs = open_procs(birth->procs_path, error);
        if (birth->procs < 0)
            return birth->procs;
        pid = fork();
        pid = pid < 0 ? -errno : pid;
    }
    if (pid == 0)
        become(birth);
    if (pid == -ENODEV)
        return cannot_open(birth->procs_path, -ENOENT, error);
    if (pid == -EACCES)
        return cannot_open(birth->procs_path, pid, error);
    return pid < 0 ? wps_error_system(error, pid, "cannot start %s", birth->argv[0]) : pid;
}

/* Its end of the pipe closes when the program runs, or brings why it does not. */
static int wait_for_exec(const struct birth *birth, int listen, pid_t pid, struct wps_error *error)
{
    struct failure failure;
    ssize_t n;
    do
        n = read(listen, &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n != sizeof failure)
        return 0; /* it runs; or it was killed before it could, which waiting for it tells */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (failure.step == STEP_EXEC)
        return wps_error_system(error, failure.code, "cannot start %s", birth->argv[0]);
    return failure.code == -ENODEV ? cannot_open(birth->procs_path, -ENOENT, error)
                                   : cannot_open(birth->procs_path, failure.code, error);
}

static int spawn(const char *procs_path, char *const argv[], char *const envp[], pid_t *ret_pid,
                 struct wps_error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return wps_error_system(error, -errno, "cannot start %s", argv[0]);
    _cleanup_close_ int listen = ends[0];
    _cleanup_close_ int tell = ends[1];
    struct birth birth = {.procs_path = procs_path,
                          .argv = argv,
                          .envp = envp ? envp : environ,
                          .procs = -1,
                          .cgroup = -1,
                          .tell = tell};
    pid_t pid = bear(&birth, error);
    cleanup_close(&birth.procs);
    cleanup_close(&birth.cgroup);
    if (pid < 0)
        return pid;
    close(take_fd(&tell));
    int result = wait_for_exec(&birth, listen, pid, error);
    if (result == 0)
        *ret_pid = pid;
    return result;
}

int proctrack_birth_spawn(const char *procs_path, char *const argv[], char *const envp[],
                          pid_t *ret_pid, struct proctrack_error *error)
{
    struct wps_error why;
    int result = spawn(procs_path, argv, envp, ret_pid, &why);
    return result < 0 ? connection_fail(error, result, &why) : 0;
}
