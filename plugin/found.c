/* SPDX-License-Identifier: Apache-2.0 */

/* What scans, assignments and answered questions found. */

#include "plugin/lives.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/assign.h"
#include "plugin/escapees.h"
#include "plugin/intake.h"
#include "plugin/limits.h"
#include "plugin/lives_impl.h"
#include "plugin/snapshot.h"

enum { EARLY_MAX = 8 }; /* settle times that a birth may take */

/* ---- what was found ---- */

static struct life_news from_facts(enum life_input input, const struct process_facts *facts,
                                   bool by_scan)
{
    return (struct life_news){
        .input = input,
        .has_argv = facts->argv.size > 0,
        .argv_cut = facts->argv_cut,
        .argv = facts->argv,
        .comm = text_of(facts->stat.comm),
        .as_of_ns = facts->read_ns,
        .rss_bytes = facts->rss_bytes,
        .by_scan = by_scan,
    };
}

/* What was made from the time of an event is replaced by what /proc says, as long as nobody was
 * told. */
static void make_exact(struct module *module, struct process *process,
                       const struct process_facts *facts)
{
    if (!process->start_is_rough || life_is_told(process->state))
        return;
    process->start_ticks = facts->stat.start_ticks;
    process->start_is_rough = false;
    module->registry.version++;
}

/* True where the facts tell another command than readers were told. */
static bool tells_news(const struct module *module, const struct process *process,
                       const struct process_facts *facts)
{
    if (facts->argv.size == 0)
        return false;
    struct command *now =
        command_new(&module->options.mask, facts->argv, facts->argv_cut, text_of(facts->stat.comm));
    bool news = now && !command_equal(now, process->command);
    command_release(&now);
    return news;
}

void lives_no_stray(struct module *module, struct process *process)
{
    if (!process->stray)
        return;
    process->stray = false;
    escapees_count_stray(module, process->block, -1);
}

/* A feed that wants scans leaves to them whom it has no room for. Of another there are none unless
 * they are asked for. */
static void watch(struct module *module, struct process *process)
{
    uint64_t tick_ns = NS_PER_SECOND / module->clock.ticks_per_second;
    int r = feed_watch(module->feed, process->pid, process->start_ticks * tick_ns);
    if (r == -EMFILE)
        limits_count(module, LIMIT_DESCRIPTORS);
    process->unwatched =
        r < 0 && r != -ESRCH && r != -ENOSPC && !(feed_traits(module->feed) & FEED_WANTS_SCANS);
    if (process->unwatched)
        intake_scan_again(module, process->block);
}

static void seen_again(struct module *module, struct process *process, struct scope *scope,
                       const struct process_facts *facts, bool root, bool by_scan)
{
    bool newer = facts->read_ns > process->changed_ns;
    if (process->unwatched)
        watch(module, process);
    if (!life_is_told(process->state)) {
        if (root && !process->root)
            process->root = true, process->started = process->started_open = false;
        make_exact(module, process, facts);
        /* It was known: that a scan is faster with its facts repairs nothing. */
        struct life_news seen = from_facts(LIFE_SEEN, facts, false);
        lives_drive(module, process, &seen);
        return;
    }
    if (root)
        lives_no_stray(module, process);
    if (root && !process->root) {
        process->root = true;
        process->started = process->started_open = false;
        registry_set_scope(&module->registry, process, scope);
        lives_drive(module, process,
                    &(struct life_news){.input = LIFE_RESCOPE, .by_scan = by_scan});
    }
    if (newer && process->scope != scope) {
        registry_set_scope(&module->registry, process, scope);
        lives_drive(module, process,
                    &(struct life_news){.input = LIFE_RESCOPE, .by_scan = by_scan});
    }
    if (newer && by_scan && tells_news(module, process, facts)) {
        struct life_news news = from_facts(LIFE_SEEN_NEW, facts, by_scan);
        module->counters.scan_repairs++;
        lives_drive(module, process, &news);
    }
}

/* It may have ended since it was read, and its end may have been told already. */
static bool still_lives(struct module *module, struct block *block,
                        const struct process_facts *facts)
{
    struct proc_stat stat;
    if (lives_told_dead(module, facts->pid, facts->stat.start_ticks))
        return false;
    int r = proc_stat_read(&stat, facts->pid);
    if (r < 0 && r != -ESRCH)
        intake_scan_again(module, block);
    return r == 0 && stat.start_ticks == facts->stat.start_ticks && !proc_has_ended(&stat);
}

void lives_watch_all(struct module *module)
{
    struct process *process, *next;
    HASH_ITER (by_pid, module->registry.processes, process, next)
        watch(module, process);
}

/* A child subreaper takes orphans in as init does, and is not told apart from who made them but by
 * this: a session is inherited, or one's own. */
