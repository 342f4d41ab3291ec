/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The module's side of the keeper. A promise stands for one block id: what was asked for, and what
 * the keeper that runs was told. Where these differ it waits in `to_tell`, from the message to its
 * answer in `told`; asks wait in it until it is in neither. Promises are apart from blocks, for
 * they begin before a block does and end after it.
 */

#include "plugin/keeper.h"

#include <dlfcn.h>
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
#include "keeper/lock.h"
#include "keeper/message.h"
#include "keeper/start.h"
#include "plugin/blocks_impl.h"
#include "plugin/clock.h"
#include "plugin/publish.h"
#include "plugin/setup.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum {
    ANSWER_MS = 5000,    /* then it is taken for dead */
    IDLE_MS = 2000,      /* without any block: it may be wanted again */
    LIVED_MS = 1000,     /* who lived so long did not fail to start */
    RETRY_MS = 100,      /* after a failure, doubled with each further one */
    RETRY_MAX_MS = 5000, /* so often at last, for as long as it is wanted */
    BROKEN_AFTER = 3,    /* failures in a row: then asks are refused, and readers are told */
    END_MS = 2000,       /* to end by itself when we stop */
    REAP_MS = 100,       /* to be gone after SIGKILL */
};

struct promise {
    UT_hash_handle by_id;
    bool wish; /* on_crash: kill, as it was asked for last */
    bool told; /* the same, as the keeper was told last */
    bool held; /* it was in force once: it is a block's, and not only asked for */
    enum { NOWHERE, IN_TO_TELL, IN_TOLD } where;
    TAILQ_ENTRY(promise) link;
    uint64_t number, sent_ns; /* of the message, while IN_TOLD */
    struct asks waiting;
    char id[BLOCK_ID_MAX + 1];
};

struct keeper {
    struct module *module;
    char path[OPTION_TEXT_MAX + 32];
    enum {
        OFF,
        LATER,    /* the timer starts it */
        STARTING, /* until it says that it is ready */
        RUNS,
        ENDING, /* it was told bye */
    } state;
    bool ended;        /* no other one is started */
    bool broken;       /* it failed too often, and runs not yet again */
    unsigned failures; /* in a row */
    char why[256];     /* of the newest failure */
    uint64_t started_ns, last_number;
    uint32_t pid;
    int socket, pidfd;
    sd_event_source *socket_source, *pidfd_source, *timer;
    struct promise *promises;
    TAILQ_HEAD(promises, promise) to_tell, told;
};

static void start(struct keeper *keeper);
static void lost(struct keeper *keeper, const char *why);
static void flush(struct keeper *keeper);

/* ---- promises ---- */

static struct promise *promise_of(const struct keeper *keeper, struct text id)
{
    struct promise *promise;
    HASH_FIND(by_id, keeper->promises, id.at, id.size, promise);
    return promise;
}

static struct promise *add_promise(struct keeper *keeper, struct text id)
{
    struct promise *promise = calloc(1, sizeof *promise);
    if (!promise)
        return NULL;
    text_copy(promise->id, id);
    TAILQ_INIT(&promise->waiting);
    HASH_ADD_KEYPTR(by_id, keeper->promises, promise->id, id.size, promise);
    if (promise->by_id.tbl)
        return promise;
    free(promise);
    return NULL;
}

static void take_out(struct keeper *keeper, struct promise *promise)
{
    if (promise->where == IN_TO_TELL)
        TAILQ_REMOVE(&keeper->to_tell, promise, link);
    else if (promise->where == IN_TOLD)
        TAILQ_REMOVE(&keeper->told, promise, link);
    promise->where = NOWHERE;
}

static void drop_promise(struct keeper *keeper, struct promise *promise)
{
    take_out(keeper, promise);
    HASH_DELETE(by_id, keeper->promises, promise);
    free(promise);
}

/* What was asked for is in force: who waits for it goes on. Nothing of the promise is used behind
 * it. */
static void in_force(struct keeper *keeper, struct promise *promise)
{
    struct asks waiting;
    struct ask *ask;
    blocks_take_asks(&promise->waiting, &waiting);
    promise->held = promise->wish;
    if (!promise->wish)
        drop_promise(keeper, promise);
    while ((ask = TAILQ_FIRST(&waiting))) {
        TAILQ_REMOVE(&waiting, ask, link);
        ask->settled = true;
        if (keeper->module->stopping)
            control_refuse(ask, ERRORCODE_INTERNAL, "the broker is going down");
        else
            blocks_ensure(keeper->module, ask);
    }
}

/* Something of it has changed: it is to be told, or it is in force. */
static void look_at(struct keeper *keeper, struct promise *promise)
{
    if (promise->where == IN_TOLD)
        return; /* its answer comes first */
    if (promise->wish == promise->told) {
        take_out(keeper, promise);
        in_force(keeper, promise);
    } else if (promise->where == NOWHERE) {
        promise->where = IN_TO_TELL;
        TAILQ_INSERT_TAIL(&keeper->to_tell, promise, link);
    }
}

