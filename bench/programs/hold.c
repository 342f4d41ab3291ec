/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Holds waiting processes in cgroups: `bench_hold LEAF COUNT BYTES` reads cgroup directories from
 * stdin, one a line, up to an empty one; makes COUNT leaves in each, whose command is BYTES long;
 * says `ready`; and waits for the end of its stdin. Then it ends the leaves, waits until they are
 * gone, and ends. Should it be killed they end with it.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench/programs/bench.h"

/* Of `leaf wait PADDING` with the spaces between. */
static char *make_padding(const char *leaf, uint64_t bytes)
{
    size_t used = strlen(leaf) + strlen(" wait ");
    size_t size = bytes > used ? bytes - used : 1;
    char *padding = malloc(size + 1);
    if (!padding)
        bench_fail("memory");
    memset(padding, 'x', size);
    padding[size] = '\0';
    return padding;
}

_Noreturn static void become_leaf(char **argv, pid_t holder)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != holder)
        _exit(1);
    execve(argv[0], argv, (char *[]){NULL});
    _exit(127);
}

static void fill(const char *directory, uint64_t count, char **argv, struct bench_bytes *pids)
{
    pid_t holder = getpid();
    _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        bench_fail(directory);
    for (uint64_t i = 0; i < count; i++) {
        struct clone_args args = {
            .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)fd};
        long pid = syscall(SYS_clone3, &args, sizeof args);
        if (pid == 0)
            become_leaf(argv, holder);
        if (pid < 0)
            bench_fail("clone3");
        bench_append(pids, &(pid_t){(pid_t)pid}, sizeof(pid_t));
    }
}

/* None of them was waited for yet, so no pid can be another's. */
static void end_all(const struct bench_bytes *pids)
{
    for (size_t i = 0; i < pids->size / sizeof(pid_t); i++)
        kill(((const pid_t *)(const void *)pids->data)[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s LEAF COUNT BYTES < directories\n", argv[0]);
        return 2;
    }
    char *line = NULL;
    size_t room = 0;
    uint64_t count = bench_number(argv[2]);
    char *leaf[] = {argv[1], "wait", make_padding(argv[1], bench_number(argv[3])), NULL};
    struct bench_bytes pids = {0};
    while (getline(&line, &room, stdin) > 1) {
        line[strcspn(line, "\n")] = '\0';
        fill(line, count, leaf, &pids);
    }
    free(line);
    bench_say("ready");
    while (bench_wait_line())
        ;
    end_all(&pids);
    free(pids.data);
    free(leaf[2]);
    return 0;
}