static bool has_foster_parent(const struct process *process, const struct process_facts *facts)
{
    struct proc_stat parent;
    return !process->parent && facts->stat.ppid > 1 && facts->stat.session != facts->pid &&
           facts->stat.session != 0 && proc_stat_read(&parent, facts->stat.ppid) == 0 &&
           parent.session != facts->stat.session;
}

static void seen_first(struct module *module, struct scope *scope,
                       const struct process_facts *facts, bool root, bool by_scan)
{
    lives_end_older(module, facts->pid);
    struct process *process = lives_make(module, scope, facts->pid, facts->stat.start_ticks);
    if (!process)
        return;
    process->parent_pid = facts->stat.ppid;
    process->leader_left = facts->stat.state == 'Z';
    process->scan_mark = module->scan_mark;
    process->scan_rss_bytes = facts->rss_bytes;
    lives_set_parent(module, process, lives_find_parent(module, scope->block, facts->stat.ppid, 0));
    process->root = assign_takes_root(module, process) || root;
    process->orphaned = !process->root && has_foster_parent(process, facts);
    lives_decide_started(process);
    watch(module, process);
    struct life_news seen = from_facts(LIFE_SEEN, facts, by_scan);
    if (by_scan)
        module->counters.scan_repairs++;
    /* Of a parent that became a member while it was looked around, it is one by its lineage. */
    process->stray = facts->by_tag && !process->parent;
    lives_drive(module, process, &seen);
    if (process->stray) /* a process is not freed by being seen */
        escapees_count_stray(module, scope->block, +1);
}

void lives_seen(struct module *module, struct scope *scope, const struct process_facts *facts,
                bool root, bool by_scan)
{
    struct process *process = registry_process(&module->registry, facts->pid);
    if (process && !lives_same(process, facts->stat.start_ticks))
        process = NULL;
    if (process && process->block != scope->block) {
        bool assigned = assign_runs(module, scope->block);
        /* Where the kernel holds no places, what was assigned is where it was assigned to. */
        if (facts->read_ns < process->changed_ns && !(assigned && snapshot_is_needed(module)))
            return;
        lives_left(module, process, assigned ? "reassigned" : "moved", (struct text){NULL, 0},
                   true);
        process = NULL;
    }
    if (process) {
        process->scan_mark = module->scan_mark;
        process->scan_rss_bytes = facts->rss_bytes;
        seen_again(module, process, scope, facts, root, by_scan);
    } else if ((by_scan || !lives_knows_places(module)) &&
               still_lives(module, scope->block, facts)) {
        /* A feed that tells of every move told of an assigned one already, or it is ending. */
        seen_first(module, scope, facts, root, by_scan);
    }
}

void lives_missed(struct module *module, struct process *process)
{
    module->counters.scan_repairs++;
    process->ended_ns = boottime_ns();
    lives_drive(module, process, &(struct life_news){.input = LIFE_MISSED, .by_scan = true});
}

void lives_left(struct module *module, struct process *process, const char *reason,
                struct text where, bool is_owned)
{
    lives_drive(module, process,
                &(struct life_news){
                    .input = LIFE_LEAVE, .reason = reason, .where = where, .is_owned = is_owned});
}

void lives_push_block(struct module *module, struct block *block)
{
    struct process *process;
    if (block->n_told == block->n_processes)
        return;
    TAILQ_FOREACH (process, &block->processes, in_block) /* telling takes nobody out of this list */
        if (process->state == LIFE_SETTLING)
            lives_settle(module, process);
    lives_tell_freed(module);
}

/* The sub-scope that a process's cgroup path names; null: none of ours. */
static struct scope *scope_of_path(struct module *module, const char *path)
{
    char block_id[TRACKER_BLOCK_MAX + 1], name[TRACKER_SCOPE_MAX + 1];
    if (!path || !tracker_locate(module->tracker, path, block_id, name))
        return NULL;
    struct block *block = registry_block(&module->registry, text_of(block_id));
    if (!block || block->state == BLOCK_MAKING)
        return NULL;
    return registry_scope_for(&module->registry, block, text_of(name));
}

/* ---- one that a scan did not see, though it lives ---- */

static void on_checked(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct process *process = registry_process(&module->registry, op->pid);
    const struct process_facts *facts = op->result == 0 ? &op->facts.items[0] : NULL;
    if (process && facts && lives_same(process, facts->stat.start_ticks) &&
        facts->read_ns > process->changed_ns && !proc_has_ended(&facts->stat)) {
        struct scope *scope = scope_of_path(module, facts->cgroup);
        if (!scope || scope->block != process->block)
            lives_left(module, process, "moved",
                       facts->cgroup ? text_of(facts->cgroup) : (struct text){NULL, 0},
                       scope != NULL);
        if (scope)
            lives_seen(module, scope, facts, false, true);
    }
    tracker_op_free(op);
}

