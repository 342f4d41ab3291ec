/* SPDX-License-Identifier: Apache-2.0 */

/* signalfd(2) for the signals that the broker knows. */

#include "broker_shim/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int signals_open(int *ret_fd, struct wps_error *error)
{
    static const int known[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        sigaddset(&set, known[i]);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that may not grow is one that takes no more */
    int result = -pthread_sigmask(SIG_BLOCK, &set, NULL);
    int fd = result < 0 ? -1 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return wps_error_system(error, result < 0 ? result : -errno, "preparing for signals");
    *ret_fd = fd;
    return 0;
}

int signals_next(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

static volatile sig_atomic_t status_at_once;

static void end_at_once(int signal_number)
{
    (void)signal_number;
    _exit(status_at_once);
}

void signals_end_at_once(int status)
{
    struct sigaction action = {.sa_handler = end_at_once};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    status_at_once = status;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
