/* SPDX-License-Identifier: Apache-2.0 */

/*
 * launch FD [-j PROCS-FILE] [-e NAME=VALUE]... -- PROGRAM ARGS: becomes the program, as a test
 * wants it: killed when the thread that started it ends; -j: moved to the cgroup of that file; -e:
 * with that in its environment. FD is closed when the program runs; where it cannot be run, it gets
 * the number of the error first.
 *
 * What Python would do between fork and exec; but a fork of Python costs a hundred times as much as
 * this.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { FAILED = 125 };

static int fail(int fd)
{
    dprintf(fd, "%d", errno);
    return FAILED;
}

static int join(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        return -1;
    return close(fd);
}

int main(int argc, char **argv)
{
    int fd = argc > 1 ? atoi(argv[1]) : 0;
    if (fd <= STDERR_FILENO || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return FAILED;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return fail(fd);
    optind = 2;
    for (int option; (option = getopt(argc, argv, "+j:e:")) >= 0;)
        if ((option == 'j' && join(optarg) < 0) || (option == 'e' && putenv(optarg) < 0) ||
            option == '?')
            return fail(fd);
    errno = EINVAL;
    if (optind < argc)
        execvp(argv[optind], argv + optind);
    return fail(fd);
}
