/* SPDX-License-Identifier: Apache-2.0 */

/* Odd births: every way in which a process comes into the world, and who is its parent then. */

#include "odd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* fork by another name. */
static pid_t clone_like_fork(struct clone_args *args)
{
    pid_t pid = (pid_t)syscall(SYS_clone3, args, sizeof *args);
    if (pid == 0)
        odd_bound();
    return pid;
}

/* ---- exec at once -------------------------------------------------------------------------- */

int odd_vfork_exec(int argc, char **argv)
{
    (void)argc;
    char *const *command = odd_command(argv);
    pid_t pid = vfork();
    if (pid < 0)
        odd_fail("vfork");
    if (pid == 0) {
        execvp(command[0], command);
        _exit(ODD_FAILED);
    }
    tell_born(pid, getpid(), "vfork child");
    tell_exec(pid, command);
    odd_wait(pid);
    return 0;
}

int odd_posix_spawn(int argc, char **argv)
{
    (void)argc;
    char *const *command = odd_command(argv);
    pid_t pid;
    if ((errno = posix_spawnp(&pid, command[0], NULL, NULL, command, environ)))
        odd_fail("posix_spawn %s", command[0]);
    tell_born(pid, getpid(), "posix_spawn child");
    tell_exec(pid, command);
    odd_wait(pid);
    return 0;
}

/* ---- clone --------------------------------------------------------------------------------- */

/* Makes a child that is this process's sibling. The child holds. */
static pid_t clone_sibling(void)
{
    struct clone_args args = {.flags = CLONE_PARENT};
    pid_t pid = clone_like_fork(&args);
    if (pid < 0)
        odd_fail("clone3 with CLONE_PARENT");
    if (pid == 0) {
        tell_born(getpid(), getppid(), "CLONE_PARENT child");
        tell_ready();
        odd_hold_stdin();
        tell_ends(getpid(), 5 << 8);
        _exit(5);
    }
    return pid;
}

int odd_clone_parent(int argc, char **argv)
{
    if (argc == 0 || strcmp(argv[0], "inside") != 0) {
        clone_sibling(); /* its parent, who must reap it, is ours */
        odd_hold_stdin();
        return 0;
    }
    int fds[2];
    if (pipe(fds) < 0)
        odd_fail("pipe");
    pid_t middle = odd_fork();
    if (middle == 0) {
        pid_t child = clone_sibling();
        if (write(fds[1], &child, sizeof child) != sizeof child)
            odd_fail("write");
        odd_hold_stdin();
        _exit(0);
    }
    tell_born(middle, getpid(), "maker of a sibling");
    pid_t child = 0;
    if (read(fds[0], &child, sizeof child) != sizeof child)
        odd_fail("read");
    odd_wait(middle);
    odd_wait(child);
    return 0;
}

int odd_into_cgroup(int argc, char **argv)
{
    int directory = open(argc > 0 ? argv[0] : "", O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        odd_fail("opening the directory %s", argc > 0 ? argv[0] : "(none)");
    struct clone_args args = {
        .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)directory};
    pid_t pid = clone_like_fork(&args);
    if (pid < 0)
        odd_fail("clone3 into %s", argv[0]);
    if (pid == 0) {
        tell_born(getpid(), getppid(), "CLONE_INTO_CGROUP child");
        odd_exec(argv + 1);
    }
    odd_wait(pid);
    return 0;
}

/* ---- cgroups by hand ----------------------------------------------------------------------- */

int odd_join_cgroup(int argc, char **argv)
{
    if (argc < 1)
        odd_number(NULL, 0, 0);
    pid_t pid = odd_fork();
    if (pid == 0) {
        odd_join(argv[0]);
        tell_born(getpid(), getppid(), "child that joined");
        odd_exec(argv + 1);
    }
    odd_wait(pid);
    return 0;
}

int odd_move_cgroup(int argc, char **argv)
{
    if (argc < 1)
        odd_number(NULL, 0, 0);
    tell("{\"what\":\"waiting\",\"pid\":%d}", getpid());
    odd_wait_line();
    odd_join(argv[0]);
    tell("{\"what\":\"moved\",\"pid\":%d}", getpid());
    odd_hold_stdin();
    return 0;
}

/* ---- daemons and orphans ------------------------------------------------------------------- */

/* Lives on without descriptors: only a signal or its alarm ends it. */
static void be_a_daemon(pid_t parent)
{
    if (clearenv() != 0 || chdir("/") != 0)
        odd_fail("becoming a daemon");
    signal(SIGHUP, SIG_IGN);
    tell_born(getpid(), parent, "daemon");
    tell_ready();
    close_range(0, ~0u, 0);
    for (;;)
        pause();
}

int odd_double_fork(int argc, char **argv)
{
    (void)argc, (void)argv;
    pid_t middle = odd_fork();
    if (middle == 0) {
        setsid();
        tell_born(getpid(), getppid(), "middle of a double fork");
        pid_t parent = getpid();
        if (odd_fork() == 0)
            be_a_daemon(parent);
        _exit(0);
    }
    odd_wait(middle);
    odd_hold_stdin();
    return 0;
}

int odd_setsid_child(int argc, char **argv)
{
    (void)argc, (void)argv;
    pid_t child = odd_fork();
    if (child == 0) {
        setsid();
        tell_born(getpid(), getppid(), "child in a session of its own");
        tell_ready();
        odd_hold_stdin();
        _exit(0);
    }
    odd_wait(child);
    return 0;
}

/* A child that goes on when its parent, the caller, is gone. Returns in the child, when that is so;
 * the parent comes back at once, with true. */
