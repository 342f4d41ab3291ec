/* SPDX-License-Identifier: Apache-2.0 */

/* The keeper as a process, with hosts that are nothing but a process with a socket to it. */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "keeper/end.h"
#include "keeper/lock.h"
#include "keeper/start.h"
#include "test_trackers_tools.h"

static const char *ground;
static char block[4200];
static struct odd *member;

static void begin(void)
{
    ground = ground_make();
    snprintf(block, sizeof block, "%s", ground_directory("b-x"));
    member = odd_start(block, "hold", NULL);
    odd_told(member, "ready");
}

static void end(void)
{
    odd_free(&member);
    ground_clear();
}

TestSuite(keeper, .init = begin, .fini = end, .timeout = 240);

/* ---- the module's side ---- */

static void say(int socket, const char *text)
{
    cr_assert_eq(send(socket, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text), "%s", text);
}

/* The next packet; "" at the end. */
static const char *hear(int socket)
{
    static char text[256];
    ssize_t size;
    do {
        poll(&(struct pollfd){.fd = socket, .events = POLLIN}, 1, PATIENCE_MS);
        size = recv(socket, text, sizeof text - 1, 0);
    } while (size < 0 && errno == ECONNRESET);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

/* A keeper that has been told of the block; `*ret_pid` is its own. */
static int start(uint32_t *ret_pid)
{
    struct wps_error error;
    int socket;
    cr_assert_eq(keeper_start(KEEPER, ground, &socket, &error), 0, "%s", error.message);
    cr_assert_eq(sscanf(hear(socket), "ready %u", ret_pid), 1);
    say(socket, "+ 1 b-x");
    cr_assert_str_eq(hear(socket), "done 1");
    return socket;
}

static bool has_keeper(void *unused)
{
    (void)unused;
    return keeper_lock_wait(ground, 0) < 0;
}

static bool has_no_keeper(void *unused)
{
    return !has_keeper(unused);
}

static bool block_is_gone(void *unused)
{
    (void)unused;
    return access(block, F_OK) < 0;
}

/* ---- */

Test(keeper, a_good_bye_leaves_all_alone)
{
    uint32_t pid;
    int socket = start(&pid);
    cr_assert(has_keeper(NULL));
    say(socket, "bye");
    cr_assert_str_eq(hear(socket), "", "it has ended");
    cr_assert(soon(is_gone, &pid));
    cr_assert(soon(has_no_keeper, NULL));
    cr_assert(is_process((uint32_t)member->pid));
    close(socket);
}

Test(keeper, a_good_bye_counts_though_nobody_reads_the_answers)
{
    uint32_t pid;
    int socket = start(&pid);
    for (int i = 2; i < 50; i++) {
        char text[32];
        snprintf(text, sizeof text, "+ %d b-%c%d", i, 'a', i);
        say(socket, text);
    }
    say(socket, "bye");
    close(socket); /* with answers in it: the other side reads a reset */
    cr_assert(soon(is_gone, &pid));
    cr_assert(is_process((uint32_t)member->pid));
}

Test(keeper, the_end_of_the_socket_ends_the_block)
{
    uint32_t pid;
    close(start(&pid));
    cr_assert_eq(odd_end(member), SIGKILL);
    cr_assert(soon(block_is_gone, NULL));
    cr_assert(soon(is_gone, &pid));
}

Test(keeper, what_it_was_told_to_leave_lives)
{
    uint32_t pid;
    int socket = start(&pid);
    say(socket, "- 2 b-x");
    cr_assert_str_eq(hear(socket), "done 2");
    close(socket);
    cr_assert(soon(is_gone, &pid));
    cr_assert(is_process((uint32_t)member->pid));
}

Test(keeper, junk_is_not_answered_and_does_no_harm)
{
    uint32_t pid;
    static char large[4096];
    memset(large, '+', sizeof large - 1);
    int socket = start(&pid);
    say(socket, large);
    say(socket, "+ 2 ../b-x");
    say(socket, "- 3 /b-x");
    say(socket, "done 4");
    say(socket, "+ 5 b-none"); /* there is no such cgroup */
    cr_assert_str_eq(hear(socket), "done 5");
    close(socket);
    cr_assert_eq(odd_end(member), SIGKILL);
    cr_assert(soon(is_gone, &pid));
}

Test(keeper, no_sigchld_and_no_wait_tells_of_it)
{
    uint32_t pid;
    int status;
    sigset_t wanted, pending;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    int socket = start(&pid);
    say(socket, "bye");
    cr_assert(soon(is_gone, &pid));
    close(socket);
    sigpending(&pending);
    cr_assert_not(sigismember(&pending, SIGCHLD));
    cr_assert_eq(waitpid(-1, &status, WNOHANG), 0, "the test's own member and nobody else");
}

Test(keeper, a_program_that_cannot_be_run_is_told)
{
    struct wps_error error;
    int socket;
    cr_assert_eq(keeper_start("/no/such/keeper", ground, &socket, &error), 0, "%s", error.message);
    cr_assert_str_eq(hear(socket), "failed 2");
    cr_assert_str_eq(hear(socket), "");
    close(socket);
}

/* ---- hosts that die ---- */

/* A host that starts a keeper and ends at once by SIGKILL, but leaves a child that holds its
 * descriptors. Both pids come through `told`. */
static void live_as_host(int told)
{
    uint32_t pids[2];
    struct wps_error error;
    int socket;
    if (keeper_start(KEEPER, ground, &socket, &error) < 0 ||
        sscanf(hear(socket), "ready %u", &pids[0]) != 1)
        _exit(1);
    send(socket, "+ 1 b-x", 7, 0);
    hear(socket);
    pids[1] = (uint32_t)fork();
    if (pids[1] == 0)
        for (;;)
            pause();
    if (write(told, pids, sizeof pids) != sizeof pids)
        _exit(1);
    kill(getpid(), SIGKILL);
}

Test(keeper, a_forked_child_that_holds_the_socket_does_not_hold_it_up)
{
    uint32_t pids[2];
    int ends[2], status;
    cr_assert_eq(pipe(ends), 0);
    pid_t host = fork();
    if (host == 0)
        live_as_host(ends[1]);
    cr_assert_eq(read(ends[0], pids, sizeof pids), (ssize_t)sizeof pids);
    cr_assert_eq(waitpid(host, &status, 0), host);
    cr_assert_eq(odd_end(member), SIGKILL);
    cr_assert(soon(block_is_gone, NULL));
    cr_assert(soon(is_gone, &pids[0]));
    cr_assert(is_process(pids[1]), "the child still holds it");
    kill((pid_t)pids[1], SIGKILL);
}

/* ---- the work itself ---- */

static struct kept *kept_of(const char *name, struct kept **kept)
{
    struct keeper_message message = {.verb = KEEPER_KEEP, .number = 1};
    strcpy(message.name, name);
    cr_assert_eq(kept_take(kept, &message), 0);
    return *kept;
}

Test(keeper, frozen_and_leaderless_ones_in_nested_cgroups_end)
{
    char own[4300], freeze[4400];
    struct kept *kept = NULL;
    snprintf(own, sizeof own, "%s/own", block);
    snprintf(freeze, sizeof freeze, "%s/cgroup.freeze", own);
    cr_assert_eq(mkdir(own, 0755), 0);
    struct odd *leaderless = odd_start(block, "leader-leaves", "exit_group", "0", NULL);
    struct odd *frozen = odd_start(own, "hold", NULL);
    odd_told(leaderless, "ready");
    odd_told(frozen, "ready");
    _cleanup_fclose_ FILE *file = fopen(freeze, "we");
    cr_assert(file && fputs("1", file) > 0 && fflush(file) == 0);
    kept_of("b-x", &kept);
    kept_of("b-none", &kept);
    end_blocks(ground, &kept, KEEPER_PATIENCE_MS);
    cr_assert_null(kept, "all of it is over");
    cr_assert_lt(access(block, F_OK), 0);
    cr_assert_eq(odd_end(leaderless), SIGKILL);
    cr_assert_eq(odd_end(frozen), SIGKILL);
    odd_free(&leaderless);
    odd_free(&frozen);
}

Test(keeper, what_does_not_end_in_time_is_named)
{
    struct kept *kept = NULL;
    kept_of("b-x", &kept);
    end_blocks(ground, &kept, 0);
    cr_assert_not_null(kept);
    cr_assert_str_eq(kept->name, "b-x");
    cr_assert_eq(odd_end(member), SIGKILL, "killed it was all the same");
    kept_clear(&kept);
}
