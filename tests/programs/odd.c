/* SPDX-License-Identifier: Apache-2.0 */

/* One program, many odd lives: each subcommand lives and dies in a way that trackers of processes
 * get wrong. See odd.h for what it prints. */

#include "odd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char odd_path[4096];

/* ---- telling ------------------------------------------------------------------------------- */

static void write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, bytes, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return; /* nobody reads: the life goes on */
        bytes += done;
        size -= (size_t)done;
    }
}

void tell(const char *format, ...)
{
    char line[4096];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (size < 0)
        return;
    if ((size_t)size > sizeof line - 2)
        size = sizeof line - 2;
    line[size] = '\n';
    write_all(STDOUT_FILENO, line, (size_t)size + 1);
}

void tell_born(pid_t pid, pid_t parent, const char *as)
{
    tell("{\"what\":\"born\",\"pid\":%d,\"ppid\":%d,\"as\":\"%s\"}", pid, parent, as);
}

void tell_ends(pid_t pid, int status)
{
    tell("{\"what\":\"ends\",\"pid\":%d,\"status\":%d}", pid, status);
}

void tell_ready(void)
{
    tell("{\"what\":\"ready\",\"pid\":%d}", getpid());
}

/* Appends to text what is a character of a JSON string, escaped where it must be. */
static size_t put_escaped(char *text, size_t used, size_t room, unsigned char c)
{
    char piece[8];
    if (c == '"' || c == '\\')
        snprintf(piece, sizeof piece, "\\%c", c);
    else if (c < 0x20)
        snprintf(piece, sizeof piece, "\\u%04x", c);
    else
        snprintf(piece, sizeof piece, "%c", c);
    size_t size = strlen(piece);
    if (used + size < room) {
        memcpy(text + used, piece, size + 1);
        used += size;
    }
    return used;
}

void tell_exec(pid_t pid, char *const argv[])
{
    char text[3000] = "";
    size_t used = 0;
    for (size_t i = 0; argv[i]; i++) {
        if (i > 0)
            used = put_escaped(text, used, sizeof text, ' ');
        for (const char *at = argv[i]; *at; at++)
            used = put_escaped(text, used, sizeof text, (unsigned char)*at);
    }
    tell("{\"what\":\"exec\",\"pid\":%d,\"command\":\"%s\"}", pid, text);
}

/* ---- living -------------------------------------------------------------------------------- */

void odd_fail(const char *format, ...)
{
    char sentence[512];
    int reason = errno;
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    fprintf(stderr, "odd: %s: %s\n", sentence, strerror(reason));
    _exit(ODD_FAILED);
}

long odd_number(const char *string, long low, long high)
{
    char *end = NULL;
    errno = 0;
    long value = string ? strtol(string, &end, 10) : 0;
    if (!string || errno || end == string || *end || value < low || value > high) {
        fprintf(stderr, "odd: %s: not a number from %ld to %ld\n", string ? string : "(nothing)",
                low, high);
        exit(ODD_USAGE);
    }
    return value;
}

void odd_bound(void)
{
    alarm(ODD_SECONDS);
}

void odd_hold_stdin(void)
{
    char byte[256];
    for (;;) {
        ssize_t size = read(STDIN_FILENO, byte, sizeof byte);
        if (size == 0 || (size < 0 && errno != EINTR))
            return;
    }
}

void odd_wait_line(void)
{
    char byte;
    for (;;) {
        ssize_t size = read(STDIN_FILENO, &byte, 1);
        if (size == 0 || (size < 0 && errno != EINTR) || (size == 1 && byte == '\n'))
            return;
    }
}

pid_t odd_fork(void)
{
    pid_t pid = fork();
    if (pid < 0)
        odd_fail("fork");
    if (pid == 0)
        odd_bound();
    return pid;
}

char *const *odd_command(char *const argv[])
{
    static char *exit_3[] = {odd_path, "exit", "3", NULL};
    return argv && argv[0] ? argv : exit_3;
}

void odd_exec(char *const argv[])
{
    char *const *command = odd_command(argv);
    tell_exec(getpid(), command);
    execvp(command[0], command);
    odd_fail("exec %s", command[0]);
}

int odd_wait(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            odd_fail("waitpid %d", pid);
    tell_ends(pid, status);
    return status;
}

