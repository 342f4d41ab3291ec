/* SPDX-License-Identifier: Apache-2.0 */

/*
 * wait_empty and stop_tree.
 *
 *   wait_empty:          watch -> look, at each change -> answer
 *   stop_tree:  signal -> watch -> look, at each change -> kill, at the end of grace -> look ->
 * answer
 */

#include "plugin/waits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/blocks_impl.h"
#include "plugin/intake.h"
#include "plugin/limits.h"
#include "plugin/outside.h"
#include "plugin/scan.h"
#include "plugin/snapshot.h"
#include "plugin/survivors.h"

enum {
    KILL_AGAIN_MS = 100,      /* while somebody is left, at first */
    KILL_AGAIN_MAX_MS = 2000, /* and in the end */
    TELL_MS = 300,            /* for the news of deaths, once the kernel says that it is empty */
    NAME_MS = 1000,           /* for a look outside at the deadline, where none was made yet */
};

#define NEVER UINT64_MAX

struct wait {
    LIST_ENTRY(wait) all;
    struct module *module;
    struct block *block; /* null: it is gone */
    struct ask *ask;
    struct outside *outside;   /* stop_tree: who belongs to it outside; null: not asked yet */
    bool is_last;              /* nobody is in the block, and it was looked for them since */
    bool is_naming;            /* its deadline is over, and it waits for the first such look */
    char epoch[EPOCH_MAX + 1]; /* of the block that is gone */
    uint64_t seq;
    uint64_t number;        /* operations at the workers find it again by this */
    int fd;                 /* says when the kernel thinks that it is empty; -1: it has no word */
    sd_event_source *watch; /* of fd */
    bool is_watched;        /* fd is there, or will never be */
    bool is_late;           /* its deadline was before that */
    bool kills;             /* grace is over */
    uint64_t exited, killed;
    /* CLOCK_MONOTONIC: of the answer, of the next kill, of a look at what was not told */
    uint64_t deadline_ns, kill_ns, tell_ns;
    unsigned patience_ms;
};

static struct text scope_of(const struct wait *wait)
{
    return wait->ask->request.scope;
}

static bool is_meant(const struct wait *wait, const struct process *process)
{
    struct text scope = scope_of(wait);
    return process->block == wait->block &&
           (!scope.size || subscope_covers(scope, text_of(process->scope->name)));
}

/* Members that the registry has, told or not. */
static unsigned n_left(const struct wait *wait)
{
    const struct scope *scope;
    unsigned n = 0;
    if (!wait->block)
        return 0;
    if (!scope_of(wait).size)
        return wait->block->n_processes;
    SLIST_FOREACH (scope, &wait->block->scopes, in_block)
        if (subscope_covers(scope_of(wait), text_of(scope->name)))
            n += scope->n_processes;
    return n;
}

static bool is_stop(const struct wait *wait)
{
    return wait->ask->request.command == CONTROL_STOP_TREE;
}

/* ---- answers ---- */

/* Lets go of all but the ask. */
static struct ask *release(struct wait *wait)
{
    struct ask *ask = wait->ask;
    LIST_REMOVE(wait, all);
    sd_event_source_disable_unref(wait->watch);
    outside_end(&wait->outside);
    ask->timer = sd_event_source_disable_unref(ask->timer);
    if (wait->fd >= 0)
        close(wait->fd);
    free(wait);
    return ask;
}

static struct block_version version_of(const struct wait *wait)
{
    return wait->block ? blocks_version(wait->block)
                       : (struct block_version){text_of(wait->epoch), wait->seq};
}

static int find_survivors(struct wait *wait, struct survivor **survivors, size_t *n)
{
    int r = 0;
    *survivors = NULL;
    *n = 0;
    if (wait->block)
        r = survivors_find(wait->block, scope_of(wait), survivors, n);
    return r == 0 && wait->outside ? outside_add_survivors(wait->outside, survivors, n) : r;
}

