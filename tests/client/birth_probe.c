/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Starts a program again and again in a block, by one of the helpers of birth.h, and waits each
 * time until it and the child that it leaves behind have ended.
 *
 *     birth_probe spawn|clone|enter PROCS_PATH ROUNDS PROGRAM
 *
 * Exit status 0 where all of them ended with 0.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/birth.h"

struct probe {
    const char *procs_path;
    int fd; /* of the file or its cgroup */
    char *const *argv;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "birth_probe: %s\n", what);
    exit(1);
}

static int system_error(struct proctrack_error *error, int code, const char *what)
{
    snprintf(error->message, sizeof error->message, "%s: %s", what, strerror(-code));
    return code;
}

static pid_t by_spawn(const struct probe *probe, struct proctrack_error *error)
{
    pid_t pid;
    int result = proctrack_birth_spawn(probe->procs_path, probe->argv, NULL, &pid, error);
    return result < 0 ? result : pid;
}

static pid_t by_clone(const struct probe *probe, struct proctrack_error *error)
{
    pid_t pid = proctrack_birth_clone(probe->fd, NULL);
    if (pid == 0) {
        execv(probe->argv[0], probe->argv);
        _exit(127);
    }
    return pid < 0 ? system_error(error, pid, "clone3") : pid;
}

static pid_t by_enter(const struct probe *probe, struct proctrack_error *error)
{
    pid_t pid = fork();
    if (pid == 0) {
        proctrack_birth_enter_or_exit(probe->fd);
        execv(probe->argv[0], probe->argv);
        _exit(127);
    }
    return pid < 0 ? system_error(error, -errno, "fork") : pid;
}

/* The root, and the child that came to us when the root ended. */
static void reap_two(void)
{
    for (int i = 0; i < 2; i++) {
        int status;
        while (wait(&status) < 0)
            if (errno != EINTR)
                fail("a child is missing");
        if (status != 0)
            fail("one of them failed");
    }
}

int main(int argc, char **argv)
{
    struct proctrack_error error;
    if (argc != 5)
        fail("usage: birth_probe spawn|clone|enter PROCS_PATH ROUNDS PROGRAM");
    struct probe probe = {.procs_path = argv[2], .fd = -1, .argv = argv + 4};
    bool clones = strcmp(argv[1], "clone") == 0, enters = strcmp(argv[1], "enter") == 0;
    if (clones || enters)
        probe.fd = clones ? proctrack_birth_open_cgroup(argv[2], &error)
                          : proctrack_birth_open(argv[2], &error);
    if ((clones || enters) && probe.fd < 0)
        fail(error.message);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        fail("cannot become a subreaper");
    for (long left = atol(argv[3]); left > 0; left--) {
        pid_t pid = clones   ? by_clone(&probe, &error)
                    : enters ? by_enter(&probe, &error)
                             : by_spawn(&probe, &error);
        if (pid < 0)
            fail(error.message);
        reap_two();
    }
    return 0;
}