static bool has_held(const struct keeper *keeper)
{
    for (const struct promise *promise = keeper->promises; promise; promise = promise->by_id.next)
        if (promise->held)
            return true;
    return false;
}

/* ---- what it answers for ---- */

static void refuse_kill(const struct keeper *keeper, struct ask *ask)
{
    control_refuse(ask, ERRORCODE_NOT_SUPPORTED,
                   "data.on_crash: kill: the keeper that would do it does not run: %s",
                   keeper->why);
}

/* Readers are told where the promise begins or ceases to hold. */
static void set_broken(struct keeper *keeper, bool broken)
{
    struct module *module = keeper->module;
    struct block *block, *next;
    if (keeper->broken == broken)
        return;
    keeper->broken = broken;
    if (!has_held(keeper))
        return;
    setup_confidence(module);
    HASH_ITER (by_id, module->registry.blocks, block, next)
        if (block->state == BLOCK_LIVE)
            publish_block_changed(module, block);
}

/* It cannot be had now: nobody waits for it. Blocks that it was to end stay on its list. */
static void give_up_for_now(struct keeper *keeper)
{
    struct promise *promise, *next;
    struct ask *ask;
    HASH_ITER (by_id, keeper->promises, promise, next) {
        while ((ask = TAILQ_FIRST(&promise->waiting))) {
            TAILQ_REMOVE(&promise->waiting, ask, link);
            refuse_kill(keeper, ask);
        }
        if (!promise->held)
            drop_promise(keeper, promise);
    }
    setup_note(keeper->module, "keeper", false, keeper->why);
    set_broken(keeper, keeper->promises != NULL);
}

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

static int on_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct keeper *keeper = context;
    const struct promise *first = TAILQ_FIRST(&keeper->told);
    (void)source;
    if (keeper->state == LATER)
        start(keeper);
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
    tracker_spare(keeper->module->tracker, 0);
}

/* What the one that is gone was told, the next one does not know. */
static void forget_told(struct keeper *keeper)
{
    struct promise *promise, *next;
    HASH_ITER (by_id, keeper->promises, promise, next) {
        take_out(keeper, promise);
        promise->told = false;
        look_at(keeper, promise);
    }
}

static void want(struct keeper *keeper)
{
    if (keeper->state == OFF && !TAILQ_EMPTY(&keeper->to_tell))
        start(keeper);
}

static void try_later(struct keeper *keeper)
{
    unsigned ms = 0;
    for (unsigned i = 1; i < keeper->failures && ms < RETRY_MAX_MS; i++)
        ms = ms ? ms * 2 : RETRY_MS;
    if (keeper->failures >= BROKEN_AFTER)
        give_up_for_now(keeper);
    keeper->state = keeper->promises ? LATER : OFF;
    if (keeper->state == LATER)
        wake_in(keeper, ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS);
    else
        keeper->failures = 0; /* who asks next has it tried anew */
}

static void failed(struct keeper *keeper, bool for_good, const char *why)
{
    module_log(keeper->module, WPS_LOG_WARNING, "the keeper for on_crash: kill: %s", why);
    snprintf(keeper->why, sizeof keeper->why, "%s", why);
    keeper->failures = for_good ? BROKEN_AFTER : keeper->failures + 1;
    cut_off(keeper);
    forget_told(keeper);
    try_later(keeper);
}

static void lost(struct keeper *keeper, const char *what)
{
    char why[sizeof keeper->why];
    if (keeper->state == ENDING) {
        cut_off(keeper);
        keeper->state = OFF;
        want(keeper);
        return;
    }
    if (monotonic_ns() - keeper->started_ns >= LIVED_MS * NS_PER_MS)
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

/* Tells it as much as the socket takes. */
static void flush(struct keeper *keeper)
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
        take_out(keeper, promise);
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
    while ((promise = TAILQ_FIRST(&keeper->told)) && promise->number <= number) {
        take_out(keeper, promise);
        look_at(keeper, promise);
    }
    if (TAILQ_EMPTY(&keeper->told) && TAILQ_EMPTY(&keeper->to_tell))
        set_broken(keeper, false);
    flush(keeper);
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
    tracker_spare(keeper->module->tracker, pid);
    keeper->state = RUNS;
    setup_note(keeper->module, "keeper", true, "it was started, and works");
    module_log(keeper->module, WPS_LOG_DEBUG, "the keeper for on_crash: kill is process %u", pid);
    flush(keeper);
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
    flush(keeper);
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
    keeper->started_ns = monotonic_ns();
    sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
    workers_submit(keeper->module->workers, &start->job);
}

