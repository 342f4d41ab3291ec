/* SPDX-License-Identifier: Apache-2.0 */

/* Making the keeper's process. */

#include "keeper/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { ABOVE_STANDARD = 10 }; /* so that no descriptor lies where another one goes */

struct beginning {
    const char *path;
    char *const *argv;
    int socket, null, host;
};

/* In the new processes: system calls and nothing else, for threads that held locks are not there.
 */

static long clone_plain(unsigned long exit_signal)
{
    return syscall(SYS_clone, exit_signal, NULL, NULL, NULL, NULL);
}

_Noreturn static void leave(int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}

static void say_failed(int socket, int reason)
{
    char text[] = "failed 0000";
    size_t used = sizeof "failed " - 1;
    for (int unit = 1000; unit; unit /= 10)
        if (reason >= unit)
            text[used++] = (char)('0' + reason / unit % 10);
    syscall(SYS_sendto, socket, text, used, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
}

_Noreturn static void become_keeper(const struct beginning *beginning)
{
    char *const environment[] = {NULL};
    if (syscall(SYS_dup3, beginning->socket, STDIN_FILENO, 0) >= 0 &&
        syscall(SYS_dup3, beginning->null, STDOUT_FILENO, 0) >= 0 &&
        syscall(SYS_dup3, beginning->null, STDERR_FILENO, 0) >= 0) {
        if (beginning->host >= 0)
            syscall(SYS_dup3, beginning->host, KEEPER_HOST_FD, 0);
        else
            syscall(SYS_close, KEEPER_HOST_FD);
        syscall(SYS_execve, beginning->path, beginning->argv, environment);
    }
    say_failed(beginning->socket, errno);
    leave(1);
}

_Noreturn static void between(const struct beginning *beginning)
{
    syscall(SYS_setsid);
    long pid = clone_plain(SIGCHLD);
    if (pid == 0)
        become_keeper(beginning);
    leave(pid < 0 ? errno : 0);
}

/* ---- in the host ---- */

static int move_up(int *fd)
{
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, ABOVE_STANDARD);
    if (moved < 0)
        return -errno;
    close(*fd);
    *fd = moved;
    return 0;
}

static int run_between(const struct beginning *beginning)
{
    int status = 0;
    long pid = clone_plain(0); /* its end is told to nobody, and a plain wait does not find it */
    if (pid < 0)
        return -errno;
    if (pid == 0)
        between(beginning);
    while (waitpid((pid_t)pid, &status, __WALL) < 0)
        if (errno != EINTR)
            return 0; /* somebody reaps whatever there is: the first message tells */
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EAGAIN;
}

static int start_with(char *const *argv, int *ret_socket, struct wps_error *error)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return wps_error_system(error, -errno, "cannot make a socket for the keeper");
    _cleanup_close_ int ours = ends[0];
    _cleanup_close_ int theirs = ends[1];
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return wps_error_system(error, -errno, "cannot open /dev/null for the keeper");
    /* Before Linux 5.3 there is none, and the end of the socket has to do. */
    _cleanup_close_ int host = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int r = move_up(&theirs);
    r = r < 0 ? r : move_up(&null);
    r = r < 0 || host < 0 ? r : move_up(&host);
    if (r == 0 && fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
        r = -errno;
    const struct beginning beginning = {argv[0], argv, theirs, null, host};
    r = r < 0 ? r : run_between(&beginning);
    if (r < 0)
        return wps_error_system(error, r, "cannot make the keeper's process");
    *ret_socket = take_fd(&ours);
    return 0;
}

int keeper_start(const char *path, const char *root, int *ret_socket, struct wps_error *error)
{
    char *const argv[] = {(char *)path, (char *)root, NULL};
    return start_with(argv, ret_socket, error);
}

int keeper_start_holder(const char *path, unsigned patience_ms, int *ret_socket,
                        struct wps_error *error)
{
    char number[16];
    snprintf(number, sizeof number, "%u", patience_ms);
    char *const argv[] = {(char *)path, KEEPER_HOLD, number, NULL};
    return start_with(argv, ret_socket, error);
}
