/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Preloaded into a broker it has the broker live with another wall clock, and with a signal that it
 * handles in each of its threads without SA_RESTART. Both are said in a file that DISTURB_FILE
 * names and that is mapped: the test writes how far the clock is off, and reads how many signals
 * were handled.
 *
 * System calls are made directly, so that it does not matter what else is in between.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { NS = 1000000000, SIGNAL_ABOVE_MIN = 7 };

struct disturb {
    _Atomic int64_t clock_ns; /* added to CLOCK_REALTIME */
    _Atomic uint64_t handled; /* signals */
    _Atomic uint64_t asked;   /* how often the wall clock was read */
};

static struct disturb nothing;
static struct disturb *disturb = &nothing;

static int our_signal(void)
{
    return SIGRTMIN + SIGNAL_ABOVE_MIN;
}

static void handle(int signal)
{
    (void)signal;
    atomic_fetch_add(&disturb->handled, 1);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("DISTURB_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof *disturb, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return;
    disturb = map;
    sigaction(our_signal(), &(struct sigaction){.sa_handler = handle}, NULL);
}

/* ---- the clock ---- */

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int r = (int)syscall(SYS_clock_gettime, clock, time);
    if (r < 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return r;
    int64_t ns = time->tv_sec * (int64_t)NS + time->tv_nsec + atomic_load(&disturb->clock_ns);
    *time = (struct timespec){ns / NS, ns % NS};
    atomic_fetch_add(&disturb->asked, 1);
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int r = clock_gettime(CLOCK_REALTIME, &now);
    *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return r;
}

time_t time(time_t *ret)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}

/* ---- the signal ---- */

/* What is asked for, but for our signal, which is never blocked. */
static int set_mask(int how, const sigset_t *set, sigset_t *old)
{
    sigset_t without;
    if (set && how != SIG_UNBLOCK) {
        without = *set;
        sigdelset(&without, our_signal());
        set = &without;
    }
    return (int)syscall(SYS_rt_sigprocmask, how, set, old, _NSIG / 8);
}

int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
    return set_mask(how, set, old);
}

int pthread_sigmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
    return set_mask(how, set, old) < 0 ? errno : 0;
}
