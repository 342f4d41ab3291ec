/* SPDX-License-Identifier: Apache-2.0 */

/* Commands that signal members, or stop and continue them. */

#include "plugin/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/blocks_impl.h"
#include "plugin/intake.h"
#include "plugin/lives.h"
#include "plugin/snapshot.h"

enum {
    BATCH = 32,        /* processes that are killed at a time: as many descriptors */
    GONE_MS = 100,     /* how long their ends are waited for */
    ROUNDS_MAX = 1000, /* of kill_started */
};

/* ---- killing by pid, in a worker ---- */

struct target {
    uint32_t pid;
    uint64_t start_ticks;
    bool rough; /* the start may be off by two ticks */
    int result; /* 0: it was signalled; -ESRCH: it is gone, or no member any more */
};

/* What is to be killed, by value. */
struct kill {
    struct job job;
    struct ask *ask;
    struct tracker *tracker;
    char block[BLOCK_ID_MAX + 1];
    uint64_t life;
    unsigned rounds;
    size_t first; /* of this round; those before it were killed in the ones before */
    size_t n, room;
    struct target *targets;
};

static bool is_member(const struct kill *kill, const struct target *target,
                      const struct process_facts *facts)
{
    char block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1];
    uint64_t start = facts->stat.start_ticks;
    if (start != target->start_ticks &&
        !(target->rough && start + 2 >= target->start_ticks && start <= target->start_ticks + 2))
        return false;
    if (!(tracker_traits(kill->tracker) & TRACKER_HAS_PLACES))
        return true;
    return facts->cgroup && tracker_locate(kill->tracker, facts->cgroup, block, scope) &&
           strcmp(block, kill->block) == 0;
}

/* The descriptor is taken first, then what it stands for is looked at. */
static int kill_target(const struct kill *kill, const struct target *target, int *ret_pidfd)
{
    struct process_facts facts;
    *ret_pidfd = (int)syscall(SYS_pidfd_open, target->pid, 0);
    if (*ret_pidfd < 0)
        return -errno;
    int r = facts_read(&facts, target->pid, FACTS_CGROUP);
    if (r < 0)
        return r;
    if (!is_member(kill, target, &facts))
        r = -ESRCH;
    else if (syscall(SYS_pidfd_send_signal, *ret_pidfd, SIGKILL, NULL, 0) < 0)
        r = -errno;
    facts_clear(&facts);
    return r;
}

/* A process that is gone has told of all that it made. */
static void wait_until_gone(struct pollfd *pidfds, size_t n)
{
    uint64_t until = monotonic_ns() + GONE_MS * NS_PER_MS;
    for (size_t i = 0; i < n; i++) {
        uint64_t now = monotonic_ns();
        if (pidfds[i].fd >= 0 && now < until)
            poll(&pidfds[i], 1, (int)((until - now) / NS_PER_MS) + 1);
    }
}

static void kill_batch(struct kill *kill, struct target *targets, size_t n)
{
    struct pollfd pidfds[BATCH];
    for (size_t i = 0; i < n; i++) {
        pidfds[i] = (struct pollfd){.events = POLLIN};
        targets[i].result = kill_target(kill, &targets[i], &pidfds[i].fd);
    }
    if (kill->ask->request.command == CONTROL_KILL_STARTED)
        wait_until_gone(pidfds, n);
    for (size_t i = 0; i < n; i++)
        if (pidfds[i].fd >= 0)
            close(pidfds[i].fd);
}

static void run_kill(struct job *job)
{
    struct kill *kill = (struct kill *)job;
    for (size_t i = kill->first; i < kill->n; i += BATCH)
        kill_batch(kill, kill->targets + i, kill->n - i < BATCH ? kill->n - i : BATCH);
}