static bool leave_to_child(const char *as)
{
    pid_t parent = getpid();
    int gone[2]; /* ends when the parent does */
    if (pipe2(gone, O_CLOEXEC) < 0)
        odd_fail("pipe");
    if (odd_fork() > 0) {
        tell_ends(parent, 0);
        return true;
    }
    tell_born(getpid(), parent, as);
    close(gone[1]);
    char byte;
    while (read(gone[0], &byte, 1) < 0 && errno == EINTR)
        ;
    return false;
}

int odd_orphan(int argc, char **argv)
{
    (void)argc, (void)argv;
    if (leave_to_child("orphan"))
        return 0;
    tell_ready();
    odd_hold_stdin();
    tell_ends(getpid(), 0);
    return 0;
}

int odd_zombie(int argc, char **argv)
{
    (void)argc, (void)argv;
    pid_t child = odd_fork();
    if (child == 0)
        _exit(4);
    tell_born(child, getpid(), "zombie");
    siginfo_t seen;
    waitid(P_PID, (id_t)child, &seen, WEXITED | WNOWAIT);
    tell_ready();
    odd_hold_stdin();
    odd_wait(child);
    return 0;
}

/* ---- many ---------------------------------------------------------------------------------- */

int odd_spawn(int argc, char **argv)
{
    static pid_t children[ODD_CHILDREN];
    long n = odd_number(argv[0], 1, ODD_CHILDREN);
    char *const *command = odd_command(argc > 1 ? argv + 1 : NULL);
    for (long i = 0; i < n; i++) {
        children[i] = odd_fork();
        if (children[i] == 0) {
            execvp(command[0], command);
            _exit(ODD_FAILED);
        }
    }
    for (long i = 0; i < n; i++) {
        tell_born(children[i], getpid(), "one of many");
        odd_wait(children[i]);
    }
    tell_ready();
    return 0;
}

/* Forks n children that do the same one level deeper. Returns at depth 0, in the child too: there
 * with its exit status. */
static int storm_level(long n, long depth)
{
    pid_t children[64];
    for (long i = 0; depth > 0 && i < n; i++) {
        children[i] = odd_fork();
        if (children[i] == 0) {
            tell_born(getpid(), getppid(), "of a storm");
            _exit(storm_level(n, depth - 1));
        }
    }
    for (long i = 0; depth > 0 && i < n; i++)
        odd_wait(children[i]);
    return (int)depth;
}

int odd_storm(int argc, char **argv)
{
    long n = odd_number(argv[0], 1, 64);
    long depth = odd_number(argc > 1 ? argv[1] : NULL, 1, 10);
    long total = 0;
    for (long level = 0, width = n; level < depth; level++, width *= n)
        total += width;
    if (total > ODD_STORM) {
        fprintf(stderr, "odd: a storm of %ld processes: at most %d\n", total, ODD_STORM);
        return ODD_USAGE;
    }
    tell_ready();
    storm_level(n, depth);
    return 0;
}

int odd_fork_chain(int argc, char **argv)
{
    (void)argc;
    long n = odd_number(argv[0], 1, ODD_CHAIN);
    pid_t first = getpid();
    int over[2]; /* ends when the last one does */
    if (pipe2(over, O_CLOEXEC) < 0)
        odd_fail("pipe");
    for (long i = 0; i < n; i++) {
        pid_t parent = getpid();
        pid_t next = odd_fork();
        if (next > 0) {
            if (parent == first)
                break;
            _exit((int)((i - 1) % 200));
        }
        tell_born(getpid(), parent, "link of a chain");
        tell_ends(getpid(), (int)(i % 200) << 8);
    }
    if (getpid() != first)
        _exit((int)((n - 1) % 200));
    close(over[1]);
    char byte;
    while (read(over[0], &byte, 1) < 0 && errno == EINTR)
        ;
    tell_ready();
    odd_hold_stdin();
    return 0;
}

/* ---- a pid of choice ----------------------------------------------------------------------- */

/* Needs CAP_CHECKPOINT_RESTORE. */
static pid_t fork_with_pid(pid_t wanted)
{
    pid_t set[] = {wanted};
    struct clone_args args = {
        .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)set, .set_tid_size = 1};
    return clone_like_fork(&args);
}

int odd_reuse_pid(int argc, char **argv)
{
    (void)argc;
    pid_t wanted = (pid_t)odd_number(argv[0], 2, 4194304);
    pid_t pid = fork_with_pid(wanted);
    if (pid < 0)
        odd_fail("forking with pid %d", wanted);
    if (pid == 0)
        odd_exec(argv + 1);
    tell_born(pid, getpid(), "pid of choice");
    odd_wait(pid);
    return 0;
}

/* ---- a server ------------------------------------------------------------------------------ */

int odd_listen(int argc, char **argv)
{
    (void)argc;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)odd_number(argv[0], 0, 65535))};
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (server < 0 || setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(server, (struct sockaddr *)&address, size) < 0 || listen(server, 16) < 0 ||
        getsockname(server, (struct sockaddr *)&address, &size) < 0)
        odd_fail("listening on 127.0.0.1:%s", argv[0]);
    if (leave_to_child("server"))
        return 0;
    setsid();
    signal(SIGHUP, SIG_IGN);
    tell("{\"what\":\"ready\",\"pid\":%d,\"port\":%d}", getpid(), ntohs(address.sin_port));
    for (;;) {
        int peer = accept(server, NULL, NULL);
        if (peer >= 0)
            close(peer);
        else if (errno != EINTR)
            return ODD_FAILED;
    }
}
