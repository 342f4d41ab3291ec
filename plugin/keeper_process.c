/* SPDX-License-Identifier: Apache-2.0 */

/* The keeper's process as the module sees it: started, told of promises, watched, replaced, ended.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "keeper/message.h"
#include "keeper/start.h"
#include "plugin/keeper_impl.h"
#include "plugin/setup.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum {
    ANSWER_MS = 5000,    /* then it is taken for dead */
    IDLE_MS = 2000,      /* without any block: it may be wanted again */
    LIVED_MS = 1000,     /* who lived so long, and answered, did not fail to start */
    RETRY_MS = 100,      /* after a failure, doubled with each further one */
    RETRY_MAX_MS = 5000, /* so often at last, for as long as it is wanted */
    BROKEN_AFTER = 3,    /* failures in a row: who waits is refused, and readers are told */
    END_MS = 2000,       /* to end by itself when we stop */
    REAP_MS = 100,       /* to be gone after SIGKILL */
};

static void start(struct keeper *keeper);
static void lost(struct keeper *keeper, const char *why);

/* ---- the timer ---- */

static void wake_at(struct keeper *keeper, uint64_t due_ns)
{
    sd_event_source_set_time(keeper->timer, due_ns / 1000 + 1);
    sd_event_source_set_enabled(keeper->timer, SD_EVENT_ONESHOT);
}

static void wake_in(struct keeper *keeper, unsigned ms)
{
    wake_at(keeper, monotonic_ns() + ms * NS_PER_MS);
}

/* While it runs: for an answer that is late, or where nothing is left to do. */
static void watch_time(struct keeper *keeper)
{
    const struct promise *first = TAILQ_FIRST(&keeper->told);
    if (first)
        wake_at(keeper, first->sent_ns + ANSWER_MS * NS_PER_MS);
    else if (!keeper->promises)
        wake_in(keeper, IDLE_MS);
    else
        sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
}

