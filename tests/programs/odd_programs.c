/* SPDX-License-Identifier: Apache-2.0 */

/* Odd programs: who execs, when, under which name and with which arguments. */

#include "odd.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- exec ---------------------------------------------------------------------------------- */

static char *const *thread_command;
static pthread_t leader;
static bool wait_for_leader;

static void *exec_in_thread(void *unused)
{
    if (wait_for_leader)
        pthread_join(leader, NULL);
    odd_exec(thread_command);
    return unused;
}

int odd_thread_exec(int argc, char **argv)
{
    wait_for_leader = argc > 0 && strcmp(argv[0], "--leader-gone") == 0;
    thread_command = wait_for_leader ? argv + 1 : argv;
    leader = pthread_self();
    pthread_t thread;
    if ((errno = pthread_create(&thread, NULL, exec_in_thread, NULL)))
        odd_fail("pthread_create");
    if (wait_for_leader)
        pthread_exit(NULL);
    pthread_join(thread, NULL);
    return ODD_FAILED;
}

int odd_exec_later(int argc, char **argv)
{
    (void)argc;
    tell("{\"what\":\"waiting\",\"pid\":%d}", getpid());
    odd_wait_line();
    odd_exec(argv);
}

int odd_exec_chain(int argc, char **argv)
{
    (void)argc;
    long left = odd_number(argv[0], 0, ODD_CHAIN);
    if (left == 0)
        return odd_hold(0, NULL);
    char next[24];
    snprintf(next, sizeof next, "%ld", left - 1);
    odd_exec((char *[]){odd_path, "exec-chain", next, NULL});
}

/* ---- argv ---------------------------------------------------------------------------------- */

enum { LONG_PIECE = 100 * 1024 }; /* two of them; one string may have at most 128 KiB */

static char long_piece[LONG_PIECE + 1];

static char *const *odd_argument_vector(const char *shape)
{
    static char *none[] = {NULL};
    static char *empty[] = {"odd", "", "", "x", NULL};
    static char *newlines[] = {"odd", "one\ntwo", "\n", "tab\there", NULL};
    static char *invalid[] = {"odd", "a\xff\xfe z", "\xc3", "\xe2\x82", "gr\xc3\xbc\xc3\x9f", NULL};
    static char *large[] = {"odd", long_piece, long_piece, NULL};
    static char *trailing[] = {"odd", "last one is empty", "", NULL};
    static char *spaces[] = {"odd  it", " ", "a b", NULL};
    memset(long_piece, 'x', LONG_PIECE);
    const struct {
        const char *name;
        char **argv;
    } shapes[] = {{"none", none},       {"empty", empty}, {"newlines", newlines},
                  {"invalid", invalid}, {"long", large},  {"trailing", trailing},
                  {"spaces", spaces}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shape && strcmp(shape, shapes[i].name) == 0)
            return shapes[i].argv;
    fprintf(stderr, "odd: argv-odd none|empty|newlines|invalid|long|trailing|spaces\n");
    exit(ODD_USAGE);
}

/* The truth about the new argv is in /proc/PID/cmdline while the program holds. */
int odd_argv_odd(int argc, char **argv)
{
    (void)argc;
    char *const *vector = odd_argument_vector(argv[0]);
    setenv(ODD_AGAIN, "1", 1);
    execv(odd_path, vector);
    odd_fail("exec with odd arguments");
}

int odd_retitle(int argc, char **argv)
{
    const char *title = argc > 0 ? argv[0] : "new title";
    char copy[256];
    snprintf(copy, sizeof copy, "%s", title);
    /* argv[-2] is this program's name: its strings lie one behind the other. */
    char *begin = argv[-2];
    char *end = begin;
    for (int i = -2; i < argc; i++)
        end = argv[i] + strlen(argv[i]) + 1;
    size_t room = (size_t)(end - begin);
    memset(begin, 0, room);
    memcpy(begin, copy, strnlen(copy, room - 1));
    tell_ready();
    odd_hold_stdin();
    return 0;
}

/* ---- names and threads --------------------------------------------------------------------- */

int odd_comm_odd(int argc, char **argv)
{
    (void)argc, (void)argv;
    prctl(PR_SET_NAME, "a) R 1 (b");
    pid_t child = odd_fork();
    if (child == 0) {
        tell_born(getpid(), getppid(), "child of an odd name");
        tell_ready();
        odd_hold_stdin();
        _exit(0);
    }
    odd_wait(child);
    return 0;
}

static pthread_barrier_t all_stand;

static void *hold_in_thread(void *unused)
{
    pthread_barrier_wait(&all_stand);
    odd_hold_stdin();
    return unused;
}

int odd_threads(int argc, char **argv)
{
    (void)argc;
    static pthread_t threads[ODD_THREADS];
    long n = odd_number(argv[0], 1, ODD_THREADS);
    pthread_barrier_init(&all_stand, NULL, (unsigned)n + 1);
    for (long i = 0; i < n; i++)
        if ((errno = pthread_create(&threads[i], NULL, hold_in_thread, NULL)))
            odd_fail("pthread_create");
    pthread_barrier_wait(&all_stand);
    tell_ready();
    for (long i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
