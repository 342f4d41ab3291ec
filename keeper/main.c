/* SPDX-License-Identifier: Apache-2.0 */

/*
 * proctrack-keeper: ends the blocks whose broker died. The module starts it (start.h) and tells it
 * which blocks those are (message.h); then it waits for one of
 *
 *   - "bye": the broker stops in order, and so does the keeper;
 *   - the end of its socket, or of the host's process: the broker died, by kill -9 say. It kills
 *     the blocks, removes them, and ends, within KEEPER_PATIENCE_MS.
 *
 * It watches both, as a child that the host forked may hold the other end of the socket open.
 * As a holder (start.h) it is told of a scope, and ends nobody. It is there to be in that cgroup,
 * which would be taken away if it were empty, and stays for a while behind its host, so that the
 * next one finds it; if it was told of none yet, it ends at once.
 *
 * Nobody can make it outlive its host but by stopping it. What ends services politely it does not
 * hear: a service that is stopped in order says bye, and one that crashes needs it all the more.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#include "keeper/end.h"
#include "keeper/kept.h"
#include "keeper/lock.h"
#include "keeper/start.h"

enum { SOCKET = STDIN_FILENO, USAGE = 64, DESCRIPTORS_MAX = 65536 };

enum outcome { GO_ON, BYE, HOST_DIED };

struct keeper {
    struct kept *kept;
    uint64_t taken, told; /* numbers: of the newest message, and as the module knows it */
};

/* ---- what it is not to have, and not to hear ---- */

static void close_the_rest(void)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, KEEPER_HOST_FD + 1, ~0U, 0) == 0)
        return;
#endif
    for (int fd = KEEPER_HOST_FD + 1; fd < DESCRIPTORS_MAX; fd++)
        close(fd);
}

static void ignore_signals(void)
{
    static const int ignored[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE,
                                  SIGALRM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCHLD};
    sigset_t none;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&none); /* it was started with all of them blocked */
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---- its socket ---- */

/* False where there is no room: the module reads slowly. */
static bool say(enum keeper_verb verb, uint64_t number)
{
    char bytes[KEEPER_MESSAGE_MAX];
    struct keeper_message message = {.verb = verb, .number = number};
    size_t size = keeper_message_write(bytes, &message);
    return send(SOCKET, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

/* The newest number stands for all before it. */
static void tell_taken(struct keeper *keeper)
{
    if (keeper->told != keeper->taken && say(KEEPER_DONE, keeper->taken))
        keeper->told = keeper->taken;
}

static enum outcome take(struct keeper *keeper, const char *bytes, size_t size)
{
    struct keeper_message message;
    if (keeper_message_read(&message, bytes, size) < 0)
        return GO_ON; /* it is not answered, and the module takes that for a failure */
    if (message.verb == KEEPER_BYE)
        return BYE;
    if (kept_take(&keeper->kept, &message) == 0)
        keeper->taken = message.number;
    return GO_ON;
}

/* Takes all that is there. */
static enum outcome read_socket(struct keeper *keeper)
{
    char bytes[KEEPER_MESSAGE_MAX + 1]; /* one that fills it was longer, and is none of ours */
    for (;;) {
        ssize_t size = recv(SOCKET, bytes, sizeof bytes, MSG_DONTWAIT);
        if (size == 0)
            return HOST_DIED;
        /* A reset is told before what was sent ahead of it, a "bye" perhaps. */
        if (size < 0 && (errno == EINTR || errno == ECONNRESET))
            continue;
        if (size < 0)
            return errno == EAGAIN ? GO_ON : HOST_DIED;
        enum outcome outcome = take(keeper, bytes, (size_t)size);
        if (outcome != GO_ON)
            return outcome;
    }
}

static enum outcome wait_for_the_end(struct keeper *keeper)
{
    enum outcome outcome = GO_ON;
    struct pollfd fds[] = {{.fd = SOCKET}, {.fd = KEEPER_HOST_FD, .events = POLLIN}};
    while (outcome == GO_ON) {
        fds[0].events = keeper->told == keeper->taken ? POLLIN : POLLIN | POLLOUT;
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents & POLLNVAL)
            fds[1].fd = -1; /* this kernel has no pidfd */
        outcome = read_socket(keeper);
        tell_taken(keeper);
        if (outcome == GO_ON && fds[1].revents & POLLIN)
            outcome = HOST_DIED;
    }
    return outcome;
}

/* ---- */

static void name_the_rest(const char *root, const struct kept *kept)
{
    if (!kept)
        return;
    openlog("proctrack-keeper", LOG_PID, LOG_DAEMON);
    for (const struct kept *one = kept; one; one = one->by_name.next)
        syslog(LOG_WARNING, "the broker died, and %s/%s could not be ended in time", root,
               one->name);
}

static bool is_started_by_a_module(int argc)
{
    int type = 0;
    socklen_t size = sizeof type;
    return argc >= 2 && getsockopt(SOCKET, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
           type == SOCK_SEQPACKET;
}

/* `patience` is a number of milliseconds, as our starter wrote it. */
static int hold(const char *patience)
{
    struct keeper keeper = {0};
    if (chdir("/") < 0) {
        say(KEEPER_FAILED, (uint64_t)errno);
        return 1;
    }
    say(KEEPER_READY, (uint64_t)getpid());
    if (wait_for_the_end(&keeper) == HOST_DIED && keeper.kept)
        poll(NULL, 0, atoi(patience));
    kept_clear(&keeper.kept);
    return 0;
}

static int keep(const char *root)
{
    struct keeper keeper = {0};
    int lock = keeper_lock_hold(root);
    if (lock < 0 || chdir("/") < 0) {
        say(KEEPER_FAILED, lock < 0 ? (uint64_t)-lock : (uint64_t)errno);
        return 1;
    }
    say(KEEPER_READY, (uint64_t)getpid());
    if (wait_for_the_end(&keeper) == HOST_DIED)
        end_blocks(root, &keeper.kept, KEEPER_PATIENCE_MS);
    name_the_rest(root, keeper.kept);
    kept_clear(&keeper.kept);
    return 0;
}

int main(int argc, char **argv)
{
    if (!is_started_by_a_module(argc)) {
        fputs("proctrack-keeper is started by proctrack.so: it ends the blocks of a broker that "
              "died\n",
              stderr);
        return USAGE;
    }
    ignore_signals();
    close_the_rest();
    return argc > 2 && strcmp(argv[1], KEEPER_HOLD) == 0 ? hold(argv[2]) : keep(argv[1]);
}