/* ---- for the others ---- */

/* Beside the file that this code is in. */
static void find_program(struct keeper *keeper)
{
    static const char name[] = "proctrack-keeper";
    Dl_info info;
    if (keeper->module->options.keeper[0]) {
        snprintf(keeper->path, sizeof keeper->path, "%s", keeper->module->options.keeper);
        return;
    }
    _cleanup_free_ char *own =
        dladdr((void *)(uintptr_t)keeper_open, &info) ? realpath(info.dli_fname, NULL) : NULL;
    const char *slash = own ? strrchr(own, '/') : NULL;
    if (!slash || snprintf(keeper->path, sizeof keeper->path, "%.*s/%s", (int)(slash - own), own,
                           name) >= (int)sizeof keeper->path)
        snprintf(keeper->path, sizeof keeper->path, "%s", name);
}

int keeper_open(struct module *module, struct wps_error *error)
{
    char why[512];
    if (!(tracker_traits(module->tracker) & TRACKER_HAS_PLACES))
        return 0;
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return wps_error_set(error, -ENOMEM, "out of memory");
    keeper->module = module;
    keeper->socket = keeper->pidfd = -1;
    TAILQ_INIT(&keeper->to_tell);
    TAILQ_INIT(&keeper->told);
    module->keeper = keeper;
    int r = sd_event_add_time(module->event, &keeper->timer, CLOCK_MONOTONIC, UINT64_MAX, 1,
                              on_timer, keeper);
    if (r < 0)
        return wps_error_system(error, r, "cannot make a timer");
    sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
    find_program(keeper);
    bool there = access(keeper->path, X_OK) == 0;
    snprintf(why, sizeof why, "%s%.400s%s%s",
             there ? "on_crash: kill can be had: " : "on_crash: kill cannot be had: ", keeper->path,
             there ? "" : ": ", there ? "" : strerror(errno));
    setup_note(module, "keeper", there, why);
    return 0;
}

void keeper_wait_for_last(struct module *module)
{
    if (module->keeper &&
        keeper_lock_wait(tracker_root_path(module->tracker), KEEPER_WAIT_MS) == -ETIMEDOUT)
        module_log(module, WPS_LOG_WARNING,
                   "the keeper of the broker before is still at work on %s: blocks that it ends "
                   "may be adopted",
                   tracker_root_path(module->tracker));
}

bool keeper_settle(struct module *module, struct ask *ask)
{
    struct keeper *keeper = module->keeper;
    bool kill = ask->request.kill_on_crash;
    if (!ask->request.has_on_crash || ask->settled || (!keeper && !kill))
        return true;
    if (!keeper) {
        control_refuse(ask, ERRORCODE_NOT_SUPPORTED,
                       "data.on_crash: kill holds with the tracker cgroup alone, and here it is "
                       "%s: leave it out, or ask for keep",
                       tracker_name(module->tracker));
        return false;
    }
    if (kill && keeper->broken) {
        refuse_kill(keeper, ask);
        return false;
    }
    struct promise *promise = promise_of(keeper, ask->request.block_id);
    if (!promise && !kill)
        return true;
    if (!promise && !(promise = add_promise(keeper, ask->request.block_id))) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return false;
    }
    promise->wish = kill;
    TAILQ_INSERT_TAIL(&promise->waiting, ask, link);
    look_at(keeper, promise);
    want(keeper);
    flush(keeper);
    return false;
}

void keeper_forget(struct module *module, struct text block_id)
{
    struct keeper *keeper = module->keeper;
    struct promise *promise = keeper ? promise_of(keeper, block_id) : NULL;
    if (!promise || !TAILQ_EMPTY(&promise->waiting))
        return; /* who waits wants another block of that id, and it is his promise now */
    promise->wish = promise->held = false;
    look_at(keeper, promise);
    flush(keeper);
}

void keeper_doubt(const struct module *module, char *reason, size_t room)
{
    const struct keeper *keeper = module->keeper;
    size_t used = strlen(reason);
    if (keeper && keeper->broken && has_held(keeper))
        snprintf(reason + used, room - used, "; on_crash: kill does not hold now: %s", keeper->why);
}

uint32_t keeper_pid(const struct module *module)
{
    return module->keeper ? module->keeper->pid : 0;
}

unsigned keeper_blocks(const struct module *module)
{
    return module->keeper ? HASH_CNT(by_id, module->keeper->promises) : 0;
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

void keeper_close(struct module *module)
{
    struct keeper *keeper = module->keeper;
    struct promise *promise, *next;
    if (!keeper)
        return;
    HASH_ITER (by_id, keeper->promises, promise, next)
        drop_promise(keeper, promise); /* control answers those who wait */
    sd_event_source_disable_unref(keeper->timer);
    free(keeper);
    module->keeper = NULL;
}