void lives_check(struct module *module, const struct process *process)
{
    struct tracker_op *op = tracker_op_new(module->tracker, TRACKER_FACTS, on_checked, module);
    if (!op) {
        module->counters.out_of_memory++;
        return;
    }
    op->pid = process->pid;
    op->wanted = FACTS_ARGV | FACTS_CGROUP;
    tracker_op_submit(module->workers, op);
}

/* ---- answers and timers ---- */

bool lives_is_in_block(struct module *module, const char *cgroup)
{
    return scope_of_path(module, cgroup) != NULL;
}

bool lives_is_in_root(const struct process_facts *facts)
{
    return facts->cgroup &&
           (strcmp(facts->cgroup, "/") == 0 || strncmp(facts->cgroup, "/..", 3) == 0);
}

void lives_joined(struct module *module, const struct process_facts *facts)
{
    struct scope *scope = scope_of_path(module, facts->cgroup);
    if (scope && !registry_process(&module->registry, facts->pid) &&
        !lives_told_dead(module, facts->pid, facts->stat.start_ticks))
        seen_first(module, scope, facts, false, false);
}

/* A child that is being born is in the root cgroup until the very end of fork, and the connector
 * tells of it a little before that: where it seems to be there, it is looked at again some times.
 */
static bool is_early(struct process *process, const struct process_facts *facts)
{
    return lives_is_in_root(facts) && process->state == LIFE_READING &&
           process->early < EARLY_MAX && ++process->early > 0;
}

/* Where a feed knows no places, the answer says where it really is. True: where we thought. */
static bool is_where_thought(struct module *module, struct process *process,
                             const struct process_facts *facts)
{
    if (!facts->cgroup)
        return true;
    struct scope *scope = scope_of_path(module, facts->cgroup);
    if (scope && scope->block == process->block) {
        registry_set_scope(&module->registry, process, scope);
        return true;
    }
    lives_drive(module, process,
                &(struct life_news){.input = LIFE_STRANGER,
                                    .reason = "moved",
                                    .where = text_of(facts->cgroup),
                                    .is_owned = scope != NULL});
    if (scope)
        lives_seen(module, scope, facts, false, false);
    return false;
}

static void answer(struct module *module, struct process *process,
                   const struct process_facts *facts)
{
    if (is_early(process, facts)) {
        lives_drive(module, process, &(struct life_news){.input = LIFE_EARLY});
        return;
    }
    if (!is_where_thought(module, process, facts))
        return;
    make_exact(module, process, facts);
    struct life_news input = from_facts(LIFE_FACTS, facts, false);
    lives_drive(module, process, &input);
}

/* It is over, and its end was not told. A feed that tells ends before they can be seen, and that
 * was drained before this answer was looked at, will not tell it any more: it was lost, or it was
 * before the process was put into the block. */
static bool is_ghost(const struct module *module, const struct process *process)
{
    return lives_knows_places(module) && !process->ended_ns;
}

static void bury(struct module *module, struct process *process)
{
    if (process->joined && process->state == LIFE_READING)
        lives_drive(module, process, &(struct life_news){.input = LIFE_STRANGER});
    else
        lives_missed(module, process);
}

void lives_answered(struct module *module, const struct tracker_op *op)
{
    struct process *process = registry_process(&module->registry, op->pid);
    const struct process_facts *facts = op->result == 0 ? &op->facts.items[0] : NULL;
    if (process && process->ask == op->tag) {
        bool there = facts && lives_same(process, facts->stat.start_ticks);
        bool over = op->result == -ESRCH || (facts && (!there || proc_has_ended(&facts->stat)));
        if (over && is_ghost(module, process))
            bury(module, process);
        else if (there)
            answer(module, process, facts);
        else
            lives_drive(module, process, &(struct life_news){.input = LIFE_NO_FACTS});
    } else if (process && process->late_ask == op->tag && facts &&
               lives_same(process, facts->stat.start_ticks)) {
        process->late_ask = 0;
        if (tells_news(module, process, facts)) {
            struct life_news news = from_facts(LIFE_SEEN_NEW, facts, false);
            lives_drive(module, process, &news);
        }
    }
}

int lives_on_settle_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    uint64_t now = now_us * 1000;
    struct process *process;
    intake_drain(module); /* an exec in time may be there already */
    while ((process = TAILQ_FIRST(&module->settling)) && process->due_ns <= now) {
        lives_settle(module, process);
        lives_tell_freed(module);
    }
    if (process)
        lives_set_timer(source, process->due_ns);
    return 0;
}

int lives_on_read_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    uint64_t now = now_us * 1000;
    struct process *process;
    intake_drain_and_reap(module);
    while ((process = TAILQ_FIRST(&module->reading)) && process->due_ns <= now) {
        module->counters.facts_late++;
        process->late_ask = process->ask;
        lives_drive(module, process, &(struct life_news){.input = LIFE_NO_FACTS});
    }
    if (process)
        lives_set_timer(source, process->due_ns);
    return 0;
}
