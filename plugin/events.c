/* SPDX-License-Identifier: Apache-2.0 */

/* What a feed tells, event by event. */

#include "plugin/lives.h"

#include <errno.h>
#include <string.h>

#include "plugin/assign.h"
#include "plugin/intake.h"
#include "plugin/lives_impl.h"
#include "plugin/strangers.h"

/* ---- events ---- */

/* The sub-scope that an event's cgroups name: the deepest one that is ours. */
static struct scope *scope_of(struct module *module, const struct feed_event *event)
{
    struct block *block = registry_block_at(&module->registry, event->place[0]);
    if (!block || block->state == BLOCK_MAKING)
        return NULL;
    for (int i = FEED_PLACES - 1; i > 0; i--) {
        struct scope *scope =
            event->place[i] ? registry_scope_at(&module->registry, event->place[i]) : NULL;
        if (scope)
            return scope;
    }
    return registry_scope_for(&module->registry, block, (struct text){NULL, 0});
}

/* An exec in a block by nobody that is known: its birth was lost. */
static struct process *make_late(struct module *module, const struct feed_event *event,
                                 struct scope *scope)
{
    struct process *process =
        scope && !lives_is_over(module, event) ? lives_make_from(module, scope, event) : NULL;
    if (!process)
        return NULL;
    lives_set_parent(module, process, lives_find_parent(module, scope->block, event->parent, 0));
    lives_decide_started(process);
    return process;
}

static void take_exec(struct module *module, const struct feed_event *event, struct scope *scope)
{
    struct process *process = lives_find(module, event, 0);
    if (!process && event->has_place)
        process = make_late(module, event, scope);
    if (!process) {
        if (!event->has_place && tracker_traits(module->tracker) & TRACKER_HAS_PLACES &&
            registry_n_blocks(&module->registry) > 0)
            strangers_ask(module, event->pid, false);
        return;
    }
    process->threads = 1;
    process->leader_left = false;
    if (!event->has_argv && event->time_ns <= process->command_ns)
        return; /* its command was read behind this */
    process->late_ask = 0;
    process->changed_ns = event->time_ns;
    struct life_news input = {
        .input = event->has_argv ? LIFE_EXEC : LIFE_EXEC_BLIND,
        .has_argv = event->has_argv,
        .argv_cut = event->argv_cut,
        .argv = event->argv,
        .comm = event->comm,
        .rss_bytes = event->rss_bytes,
    };
    if (!event->has_argv && !life_is_told(process->state) && event->comm.size)
        lives_take_guess(module, process, event->comm); /* until it is read */
    else
        process->is_stale =
            !event->has_argv; /* readers were told the old one: it stays till then */
    lives_drive(module, process, &input);
}

static void end(struct module *module, struct process *process, const struct feed_event *event)
{
    process->has_status = event->has_status;
    process->status = event->status;
    process->ended_ns = event->time_ns;
    process->cpu_ns = event->cpu_ns;
    process->max_rss_bytes = event->max_rss_bytes;
    lives_drive(module, process, &(struct life_news){.input = LIFE_EXIT});
}

static void take_exit(struct module *module, const struct feed_event *event)
{
    struct process *process = lives_find(module, event, 0);
    if (process)
        end(module, process, event);
    else
        lives_end_unknown(module, event);
}

/* The ends of threads that other processors tell of may come behind an exec, and threads made
 * before it was known were not counted: is it really gone? */
static bool is_alive(struct module *module, const struct process *process)
{
    struct proc_stat stat = {.threads = 0};
    /* While a thread that execs takes over the pid, the old leader is seen for a moment, let go and
     * without threads. */
    for (int look = 0; look < 3 && stat.threads == 0; look++) {
        int r = proc_stat_read(&stat, process->pid);
        if (r < 0 && r != -ESRCH)
            intake_scan_again(module, process->block); /* it has not ended for that */
        if (r < 0)
            return r != -ESRCH;
    }
    return lives_same(process, stat.start_ticks) && !proc_has_ended(&stat);
}

/* Threads made before the process was known were not counted, and their ends can be told behind an
 * exec. While its first thread is not known to have left, that one's end is still to come: and it
 * may be behind an exec and forks that wait in the feed, though by now the process is no more. */
static bool may_be_last(struct process *process, const struct feed_event *event)
{
    if (event->tid == process->pid)
        process->leader_left = true;
    return process->threads <= 1 && process->leader_left;
}

static void take_thread(struct module *module, const struct feed_event *event)
{
    struct process *process = registry_process(&module->registry, event->pid);
    if (!process)
        return;
    if (event->kind == FEED_THREAD) {
        lives_drive(module, process, &(struct life_news){.input = LIFE_THREAD});
        return;
    }
    bool last = may_be_last(process, event);
    if (process->threads > 1)
        lives_drive(module, process, &(struct life_news){.input = LIFE_THREAD_EXIT});
    else if (last && !is_alive(module, process))
        end(module, process, event);
}

static void take_move(struct module *module, const struct feed_event *event, struct scope *scope)
{
    struct process *process = lives_find(module, event, 0);
    if (process)
        process->changed_ns = event->time_ns;
    if (process && scope && scope->block == process->block) {
        if (scope == process->scope)
            return;
        registry_set_scope(&module->registry, process, scope);
        lives_drive(module, process, &(struct life_news){.input = LIFE_RESCOPE});
        return;
    }
    struct command *known = NULL;
    if (process) {
        bool assigned = scope && assign_runs(module, scope->block);
        if (lives_knows_command(process) && !process->is_guess)
            known = command_share(process->command);
        lives_left(module, process, assigned ? "reassigned" : "moved",
                   assigned ? (struct text){NULL, 0} : event->path, scope != NULL);
    }
    if (scope)
        lives_join(module, event, scope, known);
    command_release(&known);
}

/* Without places: where its maker is. A feed that knows the creator tells with it of children that
 * are made as siblings (CLONE_PARENT); the others name their parent, who may be nobody's. */
static struct scope *scope_of_maker(const struct module *module, const struct feed_event *event)
{
    const struct process *maker = registry_process(&module->registry, event->creator);
    if (!maker)
        maker = registry_process(&module->registry, event->parent);
    return maker ? maker->scope : NULL;
}

/* A feed that knows no places names the parent alone. A child by CLONE_PARENT has its maker's
 * parent, who may be outside: so a child of a member's parent may be a member's. */
static void take_birth(struct module *module, const struct feed_event *event, struct scope *scope)
{
    if (!event->has_place)
        scope = scope_of_maker(module, event);
    if (scope)
        lives_take_fork(module, event, scope);
    else if (!event->has_place && lives_is_outsider(module, event->parent) &&
             tracker_traits(module->tracker) & TRACKER_HAS_PLACES)
        strangers_ask(module, event->pid, true);
}

void lives_take(struct module *module, const struct feed_event *event)
{
    if (strangers_keep(module, event))
        return;
    struct scope *scope = event->has_place ? scope_of(module, event) : NULL;
    switch (event->kind) {
    case FEED_FORK:
        take_birth(module, event, scope);
        break;
    case FEED_EXEC:
        take_exec(module, event, scope);
        break;
    case FEED_EXIT:
        take_exit(module, event);
        break;
    case FEED_THREAD:
    case FEED_THREAD_EXIT:
        take_thread(module, event);
        break;
    case FEED_MOVE:
        take_move(module, event, scope);
        break;
    case FEED_SCAN_DUE:
        break; /* the loop's */
    }
}
