/* SPDX-License-Identifier: Apache-2.0 */

/* Signals as something to read. */

#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void end_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

int signals_open_with(const int *more, size_t n)
{
    sigset_t set;
    end_signals(&set);
    for (size_t i = 0; i < n; i++)
        sigaddset(&set, more[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int signals_open(void)
{
    return signals_open_with(NULL, 0);
}

int signals_read(int fd)
{
    struct signalfd_siginfo info;
    if (fd < 0 || read(fd, &info, sizeof info) != sizeof info)
        return 0;
    return (int)info.ssi_signo;
}

void signals_close(int fd, int signal)
{
    sigset_t set;
    if (fd >= 0)
        close(fd);
    if (signal > 0) {
        fflush(stdout);
        sigemptyset(&set);
        sigaddset(&set, signal);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        raise(signal); /* its action is the default, or it would not have come */
    }
    end_signals(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}