static struct kill *kill_new(struct module *module, const struct block *block, struct ask *ask,
                             void (*done)(struct job *job, void *context))
{
    struct kill *kill = calloc(1, sizeof *kill);
    if (!kill)
        return NULL;
    kill->job = (struct job){.run = run_kill, .done = done, .context = module};
    kill->ask = ask;
    kill->tracker = module->tracker;
    kill->life = block->life;
    strcpy(kill->block, block->id);
    return kill;
}

static void kill_free(struct kill *kill)
{
    if (!kill)
        return;
    free(kill->targets);
    free(kill);
}

/* Hands it to a worker. `r`: how it went to make it and to add its targets. */
static void kill_submit(struct module *module, struct kill *kill, struct ask *ask, int r)
{
    if (r < 0) {
        kill_free(kill);
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    workers_submit(module->workers, &kill->job);
}

static int add_target(struct kill *kill, const struct process *process)
{
    if (kill->n == kill->room) {
        size_t room = kill->room ? kill->room * 2 : 16;
        struct target *targets = realloc(kill->targets, room * sizeof *targets);
        if (!targets)
            return -ENOMEM;
        kill->targets = targets;
        kill->room = room;
    }
    kill->targets[kill->n++] = (struct target){
        .pid = process->pid,
        .start_ticks = process->start_ticks,
        .rough = process->start_is_rough,
        .result = -ECANCELED,
    };
    return 0;
}

static bool is_target(const struct kill *kill, uint32_t pid)
{
    for (size_t i = 0; i < kill->n; i++)
        if (kill->targets[i].pid == pid)
            return true;
    return false;
}

/* This life of the block; null: it is gone. */
static struct block *block_of(struct module *module, const struct kill *kill)
{
    struct block *block = registry_block(&module->registry, text_of(kill->block));
    return block && block->life == kill->life ? block : NULL;
}

/* ---- kill_pid ---- */

static void answer_ok(const struct block *block, struct ask *ask, bool ok)
{
    ok_reply_pack(control_reply(ask), block ? blocks_version(block) : (struct block_version){0},
                  ok);
    control_send(ask);
}

static void on_pid_killed(struct job *job, void *context)
{
    struct kill *kill = (struct kill *)job;
    struct module *module = context;
    int result = kill->targets[0].result;
    intake_drain(module);
    if (result == 0 || result == -ESRCH)
        answer_ok(block_of(module, kill), kill->ask, result == 0);
    else
        control_refuse(kill->ask, result == -EPERM ? ERRORCODE_NOT_PERMITTED : ERRORCODE_INTERNAL,
                       "cannot kill process %u: %s", kill->targets[0].pid, strerror(-result));
    kill_free(kill);
}

void signals_kill_pid(struct module *module, struct block *block, struct ask *ask)
{
    const struct process *process = registry_process(&module->registry, (uint32_t)ask->request.pid);
    if (!block || !process || process->block != block ||
        (ask->request.started_at_ms && life_is_told(process->state) &&
         process->started_at_ms != ask->request.started_at_ms)) {
        answer_ok(block, ask, false);
        return;
    }
    struct kill *kill = kill_new(module, block, ask, on_pid_killed);
    kill_submit(module, kill, ask, kill ? add_target(kill, process) : -ENOMEM);
}

/* ---- kill_started ---- */

/* Below the process that was asked for, or below one that was killed for being so; that one's
 * children have lost their parent in the registry. */
static bool is_below(const struct kill *kill, const struct process *process)
{
    uint32_t top = (uint32_t)kill->ask->request.pid;
    if (!top)
        return true;
    for (const struct process *above = process; above; above = above->parent)
        if (above->pid == top || is_target(kill, above->parent_pid))
            return true;
    return false;
}

/* Those who are not known to it yet. -ENOMEM. */
static int add_started(struct kill *kill, const struct block *block)
{
    const struct process *process;
    int r = 0;
    TAILQ_FOREACH (process, &block->processes, in_block) {
        bool wanted = process->started && !process->root && !process->ended_ns &&
                      !is_target(kill, process->pid) && is_below(kill, process);
        if (wanted)
            r = add_target(kill, process);
        if (r < 0)
            return r;
    }
    return 0;
}

static void answer_started(struct kill *kill, struct block_version version)
{
    size_t n = 0;
    _cleanup_free_ uint32_t *pids = calloc(kill->n + 1, sizeof *pids);
    if (!pids) {
        control_refuse(kill->ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    for (size_t i = 0; i < kill->n; i++)
        if (kill->targets[i].result == 0)
            pids[n++] = kill->targets[i].pid;
    pids_reply_pack(control_reply(kill->ask), version, "killed", pids, n);
    control_send(kill->ask);
}

static void on_started_killed(struct job *job, void *context)
{
    struct kill *kill = (struct kill *)job;
    struct module *module = context;
    intake_drain(module); /* what they made before they were gone */
    struct block *block = block_of(module, kill);
    struct block_version version = block ? blocks_version(block) : (struct block_version){0};
    kill->first = kill->n;
    if (block)
        lives_push_block(module, block);
    if (block && !module->stopping && ++kill->rounds < ROUNDS_MAX &&
        add_started(kill, block) == 0 && kill->n > kill->first) {
        workers_submit(module->workers, &kill->job);
        return;
    }
    answer_started(kill, version);
    kill_free(kill);
}

void signals_kill_started(struct module *module, struct block *block, struct ask *ask)
{
    const struct process *top = registry_process(&module->registry, (uint32_t)ask->request.pid);
    if (ask->request.pid && (!top || top->block != block)) {
        control_refuse(ask, ERRORCODE_NO_SUCH_PROCESS, "data.pid: process %u is no member of '%s'",
                       (unsigned)ask->request.pid, block->id);
        return;
    }
    struct kill *kill = kill_new(module, block, ask, on_started_killed);
    kill_submit(module, kill, ask, kill ? add_started(kill, block) : -ENOMEM);
}

/* ---- whole trees ---- */

static void answer_signalled(struct block_version version, struct ask *ask,
                             const struct tracker_op *op)
{
    pids_reply_pack(control_reply(ask), version, "signalled", op->pids, op->n_pids);
    control_send(ask);
}

static void on_done(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct ask *ask = (struct ask *)(uintptr_t)op->tag;
    intake_drain(module);
    struct block *block = blocks_come_back(module, op);
    if (op->result < 0)
        control_refuse(ask, control_code_of(op->result), "%s", op->error.message);
    else if (op->kind == TRACKER_SIGNAL)
        answer_signalled(blocks_version(block), ask, op);
    else
        answer_ok(block, ask, true);
    tracker_op_free(op);
    if (block->state == BLOCK_REMOVING) /* it may have waited for this to be back */
        blocks_go_on(module, block);
}

static void submit(struct module *module, struct block *block, struct ask *ask,
                   enum tracker_op_kind kind)
{
    if (block->clearing) { /* its place is being taken away: nothing may be asked of it any more */
        control_refuse(ask, ERRORCODE_NO_SUCH_BLOCK, "data.block_id: block '%s' is being removed",
                       block->id);
        return;
    }
    struct tracker_op *op = blocks_op(module, kind, block, ask->request.scope, on_done);
    if (!op || snapshot_give(module, op) < 0) {
        tracker_op_free(op);
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    op->tag = (uintptr_t)ask;
    op->signal = (int)ask->request.signal;
    blocks_submit(module, block, op);
}

void signals_tree(struct module *module, struct block *block, struct ask *ask)
{
    submit(module, block, ask, TRACKER_SIGNAL);
}

void signals_freeze(struct module *module, struct block *block, struct ask *ask)
{
    if (ask->request.scope.size && !registry_scope(block, ask->request.scope))
        answer_ok(block, ask, false);
    else
        submit(module, block, ask,
               ask->request.command == CONTROL_FREEZE ? TRACKER_FREEZE : TRACKER_THAW);
}