void odd_join(const char *procs_path)
{
    int fd = open(procs_path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        odd_fail("joining %s", procs_path);
    close(fd);
}

/* ---- the table ----------------------------------------------------------------------------- */

static const struct life {
    const char *name;
    const char *takes;
    const char *is;
    odd_life *live;
} lives[] = {
    {"hold", "", "does nothing until stdin ends", odd_hold},
    {"exit", "CODE", "exits with it", odd_exit},
    {"signal", "N [core]", "dies of it; a core goes to the working directory", odd_signal},
    {"ignore-term", "", "ignores SIGHUP, SIGINT and SIGTERM, and holds", odd_ignore_term},
    {"leader-leaves", "exit_group|raw|signal N", "the leader goes, a thread holds, then ends it so",
     odd_leader_leaves},
    {"threads", "N", "so many threads hold", odd_threads},
    {"thread-exec", "[--leader-gone] [CMD...]", "a thread that is not the leader execs",
     odd_thread_exec},
    {"exec-later", "[CMD...]", "execs when a line comes on stdin", odd_exec_later},
    {"exec-chain", "N", "execs itself so often, then holds", odd_exec_chain},
    {"argv-odd", "none|empty|newlines|invalid|long|trailing|spaces",
     "execs itself with such argv, holds", odd_argv_odd},
    {"comm-odd", "", "holds under the name `a) R 1 (b`, with a child", odd_comm_odd},
    {"retitle", "TITLE", "overwrites its argv, and holds", odd_retitle},
    {"vfork-exec", "[CMD...]", "vfork, exec, wait", odd_vfork_exec},
    {"posix-spawn", "[CMD...]", "posix_spawn, wait", odd_posix_spawn},
    {"clone-parent", "[inside]", "a child whose parent is its maker's parent", odd_clone_parent},
    {"into-cgroup", "DIR [CMD...]", "clone3 with CLONE_INTO_CGROUP, wait", odd_into_cgroup},
    {"join-cgroup", "PROCSFILE [CMD...]", "a child joins between fork and exec, wait",
     odd_join_cgroup},
    {"move-cgroup", "PROCSFILE", "moves itself there when a line comes, then holds",
     odd_move_cgroup},
    {"double-fork", "", "a daemon: setsid, fork, fork, cleared environment, / and no descriptors",
     odd_double_fork},
    {"setsid-child", "", "a child in a session of its own holds, and so does the parent",
     odd_setsid_child},
    {"orphan", "", "its child holds, itself exits at once", odd_orphan},
    {"spawn", "N [CMD...]", "so many children at once, waits for all", odd_spawn},
    {"storm", "N DEPTH", "N children, each of them N children, and so on", odd_storm},
    {"fork-chain", "N", "each child forks the next and exits at once", odd_fork_chain},
    {"zombie", "", "a child exits with 4 and is not reaped until stdin ends", odd_zombie},
    {"reuse-pid", "PID [CMD...]", "a child with that very pid; root only", odd_reuse_pid},
    {"listen", "PORT", "a server in a session of its own; 0: any port", odd_listen},
};

static int usage(FILE *out)
{
    fputs("usage: odd LIFE [ARGUMENT...]\n", out);
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++)
        fprintf(out, "  odd %s %s\n      %s\n", lives[i].name, lives[i].takes, lives[i].is);
    return out == stdout ? 0 : ODD_USAGE;
}

static void find_own_path(void)
{
    ssize_t size = readlink("/proc/self/exe", odd_path, sizeof odd_path - 1);
    if (size <= 0)
        odd_fail("reading /proc/self/exe");
    odd_path[size] = '\0';
}

int main(int argc, char **argv)
{
    find_own_path();
    odd_bound();
    if (getenv(ODD_GATE)) {
        unsetenv(ODD_GATE);
        odd_wait_line();
    }
    if (getenv(ODD_AGAIN)) { /* argv is as odd as it was asked for: nothing to read there */
        tell_ready();
        odd_hold_stdin();
        return 0;
    }
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--help") == 0)
        return usage(stdout);
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++)
        if (strcmp(argv[1], lives[i].name) == 0)
            return lives[i].live(argc - 2, argv + 2);
    return usage(stderr);
}