/* What is packed lives as long as the search outside, which ends with the wait. */
static void answer_stop(struct wait *wait)
{
    _cleanup_free_ struct survivor *survivors = NULL;
    struct stop_reply reply = {
        .version = version_of(wait),
        .exited = wait->exited,
        .killed = wait->killed,
        .elapsed_ms = (monotonic_ns() - wait->ask->began_ns) / NS_PER_MS,
    };
    if (find_survivors(wait, &survivors, &reply.n_survivors) < 0) {
        control_refuse(release(wait), ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    if (wait->outside)
        outside_count(wait->outside, &reply.exited, &reply.killed);
    reply.survivors = survivors;
    stop_reply_pack(control_reply(wait->ask), &reply);
    control_send(release(wait));
}

static void answer_wait(struct wait *wait, bool empty)
{
    struct block_version version = version_of(wait);
    unsigned n = n_left(wait);
    struct ask *ask = release(wait);
    /* Where the kernel has somebody whom no scan has seen yet, nobody is not the word either. */
    wait_reply_pack(control_reply(ask), version, empty, empty ? 0 : n ? n : 1);
    control_send(ask);
}

static void answer(struct wait *wait, bool empty)
{
    if (is_stop(wait))
        answer_stop(wait);
    else
        answer_wait(wait, empty);
}

/* ---- looking ---- */

static void arm_timer(struct wait *wait)
{
    uint64_t due = wait->deadline_ns;
    if (wait->kill_ns < due)
        due = wait->kill_ns;
    if (wait->tell_ns < due)
        due = wait->tell_ns;
    sd_event_source_set_time(wait->ask->timer, due / 1000 + 1);
    sd_event_source_set_enabled(wait->ask->timer, SD_EVENT_ONESHOT);
}

/* The kernel has nobody in there any more. */
static bool is_left_by_all(const struct wait *wait)
{
    return wait->fd < 0 || tracker_is_empty(wait->fd);
}

static void on_outside(struct outside *outside, void *context)
{
    struct wait *wait = context;
    (void)outside;
    waits_look_soon(wait->module);
}

static void begin_outside(struct wait *wait, int signal)
{
    const struct ask *ask = wait->ask;
    if (!wait->outside && wait->block)
        wait->outside = outside_begin(wait->module, wait->block, ask->request.scope, ask->uid,
                                      signal, on_outside, wait);
}

/* Nobody is in it. Who stops it is told also who belongs to it outside. True where that is known.
 */
static bool is_done_outside(struct wait *wait)
{
    if (!is_stop(wait))
        return true;
    begin_outside(wait, 0);
    if (wait->outside && !wait->is_last) {
        wait->is_last = true;
        outside_look(wait->outside);
    }
    return !wait->outside || outside_is_over(wait->outside);
}

/* True where it was answered, and is gone. */
static bool look(struct wait *wait)
{
    if (!wait->is_watched)
        return false;
    if (!is_left_by_all(wait)) {
        if (wait->watch) /* its file was read just now, so that the next change is told */
            sd_event_source_set_enabled(wait->watch, SD_EVENT_ONESHOT);
        wait->is_last = false;
        return false;
    }
    if (n_left(wait) == 0) {
        if (!is_done_outside(wait))
            return false;
        answer(wait, true);
        return true;
    }
    wait->is_last = false;
    if (wait->fd >= 0 && wait->tell_ns == NEVER) {
        wait->tell_ns = monotonic_ns() + TELL_MS * NS_PER_MS;
        arm_timer(wait);
    }
    return false;
}

/* Time is up. Who was not looked for outside yet is: so long the answer waits. */
static void give_up(struct wait *wait)
{
    if (is_stop(wait))
        begin_outside(wait, 0);
    bool known = !wait->outside || outside_has_looked(wait->outside);
    if (known || (wait->is_naming && monotonic_ns() >= wait->deadline_ns)) {
        answer(wait, false);
        return;
    }
    if (wait->is_naming)
        return;
    wait->is_naming = true;
    wait->deadline_ns = monotonic_ns() + NAME_MS * NS_PER_MS;
    outside_look(wait->outside);
    arm_timer(wait);
}

static int on_look(sd_event_source *source, void *context)
{
    struct module *module = context;
    struct wait *wait, *next;
    (void)source;
    intake_drain(module); /* the news of the last deaths */
    for (wait = LIST_FIRST(&module->waits); wait; wait = next) {
        next = LIST_NEXT(wait, all);
        bool over = wait->is_late || wait->is_naming || monotonic_ns() >= wait->deadline_ns;
        if (!look(wait) && wait->is_watched && over)
            give_up(wait);
    }
    return 0;
}

void waits_look_soon(struct module *module)
{
    if (LIST_EMPTY(&module->waits))
        return;
    if (!module->waits_look &&
        sd_event_add_defer(module->event, &module->waits_look, on_look, module) < 0)
        return; /* their timers look too */
    sd_event_source_set_enabled(module->waits_look, SD_EVENT_ONESHOT);
}

static int on_watch(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct wait *wait = context;
    (void)source, (void)fd, (void)events;
    waits_look_soon(wait->module);
    return 0;
}

/* ---- time ---- */

static void kill_again(struct wait *wait)
{
    wait->kills = true;
    wait->kill_ns = monotonic_ns() + wait->patience_ms * NS_PER_MS;
    wait->patience_ms =
        wait->patience_ms * 2 < KILL_AGAIN_MAX_MS ? wait->patience_ms * 2 : KILL_AGAIN_MAX_MS;
    begin_outside(wait, 0);
    if (wait->outside && wait->ask->request.include_escaped)
        outside_kill(wait->outside);
    if (wait->block && wait->block->kills == 0)
        blocks_kill(wait->module, wait->block, scope_of(wait));
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct wait *wait = context;
    uint64_t now = monotonic_ns();
    (void)source, (void)now_us;
    intake_drain(wait->module);
    if (look(wait))
        return 0;
    if (now >= wait->deadline_ns && (wait->is_watched || wait->is_late)) {
        give_up(wait);
        return 0;
    }
    if (now >= wait->deadline_ns) { /* the shortest time-out leaves time for one look */
        wait->is_late = true;
        wait->deadline_ns = now + TELL_MS * NS_PER_MS;
    }
    if (now >= wait->kill_ns)
        kill_again(wait);
    if (now >= wait->tell_ns) { /* deaths that the feed did not tell in time */
        wait->tell_ns = now + TELL_MS * NS_PER_MS;
        if (wait->block)
            scan_block(wait->module, wait->block);
    }
    arm_timer(wait);
    return 0;
}

/* ---- the way there ---- */

static struct wait *find(const struct module *module, uint64_t number)
{
    struct wait *wait;
    LIST_FOREACH (wait, &module->waits, all)
        if (wait->number == number)
            return wait;
    return NULL;
}

/* The block may have waited with its removal for the operation to be back. */
static struct wait *come_back(struct module *module, const struct tracker_op *op)
{
    struct block *block = blocks_come_back(module, op);
    if (block->state == BLOCK_REMOVING)
        blocks_go_on(module, block);
    return find(module, op->tag); /* it may have been answered meanwhile */
}

static void refuse(struct wait *wait, enum errorcode code, const char *sentence)
{
    control_refuse(release(wait), code, "%s", sentence);
}

static void take_watch(struct wait *wait, struct tracker_op *op)
{
    wait->fd = op->watch_fd;
    op->watch_fd = -1;
    wait->is_watched = true;
    int r = sd_event_add_io(wait->module->event, &wait->watch, wait->fd, EPOLLPRI, on_watch, wait);
    if (r < 0) {
        control_refuse(release(wait), control_code_of(r), "cannot wait: %s", strerror(-r));
        return;
    }
    sd_event_source_set_enabled(wait->watch, SD_EVENT_OFF); /* look asks for it */
    waits_look_soon(wait->module);
}

static void on_watched(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct wait *wait = come_back(module, op);
    if (wait && op->result == -ENOENT) { /* a sub-scope that was never made: nobody is there */
        wait->is_watched = true;
        waits_look_soon(module);
    } else if (wait && op->result == -EMFILE) {
        limits_refuse(module, release(wait), LIMIT_DESCRIPTORS);
    } else if (wait && op->result < 0) {
        refuse(wait, control_code_of(op->result), op->error.message);
    } else if (wait) {
        take_watch(wait, op);
    }
    tracker_op_free(op);
}

static bool submit(struct wait *wait, enum tracker_op_kind kind,
                   void (*done)(struct tracker_op *op, void *context))
{
    const struct control_request *request = &wait->ask->request;
    struct tracker_op *op = blocks_op(wait->module, kind, wait->block, request->scope, done);
    if (!op || snapshot_give(wait->module, op) < 0) {
        tracker_op_free(op);
        refuse(wait, ERRORCODE_INTERNAL, "out of memory");
        return false;
    }
    op->tag = wait->number;
    op->signal = (int)request->signal;
    op->thaws = true;   /* what is frozen would not hear of it */
    if (!is_stop(wait)) /* what ends processes may take of the reserve */
        op->fd_end = wait->module->fd_end;
    blocks_submit(wait->module, wait->block, op);
    return true;
}

/* A block whose place is being taken away is empty, and has nothing to watch any more. */
static void watch(struct wait *wait)
{
    if (tracker_traits(wait->module->tracker) & TRACKER_HAS_PLACES && !wait->block->clearing) {
        submit(wait, TRACKER_WATCH, on_watched);
        return;
    }
    wait->is_watched = true;
    waits_look_soon(wait->module);
}

static void on_signalled(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct wait *wait = come_back(module, op);
    if (op->result < 0)
        module_log(module, WPS_LOG_WARNING, "%s", op->error.message); /* it will be killed */
    tracker_op_free(op);
    if (wait)
        watch(wait);
}

static uint64_t after(uint64_t now, uint64_t ms)
{
    return now + ms * NS_PER_MS;
}

void waits_start(struct module *module, struct block *block, struct ask *ask)
{
    struct wait *wait = calloc(1, sizeof *wait);
    uint64_t now = monotonic_ns();
    if (!wait || sd_event_add_time(module->event, &ask->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000,
                                   on_timer, wait) < 0) {
        free(wait);
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    *wait = (struct wait){
        .module = module,
        .block = block,
        .ask = ask,
        .number = ++module->last_ask,
        .fd = -1,
        .deadline_ns = after(now, ask->request.timeout_ms),
        .kill_ns = NEVER,
        .tell_ns = NEVER,
        .patience_ms = KILL_AGAIN_MS,
    };
    LIST_INSERT_HEAD(&module->waits, wait, all);
    if (is_stop(wait))
        wait->kill_ns = after(now, ask->request.grace_ms);
    arm_timer(wait);
    if (is_stop(wait) && ask->request.include_escaped)
        begin_outside(wait, (int)ask->request.signal);
    if (is_stop(wait) && !block->clearing)
        submit(wait, TRACKER_SIGNAL, on_signalled);
    else
        watch(wait);
}

/* ---- news ---- */

void waits_count_end(struct module *module, const struct process *process)
{
    struct wait *wait;
    LIST_FOREACH (wait, &module->waits, all) {
        if (!is_meant(wait, process) ||
            (wait->outside && outside_counts(wait->outside, process->pid, process->start_ticks)))
            continue;
        if (wait->kills)
            wait->killed++;
        else
            wait->exited++;
    }
}

void waits_block_gone(struct module *module, const struct block *block)
{
    struct wait *wait, *next;
    for (wait = LIST_FIRST(&module->waits); wait; wait = next) {
        next = LIST_NEXT(wait, all);
        if (wait->block != block)
            continue;
        if (!is_stop(wait)) {
            answer(wait, true);
            continue;
        }
        begin_outside(wait, 0);
        if (wait->outside)
            outside_part(wait->outside, block);
        strcpy(wait->epoch, block->epoch);
        wait->seq = block->seq;
        wait->block = NULL;
        wait->is_watched = true;
        waits_look_soon(module);
    }
}

void waits_clear(struct module *module)
{
    struct wait *wait;
    while ((wait = LIST_FIRST(&module->waits)))
        release(wait); /* the control socket answers its ask */
    module->waits_look = sd_event_source_disable_unref(module->waits_look);
}