static int say(struct keeper *keeper, enum keeper_verb verb, const char *name, uint64_t number)
{
    char bytes[KEEPER_MESSAGE_MAX];
    struct keeper_message message = {.verb = verb, .number = number};
    snprintf(message.name, sizeof message.name, "%s", name);
    size_t size = keeper_message_write(bytes, &message);
    return send(keeper->socket, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Nobody wants it: who asks next has it tried anew. */
static void rest(struct keeper *keeper)
{
    keeper->state = OFF;
    keeper->failures = 0;
    keeper_set_broken(keeper, false);
}

int keeper_on_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct keeper *keeper = context;
    const struct promise *first = TAILQ_FIRST(&keeper->told);
    (void)source;
    if (keeper->state == LATER && keeper->promises)
        start(keeper);
    else if (keeper->state == LATER)
        rest(keeper);
    else if (keeper->state != RUNS ||
             (first && first->sent_ns + ANSWER_MS * NS_PER_MS <= now_us * 1000))
        lost(keeper, "does not answer");
    else if (keeper->promises || say(keeper, KEEPER_BYE, "", 0) < 0)
        watch_time(keeper);
    else {
        keeper->state = ENDING;
        wake_in(keeper, ANSWER_MS);
    }
    return 0;
}

/* ---- its end, and the next one ---- */

/* Whoever it is that runs is gone afterwards. It must not take the end of its socket for ours. */
static void cut_off(struct keeper *keeper)
{
    keeper->socket_source = sd_event_source_disable_unref(keeper->socket_source);
    keeper->pidfd_source = sd_event_source_disable_unref(keeper->pidfd_source);
    sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
    if (keeper->socket >= 0)
        say(keeper, KEEPER_BYE, "", 0);
    if (keeper->pidfd >= 0) {
        siginfo_t info;
        syscall(SYS_pidfd_send_signal, keeper->pidfd, SIGKILL, NULL, 0);
        poll(&(struct pollfd){.fd = keeper->pidfd, .events = POLLIN}, 1, REAP_MS);
        /* Ours to reap where we are init, or a child subreaper. */
        waitid((idtype_t)P_PIDFD, (id_t)keeper->pidfd, &info, WEXITED | WNOHANG | __WALL);
    }
    cleanup_close(&keeper->pidfd);
    cleanup_close(&keeper->socket);
    keeper->pidfd = keeper->socket = -1;
    keeper->pid = 0;
    tracker_spare(keeper->module->tracker, TRACKER_KEEPER, 0);
}

void keeper_want(struct keeper *keeper)
{
    bool idle = keeper->state == OFF || (keeper->state == LATER && keeper->broken);
    if (idle && !TAILQ_EMPTY(&keeper->to_tell))
        start(keeper);
}

static void try_later(struct keeper *keeper)
{
    unsigned ms = 0;
    for (unsigned i = 1; i < keeper->failures && ms < RETRY_MAX_MS; i++)
        ms = ms ? ms * 2 : RETRY_MS;
    if (keeper->failures >= BROKEN_AFTER)
        keeper_give_up(keeper);
    if (!keeper->promises) {
        rest(keeper);
        return;
    }
    keeper->state = LATER;
    wake_in(keeper, ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS);
}

static void failed(struct keeper *keeper, bool for_good, const char *why)
{
    module_log(keeper->module, WPS_LOG_WARNING, "the keeper for on_crash: kill: %s", why);
    snprintf(keeper->why, sizeof keeper->why, "%s", why);
    keeper->failures = for_good ? BROKEN_AFTER : keeper->failures + 1;
    cut_off(keeper);
    keeper_forget_told(keeper);
    try_later(keeper);
}

static void lost(struct keeper *keeper, const char *what)
{
    char why[sizeof keeper->why];
    if (keeper->state == ENDING) {
        cut_off(keeper);
        keeper->state = OFF;
        keeper_want(keeper);
        return;
    }
    if (keeper->answered && monotonic_ns() - keeper->started_ns >= LIVED_MS * NS_PER_MS)
        keeper->failures = 0;
    if (keeper->pid)
        snprintf(why, sizeof why, "process %u %s", keeper->pid, what);
    else
        snprintf(why, sizeof why, "it %s before it was ready", what);
    keeper->module->counters.keeper_restarts++;
    failed(keeper, false, why);
}

/* ---- talking to it ---- */

/* The name of a block's directory, by the path that processes join it with. */
static bool name_of(const struct keeper *keeper, const char *id,
                    char name[static KEEPER_NAME_MAX + 1])
{
    char path[TRACKER_PATH_MAX];
    const struct tracker *tracker = keeper->module->tracker;
    if (!tracker_procs_path(tracker, id, "", path))
        return false;
    const char *from = path + strlen(tracker_root_path(tracker)) + 1;
    return snprintf(name, KEEPER_NAME_MAX + 1, "%.*s", (int)strcspn(from, "/"), from) <=
           KEEPER_NAME_MAX;
}

static void watch_socket(struct keeper *keeper)
{
    sd_event_source_set_io_events(keeper->socket_source,
                                  TAILQ_EMPTY(&keeper->to_tell) ? EPOLLIN : EPOLLIN | EPOLLOUT);
    watch_time(keeper);
}

void keeper_flush(struct keeper *keeper)
{
    struct promise *promise;
    int r = 0;
    if (keeper->state != RUNS)
        return;
    while (r == 0 && (promise = TAILQ_FIRST(&keeper->to_tell))) {
        char name[KEEPER_NAME_MAX + 1] = "";
        name_of(keeper, promise->id, name);
        r = say(keeper, promise->wish ? KEEPER_KEEP : KEEPER_LEAVE, name, keeper->last_number + 1);
        if (r < 0)
            break;
        keeper_take_out(keeper, promise);
        promise->told = promise->wish;
        promise->number = ++keeper->last_number;
        promise->sent_ns = monotonic_ns();
        promise->where = IN_TOLD;
        TAILQ_INSERT_TAIL(&keeper->told, promise, link);
    }
    watch_socket(keeper); /* where it is dead, that is read there */
}

static void on_done(struct keeper *keeper, uint64_t number)
{
    struct promise *promise;
    keeper->answered = true;
    while ((promise = TAILQ_FIRST(&keeper->told)) && promise->number <= number) {
        keeper_take_out(keeper, promise);
        keeper_look_at(keeper, promise);
    }
    if (TAILQ_EMPTY(&keeper->told) && TAILQ_EMPTY(&keeper->to_tell))
        keeper_set_broken(keeper, false);
    keeper_flush(keeper);
}

static int on_pidfd(sd_event_source *source, int fd, uint32_t events, void *context)
{
    (void)source, (void)fd, (void)events;
    lost(context, "has ended");
    return 0;
}

static void on_ready(struct keeper *keeper, uint32_t pid)
{
    keeper->pid = pid;
    keeper->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (keeper->pidfd >= 0)
        sd_event_add_io(keeper->module->event, &keeper->pidfd_source, keeper->pidfd, EPOLLIN,
                        on_pidfd, keeper);
    tracker_spare(keeper->module->tracker, TRACKER_KEEPER, pid);
    keeper->state = RUNS;
    setup_note(keeper->module, "keeper", true, "it was started, and works");
    module_log(keeper->module, WPS_LOG_DEBUG, "the keeper for on_crash: kill is process %u", pid);
    keeper_flush(keeper);
}

/* It could not become what it is to be. */
static void on_failed(struct keeper *keeper, int reason)
{
    char why[sizeof keeper->why];
    bool for_good = reason == ENOENT || reason == EACCES || reason == ENOEXEC || reason == EPERM;
    snprintf(why, sizeof why, "cannot run %.150s: %s", keeper->path, strerror(reason));
    failed(keeper, for_good, why);
}

/* False where it is not the keeper of before any more. */
static bool take(struct keeper *keeper, const struct keeper_message *message)
{
    if (message->verb == KEEPER_FAILED) {
        on_failed(keeper, (int)message->number);
        return false;
    }
    if (message->verb == KEEPER_READY && keeper->state == STARTING)
        on_ready(keeper, (uint32_t)message->number);
    else if (message->verb == KEEPER_DONE && keeper->state == RUNS)
        on_done(keeper, message->number);
    return true;
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct keeper *keeper = context;
    (void)source, (void)events;
    for (;;) {
        char bytes[KEEPER_MESSAGE_MAX + 1];
        struct keeper_message message;
        ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (size < 0 && (errno == EINTR || errno == ECONNRESET))
            continue;
        if (size < 0 && errno == EAGAIN)
            break;
        if (size <= 0) {
            lost(keeper, "has ended");
            return 0;
        }
        if (keeper_message_read(&message, bytes, (size_t)size) == 0 && !take(keeper, &message))
            return 0;
    }
    keeper_flush(keeper);
    return 0;
}

/* ---- starting it ---- */

struct start_job {
    struct job job;
    const char *path, *root;
    int result, socket;
    struct wps_error error;
};

static void run_start(struct job *job)
{
    struct start_job *start = (struct start_job *)job;
    start->result = keeper_start(start->path, start->root, &start->socket, &start->error);
}

static void on_started(struct job *job, void *context)
{
    struct start_job *start = (struct start_job *)job;
    struct keeper *keeper = context;
    int r = start->result;
    keeper->socket = r < 0 ? -1 : start->socket;
    if (r == 0 && !keeper->ended)
        r = sd_event_add_io(keeper->module->event, &keeper->socket_source, keeper->socket, EPOLLIN,
                            on_socket, keeper);
    if (keeper->ended)
        cut_off(keeper);
    else if (r < 0)
        failed(keeper, false, start->result < 0 ? start->error.message : "it cannot be watched");
    else
        wake_in(keeper, ANSWER_MS);
    free(start);
}

static void start(struct keeper *keeper)
{
    struct start_job *start = calloc(1, sizeof *start);
    if (!start) {
        failed(keeper, false, "out of memory");
        return;
    }
    *start = (struct start_job){
        .job = {.run = run_start, .done = on_started, .context = keeper, .urgent = true},
        .path = keeper->path,
        .root = tracker_root_path(keeper->module->tracker),
        .result = -ECANCELED,
        .error = {"it was not started: the module stops"},
        .socket = -1,
    };
    keeper->state = STARTING;
    keeper->answered = false;
    keeper->started_ns = monotonic_ns();
    sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
    workers_submit(keeper->module->workers, &start->job);
}

/* ---- the end ---- */

/* Waits until it is gone; before it said its pid that is the end of its socket. */
static void await_end(const struct keeper *keeper, uint64_t until_ns)
{
    char bytes[KEEPER_MESSAGE_MAX];
    struct pollfd fd = {.fd = keeper->pidfd >= 0 ? keeper->pidfd : keeper->socket,
                        .events = POLLIN};
    for (uint64_t now; (now = monotonic_ns()) < until_ns;) {
        if (poll(&fd, 1, (int)((until_ns - now) / NS_PER_MS) + 1) <= 0)
            continue;
        if (keeper->pidfd >= 0 || recv(keeper->socket, bytes, sizeof bytes, MSG_DONTWAIT) == 0)
            return;
    }
}

void keeper_end(struct module *module)
{
    struct keeper *keeper = module->keeper;
    if (!keeper)
        return;
    uint64_t until_ns = monotonic_ns() + END_MS * NS_PER_MS;
    keeper->ended = true;
    if (keeper->socket < 0)
        return; /* none, or it is being started: on_started ends it */
    while (say(keeper, KEEPER_BYE, "", 0) == -EAGAIN && monotonic_ns() < until_ns)
        poll(&(struct pollfd){.fd = keeper->socket, .events = POLLOUT}, 1, END_MS);
    await_end(keeper, until_ns);
    cut_off(keeper);
    keeper->state = OFF;
}
