/* SPDX-License-Identifier: Apache-2.0 */

/* Odd ends: exit statuses, signals, and processes that outlive their first thread. */

#include "odd.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int odd_hold(int argc, char **argv)
{
    (void)argc, (void)argv;
    tell_ready();
    odd_hold_stdin();
    tell_ends(getpid(), 0);
    return 0;
}

int odd_exit(int argc, char **argv)
{
    (void)argc;
    return (int)odd_number(argv[0], 0, 255);
}

static void limit_core(bool wanted)
{
    struct rlimit limit = {0, 0};
    if (wanted) {
        getrlimit(RLIMIT_CORE, &limit);
        limit.rlim_cur = limit.rlim_max;
    }
    setrlimit(RLIMIT_CORE, &limit);
}

static void die_of(int number)
{
    signal(number, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    kill(getpid(), number);
}

int odd_signal(int argc, char **argv)
{
    int number = (int)odd_number(argv[0], 1, SIGRTMAX);
    limit_core(argc > 1 && strcmp(argv[1], "core") == 0);
    tell("{\"what\":\"dies\",\"pid\":%d,\"signal\":%d}", getpid(), number);
    die_of(number);
    return ODD_FAILED; /* a signal that kills nobody */
}

int odd_ignore_term(int argc, char **argv)
{
    (void)argc, (void)argv;
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    tell_ready();
    odd_hold_stdin();
    return 0;
}

/* ---- the leader leaves --------------------------------------------------------------------- */

static enum { BY_EXIT_GROUP, BY_RAW_EXIT, BY_SIGNAL } way;
static int number;

/* True where the first thread of this process has left: it is a zombie among the threads. */
static bool leader_left(void)
{
    char line[512] = "";
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return false;
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    const char *bracket = strrchr(line, ')');
    return bracket && bracket[1] && bracket[2] == 'Z';
}

/* There is no event for the end of a leader: look until it is so, some microseconds later. */
static void wait_leader_left(void)
{
    while (!leader_left())
        sched_yield();
}

static void *stay_behind(void *unused)
{
    wait_leader_left();
    tell_ready();
    odd_hold_stdin();
    if (way == BY_EXIT_GROUP) {
        tell_ends(getpid(), number << 8);
        _exit(number);
    }
    if (way == BY_SIGNAL) {
        tell_ends(getpid(), number);
        die_of(number);
    }
    /* Whose status counts is the kernel's affair: the last one's since Linux 5.19, before it the
     * leader's. Who waits for this process knows. */
    syscall(SYS_exit, number);
    return unused;
}

static int read_way(const char *name)
{
    static const char *names[] = {"exit_group", "raw", "signal"};
    for (int i = 0; i < 3; i++)
        if (name && strcmp(name, names[i]) == 0)
            return i;
    fprintf(stderr, "odd: leader-leaves exit_group|raw|signal N\n");
    exit(ODD_USAGE);
}

int odd_leader_leaves(int argc, char **argv)
{
    way = (unsigned)read_way(argv[0]);
    number = (int)odd_number(argc > 1 ? argv[1] : NULL, 0, way == BY_SIGNAL ? SIGRTMAX : 255);
    limit_core(false);
    pthread_t thread;
    if ((errno = pthread_create(&thread, NULL, stay_behind, NULL)))
        odd_fail("pthread_create");
    if (way == BY_RAW_EXIT)
        syscall(SYS_exit, 99);
    pthread_exit(NULL);
}
