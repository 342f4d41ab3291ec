/* SPDX-License-Identifier: Apache-2.0 */

/* The way of an event into the registry. */

#include "plugin/lives.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "plugin/assign.h"
#include "plugin/blocks.h"
#include "plugin/clock.h"
#include "plugin/loop.h"
#include "plugin/publish.h"
#include "plugin/snapshot.h"
#include "plugin/strangers.h"

enum {
    READ_MS = 250, /* how long a process's command is waited for */
    EARLY_MAX = 8, /* settle times that a birth may take */
};

/* What came with an input, as far as it goes. */
struct input {
    enum life_input input;
    bool has_argv; /* LIFE_TAKE: what the command is made of */
    bool argv_cut;
    struct text argv, comm;
    uint64_t rss_bytes;
    const char *reason; /* LIFE_ESCAPE */
    struct text where;
    bool by_scan;
};

static void step(struct module *module, struct process *process, const struct input *input);

/* ---- small things ---- */

/* An event's time makes a start time that can be off by the tick it fell into. */
bool lives_is_read(const struct module *module, const struct block *block, uint64_t ask)
{
    const struct process *process;
    TAILQ_FOREACH (process, &module->reading, timed)
        if (process->block == block && process->ask <= ask)
            return true;
    return false;
}

bool lives_same(const struct process *process, uint64_t start_ticks)
{
    uint64_t gap = process->start_ticks > start_ticks ? process->start_ticks - start_ticks
                                                      : start_ticks - process->start_ticks;
    return gap <= (process->start_is_rough ? 2 : 0);
}

static void set_timer(sd_event_source *source, uint64_t due_ns)
{
    sd_event_source_set_time(source, due_ns / 1000 + 1);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void untime(struct module *module, struct process *process)
{
    if (!process->due_ns)
        return;
    if (process->ask)
        TAILQ_REMOVE(&module->reading, process, timed);
    else
        TAILQ_REMOVE(&module->settling, process, timed);
    process->due_ns = process->ask = 0;
}

static bool knows_command(const struct process *process)
{
    return process->command && !process->is_stale;
}

static void take_command(struct module *module, struct process *process, const struct input *input)
{
    /* No argv can be read of a process that is in the middle of exec, or whose leader left, or that
     * is ending: that is no news where its command is known. */
    if (input->argv.size == 0 && !input->has_argv && knows_command(process))
        return;
    struct command *command = command_new(input->argv, input->argv_cut, input->comm);
    if (!command) {
        module->counters.out_of_memory++;
        return;
    }
    command_release(&process->command);
    process->command = command;
    process->is_guess = !input->has_argv;
    process->is_stale = false;
}

/* Its name is all that is known of its program. */
static void take_guess(struct module *module, struct process *process, struct text comm)
{
    process->is_stale = true;
    take_command(module, process, &(struct input){.comm = comm});
}

/* Its new command could not be read, and the old one is not true any more. */
static void drop_stale(struct process *process)
{
    if (process->is_stale)
        command_release(&process->command);
    process->is_stale = false;
}

/* `started` by PROTOCOL.md, section 3.2: at birth, or, where what the parent is is still being
 * read, as soon as that is known; become() follows when it becomes a shell. Whose parent is gone
 * has the init of its namespace as one, or none. */
static void decide_started(struct process *process)
{
    const struct process *parent = process->parent;
    process->started_open = false;
    if (process->root)
        return;
    if (!parent)
        process->started = process->parent_pid <= 1;
    else if (parent->started || parent->started_open || !knows_command(parent))
        process->started_open = !(process->started = parent->started);
    else
        process->started = parent->command->shell;
}

/* The parent is known as well as it ever will be. */
static void close_started(struct process *process, const struct process *parent)
{
    if (!process->started_open)
        return;
    process->started_open = false;
    process->started = parent->started || (knows_command(parent) && parent->command->shell);
}

static void become(struct process *process)
{
    if (!process->root && process->command && process->command->shell)
        process->started = true;
}

/* ---- questions ---- */

static void arm_settle(struct module *module, struct process *process)
{
    bool first = TAILQ_EMPTY(&module->settling);
    untime(module, process);
    process->due_ns = monotonic_ns() + module->options.settle_ms * NS_PER_MS;
    TAILQ_INSERT_TAIL(&module->settling, process, timed);
    if (first)
        set_timer(module->settle_timer, process->due_ns);
}

static void on_facts(struct tracker_op *op, void *context);

static bool feed_knows_places(const struct module *module)
{
    return feed_traits(module->feed) & FEED_TELLS_PLACES;
}

/* Whose facts are asked for is named by value; the answer finds the process again, or nobody. */
static struct tracker_op *question(struct module *module, uint32_t pid)
{
    struct tracker_op *op = tracker_op_new(module->tracker, TRACKER_FACTS, on_facts, module);
    if (!op) {
        module->counters.out_of_memory++;
        return NULL;
    }
    op->pid = pid;
    op->wanted = FACTS_ARGV;
    if (tracker_traits(module->tracker) & TRACKER_HAS_PLACES && !feed_knows_places(module))
        op->wanted |= FACTS_CGROUP;
    return op;
}

static void ask(struct module *module, struct process *process)
{
    bool first = TAILQ_EMPTY(&module->reading);
    struct tracker_op *op = question(module, process->pid);
    untime(module, process);
    process->ask = ++module->last_ask;
    process->due_ns = monotonic_ns() + READ_MS * NS_PER_MS;
    TAILQ_INSERT_TAIL(&module->reading, process, timed);
    if (first)
        set_timer(module->read_timer, process->due_ns);
    if (!op)
        return; /* then its deadline tells it without */
    op->tag = process->ask;
    tracker_op_submit(module->workers, op);
}

/* ---- parents outside ---- */

struct outsider {
    UT_hash_handle hh; /* by pid */
    uint32_t pid;
    uint32_t children; /* members of a block */
};

static bool is_outsider(const struct module *module, uint32_t pid)
{
    struct outsider *outsider;
    HASH_FIND(hh, module->outsiders, &pid, sizeof pid, outsider);
    return outsider != NULL;
}

/* Links a newborn to its parent in the block, or notes the parent outside. */
static void set_parent(struct module *module, struct process *process, struct process *parent)
{
    struct outsider *outsider;
    registry_set_parent(process, parent);
    if (parent || process->parent_pid <= 1 || feed_knows_places(module))
        return;
    HASH_FIND(hh, module->outsiders, &process->parent_pid, sizeof process->parent_pid, outsider);
    if (!outsider) {
        outsider = calloc(1, sizeof *outsider);
        if (!outsider) {
            module->counters.out_of_memory++;
            return;
        }
        outsider->pid = process->parent_pid;
        HASH_ADD(hh, module->outsiders, pid, sizeof outsider->pid, outsider);
        if (!outsider->hh.tbl) {
            free(outsider);
            return;
        }
    }
    outsider->children++;
    process->has_outsider = true;
}

static void unset_outsider(struct module *module, const struct process *process)
{
    struct outsider *outsider;
    if (!process->has_outsider)
        return;
    HASH_FIND(hh, module->outsiders, &process->parent_pid, sizeof process->parent_pid, outsider);
    if (--outsider->children > 0)
        return;
    HASH_DEL(module->outsiders, outsider);
    free(outsider);
}

void lives_clear(struct module *module)
{
    struct outsider *outsider, *next;
    HASH_ITER (hh, module->outsiders, outsider, next) {
        HASH_DEL(module->outsiders, outsider);
        free(outsider);
    }
}

/* ---- actions ---- */

/* What it uses now. A read of /proc costs a quarter of a whole life, so under saturation it is
 * left out. */
static uint64_t rss_now(const struct module *module, const struct process *process,
                        const struct input *input)
{
    if (input->rss_bytes || module->saturated || process->ended_ns)
        return input->rss_bytes;
    return proc_rss_bytes(process->pid);
}

static void free_children(struct module *module, struct process *process)
{
    /* The list is newest first; they are to be told in the order of their births. */
    struct process *child, *before = NULL;
    LIST_FOREACH (child, &process->children, sibling) {
        if (!child->waits || child->in_freed)
            continue;
        child->in_freed = true;
        if (before)
            TAILQ_INSERT_BEFORE(before, child, freed);
        else
            TAILQ_INSERT_TAIL(&module->freed, child, freed);
        before = child;
    }
}

static void add(struct module *module, struct process *process, const struct input *input)
{
    drop_stale(process);
    if (process->parent)
        close_started(process, process->parent);
    become(process);
    process->started_at_ms = proc_clock_ms(&module->clock, process->start_ticks);
    process->block->n_told++;
    publish_added(module, process, rss_now(module, process, input), input->by_scan);
    free_children(module, process);
}

/* An end is told of before /proc shows it. */
static void remember_end(struct module *module, const struct process *process)
{
    size_t i = process->pid & (ENDS_KEPT - 1);
    module->ends[i].pid = process->pid;
    module->ends[i].start_ticks = process->start_ticks;
}

static bool has_been_told_dead(const struct module *module, uint32_t pid, uint64_t start_ticks)
{
    size_t i = pid & (ENDS_KEPT - 1);
    return module->ends[i].pid == pid && module->ends[i].start_ticks + 2 >= start_ticks &&
           start_ticks + 2 >= module->ends[i].start_ticks;
}

static void forget(struct module *module, struct process *process, bool told)
{
    feed_unwatch(module->feed, process->pid);
    untime(module, process);
    free_children(module, process);
    struct process *child;
    LIST_FOREACH (child, &process->children, sibling)
        close_started(child, process);
    if (process->in_freed)
        TAILQ_REMOVE(&module->freed, process, freed);
    struct block *block = process->block;
    unset_outsider(module, process);
    if (told)
        block->n_told--;
    registry_remove_process(&module->registry, process);
    blocks_forgot(module, block);
}

/* It has settled, or is made to: it forked, say. A start that was made from an event's time has to
 * be looked up as well: the same number is told wherever this life is named. */
static void settle(struct module *module, struct process *process)
{
    bool places = tracker_traits(module->tracker) & TRACKER_HAS_PLACES;
    bool sure = !process->is_guess && knows_command(process) && !process->start_is_rough &&
                (feed_knows_places(module) || !places);
    step(module, process, &(struct input){.input = sure ? LIFE_SETTLED : LIFE_UNSURE});
}

/* Its parent has to be told first, and what the parent is has to be known where that decides what
 * the child is. True where that is done or there is none to wait for. */
static bool parent_is_told(struct module *module, struct process *process)
{
    struct process *parent = process->parent;
    if (!parent)
        return true;
    if (parent->state == LIFE_SETTLING)
        settle(module, parent);
    return life_is_told(parent->state) && !(process->started_open && parent->is_stale);
}

/* Tells its ancestors now, with what is known of them. */
static void force_parent(struct module *module, struct process *process)
{
    struct process *parent = process->parent;
    if (!parent || parent_is_told(module, process))
        return;
    force_parent(module, parent);
    parent->late_ask = parent->ask;
    step(module, parent, &(struct input){.input = LIFE_NO_FACTS});
}

/* It would be told, but its parent's command is still being read: it waits for that. */
static void hold_back(struct module *module, struct process *process, const struct life_step *to,
                      const struct input *input)
{
    if (to->actions & LIFE_TAKE)
        take_command(module, process, input);
    untime(module, process);
    process->waits = true;
    process->state = to->actions & LIFE_END ? LIFE_DYING : LIFE_READING;
}

static void step(struct module *module, struct process *process, const struct input *input)
{
    struct life_step to = life_next(process->state, input->input);
    if ((to.actions & LIFE_ADD) && !parent_is_told(module, process)) {
        if (!(to.actions & LIFE_ESCAPE)) {
            hold_back(module, process, &to, input);
            return;
        }
        force_parent(module, process); /* it is elsewhere already and cannot wait */
    }
    bool was_told = life_is_told(process->state);
    module_log(module, WPS_LOG_TRACE, "pid %u of %s: %s + %s -> %s", process->pid,
               process->block->id, life_state_name(process->state), life_input_name(input->input),
               life_state_name(to.state));
    /* A cell without actions goes on waiting for what was awaited before. */
    if (to.actions && to.state != process->state) {
        untime(module, process);
        process->waits = false;
    }
    process->state = to.state;
    if (to.actions & LIFE_COUNT_UP)
        process->threads++;
    if (to.actions & LIFE_COUNT_DOWN)
        process->threads--;
    if (to.actions & LIFE_TAKE)
        take_command(module, process, input);
    if (to.actions & LIFE_ARM)
        arm_settle(module, process);
    if (to.actions & LIFE_ASK)
        ask(module, process);
    if (to.actions & LIFE_ADD)
        add(module, process, input);
    if (to.actions & LIFE_RENEW) {
        drop_stale(process);
        become(process);
        publish_exec(module, process, rss_now(module, process, input), input->by_scan);
        free_children(module, process);
    }
    if (to.actions & LIFE_CHANGE)
        publish_changed(module, process, input->by_scan);
    if (to.actions & LIFE_END) {
        remember_end(module, process);
        publish_exited(module, process, input->by_scan);
    }
    if (to.actions & LIFE_ESCAPE)
        publish_escaped(module, process, input->reason, input->where);
    if (to.actions & LIFE_FORGET)
        forget(module, process, was_told || (to.actions & LIFE_ADD));
}

/* Those whose parents were told meanwhile, parents before children; telling one may free more. */
static void tell_freed(struct module *module)
{
    static const struct input release = {.input = LIFE_RELEASE};
    struct process *process;
    while ((process = TAILQ_FIRST(&module->freed))) {
        TAILQ_REMOVE(&module->freed, process, freed);
        process->in_freed = process->waits = false;
        if (!process->ask) /* else the answer will tell it */
            step(module, process, &release);
    }
}

static void drive(struct module *module, struct process *process, const struct input *input)
{
    step(module, process, input);
    tell_freed(module);
}

/* ---- births ---- */

/* A life that is still there under a pid that was given to a new one: its end was lost. */
static void end_older(struct module *module, uint32_t pid)
{
    static const struct input missed = {.input = LIFE_MISSED, .by_scan = true};
    struct process *older = registry_process(&module->registry, pid);
    if (!older)
        return;
    if (older->state == LIFE_DYING || older->state == LIFE_FADING) {
        /* Its end was seen; only the answer to a question is late. */
        drive(module, older, &(struct input){.input = LIFE_NO_FACTS});
    } else {
        module->counters.scan_repairs++;
        older->ended_ns = boottime_ns();
        drive(module, older, &missed);
    }
    older = registry_process(&module->registry, pid);
    if (older) /* it waited for its parent */
        forget(module, older, life_is_told(older->state));
}

static struct process *make(struct module *module, struct scope *scope, uint32_t pid,
                            uint64_t start_ticks)
{
    if (registry_n_processes(&module->registry) >= module->options.max_processes) {
        if (module->counters.limits_hit++ == 0)
            module_log(module, WPS_LOG_WARNING,
                       "max-processes is reached (%llu): further processes are not listed, though "
                       "they are killed with their block",
                       (unsigned long long)module->options.max_processes);
        return NULL;
    }
    struct process *process = registry_add_process(&module->registry, scope, pid);
    if (!process) {
        module->counters.out_of_memory++;
        return NULL;
    }
    process->start_ticks = start_ticks;
    process->start_ns = start_ticks * (NS_PER_SECOND / module->clock.ticks_per_second);
    process->changed_ns = boottime_ns();
    return process;
}

static struct process *make_from(struct module *module, struct scope *scope,
                                 const struct feed_event *event)
{
    uint64_t start_ns = event->start_ns ? event->start_ns : event->time_ns;
    end_older(module, event->pid);
    struct process *process =
        make(module, scope, event->pid, proc_clock_ticks(&module->clock, start_ns));
    if (!process)
        return NULL;
    process->start_ns = start_ns;
    process->start_is_rough = !event->start_ns;
    process->parent_pid = event->parent;
    return process;
}

/* The member of this block that it was made by. */
static struct process *find_parent(struct module *module, const struct block *block,
                                   uint32_t parent, uint32_t creator)
{
    struct process *process = registry_process(&module->registry, parent);
    if (!process || process->block != block)
        process = registry_process(&module->registry, creator);
    return process && process->block == block ? process : NULL;
}

/* The process that an event is about; null: it is not known, or another life had its pid. Where the
 * event does not tell the start, `fork_ns` is the time of a birth, or 0. */
static struct process *find(struct module *module, const struct feed_event *event, uint64_t fork_ns)
{
    struct process *process = registry_process(&module->registry, event->pid);
    uint64_t start_ns = event->start_ns ? event->start_ns : fork_ns;
    if (!process || !start_ns)
        return process;
    uint64_t ticks = proc_clock_ticks(&module->clock, start_ns);
    if (event->start_ns)
        return lives_same(process, ticks) ? process : NULL;
    return ticks >= process->start_ticks && ticks - process->start_ticks <= 2 ? process : NULL;
}

static void take_fork(struct module *module, const struct feed_event *event, struct scope *scope)
{
    if (find(module, event, event->time_ns))
        return; /* a scan or an assignment was faster */
    struct process *maker =
        registry_process(&module->registry, event->creator ? event->creator : event->parent);
    struct process *process = make_from(module, scope, event);
    if (!process)
        return;
    set_parent(module, process, find_parent(module, scope->block, event->parent, event->creator));
    decide_started(process);
    if (maker && knows_command(maker)) {
        process->command = command_share(maker->command);
        process->is_guess = maker->is_guess;
    }
    drive(module, process, &(struct input){.input = process->command ? LIFE_FORK : LIFE_JOIN});
    if (maker && maker->state == LIFE_SETTLING) {
        settle(module, maker);
        tell_freed(module);
    }
}

/* It came into the block by itself, or was put there. */
static void join(struct module *module, const struct feed_event *event, struct scope *scope,
                 struct command *known)
{
    struct process *process = make_from(module, scope, event);
    if (!process)
        return;
    set_parent(module, process, find_parent(module, scope->block, event->parent, 0));
    process->joined = true;
    process->root = assign_is_root(module, process);
    decide_started(process);
    if (known)
        process->command = command_share(known);
    else
        take_guess(module, process, event->comm); /* until it is read */
    drive(module, process, &(struct input){.input = LIFE_JOIN});
}

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
    struct process *process = scope ? make_from(module, scope, event) : NULL;
    if (!process)
        return NULL;
    set_parent(module, process, find_parent(module, scope->block, event->parent, 0));
    decide_started(process);
    return process;
}

static void take_exec(struct module *module, const struct feed_event *event, struct scope *scope)
{
    struct process *process = find(module, event, 0);
    if (!process && event->has_place)
        process = make_late(module, event, scope);
    if (!process) {
        if (!event->has_place && tracker_traits(module->tracker) & TRACKER_HAS_PLACES &&
            registry_n_blocks(&module->registry) > 0)
            strangers_ask(module, event->pid, false);
        return;
    }
    process->threads = 1;
    process->late_ask = 0;
    process->changed_ns = event->time_ns;
    struct input input = {
        .input = event->has_argv ? LIFE_EXEC : LIFE_EXEC_BLIND,
        .has_argv = event->has_argv,
        .argv_cut = event->argv_cut,
        .argv = event->argv,
        .comm = event->comm,
    };
    if (!event->has_argv && !life_is_told(process->state) && event->comm.size)
        take_guess(module, process, event->comm); /* until it is read */
    else
        process->is_stale =
            !event->has_argv; /* readers were told the old one: it stays till then */
    drive(module, process, &input);
}

static void end(struct module *module, struct process *process, const struct feed_event *event)
{
    process->has_status = event->has_status;
    process->status = event->status;
    process->ended_ns = event->time_ns;
    process->cpu_ns = event->cpu_ns;
    process->max_rss_bytes = event->max_rss_bytes;
    drive(module, process, &(struct input){.input = LIFE_EXIT});
}

static void take_exit(struct module *module, const struct feed_event *event)
{
    struct process *process = find(module, event, 0);
    if (process)
        end(module, process, event);
}

/* The ends of threads that other processors tell of may come behind an exec, and threads made
 * before it was known were not counted: is it really gone? */
static bool is_alive(const struct process *process)
{
    struct proc_stat stat = {.threads = 0};
    /* While a thread that execs takes over the pid, the old leader is seen for a moment, let go and
     * without threads. */
    for (int look = 0; look < 3 && stat.threads == 0; look++)
        if (proc_stat_read(&stat, process->pid) < 0)
            return false;
    return lives_same(process, stat.start_ticks) && !proc_has_ended(&stat);
}

static void take_thread(struct module *module, const struct feed_event *event)
{
    struct process *process = registry_process(&module->registry, event->pid);
    if (!process)
        return;
    if (event->kind == FEED_THREAD) {
        drive(module, process, &(struct input){.input = LIFE_THREAD});
        return;
    }
    if (process->threads > 1) {
        drive(module, process, &(struct input){.input = LIFE_THREAD_EXIT});
        return;
    }
    if (!is_alive(process))
        end(module, process, event);
}

static void take_move(struct module *module, const struct feed_event *event, struct scope *scope)
{
    struct process *process = find(module, event, 0);
    if (process)
        process->changed_ns = event->time_ns;
    if (process && scope && scope->block == process->block) {
        if (scope == process->scope)
            return;
        registry_set_scope(&module->registry, process, scope);
        drive(module, process, &(struct input){.input = LIFE_RESCOPE});
        return;
    }
    struct command *known = NULL;
    if (process) {
        bool assigned = scope && assign_runs(module, scope->block);
        if (knows_command(process) && !process->is_guess)
            known = command_share(process->command);
        lives_left(module, process, assigned ? "reassigned" : "moved",
                   assigned ? (struct text){NULL, 0} : event->path);
    }
    if (scope)
        join(module, event, scope, known);
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
        take_fork(module, event, scope);
    else if (!event->has_place && is_outsider(module, event->parent) &&
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

/* ---- what was found ---- */

static struct input from_facts(enum life_input input, const struct process_facts *facts,
                               bool by_scan)
{
    return (struct input){
        .input = input,
        .has_argv = facts->argv.size > 0,
        .argv_cut = facts->argv_cut,
        .argv = facts->argv,
        .comm = text_of(facts->stat.comm),
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
static bool tells_news(const struct process *process, const struct process_facts *facts)
{
    if (facts->argv.size == 0)
        return false;
    struct command *now = command_new(facts->argv, facts->argv_cut, text_of(facts->stat.comm));
    bool news = now && !command_equal(now, process->command);
    command_release(&now);
    return news;
}

static void seen_again(struct module *module, struct process *process, struct scope *scope,
                       const struct process_facts *facts, bool root, bool by_scan)
{
    bool newer = facts->read_ns > process->changed_ns;
    if (!life_is_told(process->state)) {
        if (root && !process->root)
            process->root = true, process->started = process->started_open = false;
        make_exact(module, process, facts);
        struct input seen = from_facts(LIFE_SEEN, facts, by_scan);
        drive(module, process, &seen);
        return;
    }
    if (root && !process->root) {
        process->root = true;
        registry_set_scope(&module->registry, process, scope);
        drive(module, process, &(struct input){.input = LIFE_RESCOPE, .by_scan = by_scan});
    }
    if (newer && process->scope != scope) {
        registry_set_scope(&module->registry, process, scope);
        drive(module, process, &(struct input){.input = LIFE_RESCOPE, .by_scan = by_scan});
    }
    if (newer && by_scan && tells_news(process, facts)) {
        struct input news = from_facts(LIFE_SEEN_NEW, facts, by_scan);
        module->counters.scan_repairs++;
        drive(module, process, &news);
    }
}

/* It may have ended since it was read, and its end may have been told already. */
static bool still_lives(const struct module *module, const struct process_facts *facts)
{
    struct proc_stat stat;
    return !has_been_told_dead(module, facts->pid, facts->stat.start_ticks) &&
           proc_stat_read(&stat, facts->pid) == 0 && stat.start_ticks == facts->stat.start_ticks &&
           !proc_has_ended(&stat);
}

static void watch(struct module *module, const struct process *process)
{
    uint64_t tick_ns = NS_PER_SECOND / module->clock.ticks_per_second;
    feed_watch(module->feed, process->pid, process->start_ticks * tick_ns);
}

void lives_watch_all(struct module *module)
{
    struct process *process, *next;
    HASH_ITER (by_pid, module->registry.processes, process, next)
        watch(module, process);
}

static void seen_first(struct module *module, struct scope *scope,
                       const struct process_facts *facts, bool root, bool by_scan)
{
    end_older(module, facts->pid);
    struct process *process = make(module, scope, facts->pid, facts->stat.start_ticks);
    if (!process)
        return;
    process->parent_pid = facts->stat.ppid;
    process->scan_mark = module->scan_mark;
    set_parent(module, process, find_parent(module, scope->block, facts->stat.ppid, 0));
    process->root = root || assign_is_root(module, process);
    decide_started(process);
    watch(module, process);
    struct input seen = from_facts(LIFE_SEEN, facts, by_scan);
    if (by_scan)
        module->counters.scan_repairs++;
    drive(module, process, &seen);
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
        lives_left(module, process, assigned ? "reassigned" : "moved", (struct text){NULL, 0});
        process = NULL;
    }
    if (process) {
        process->scan_mark = module->scan_mark;
        seen_again(module, process, scope, facts, root, by_scan);
    } else if ((by_scan || !feed_knows_places(module)) && still_lives(module, facts)) {
        /* A feed that tells of every move told of an assigned one already, or it is ending. */
        seen_first(module, scope, facts, root, by_scan);
    }
}

void lives_missed(struct module *module, struct process *process)
{
    module->counters.scan_repairs++;
    process->ended_ns = boottime_ns();
    drive(module, process, &(struct input){.input = LIFE_MISSED, .by_scan = true});
}

void lives_left(struct module *module, struct process *process, const char *reason,
                struct text where)
{
    drive(module, process, &(struct input){.input = LIFE_LEAVE, .reason = reason, .where = where});
}

void lives_push_block(struct module *module, struct block *block)
{
    struct process *process;
    if (block->n_told == block->n_processes)
        return;
    TAILQ_FOREACH (process, &block->processes, in_block) /* telling takes nobody out of this list */
        if (process->state == LIFE_SETTLING)
            settle(module, process);
    tell_freed(module);
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
                       facts->cgroup ? text_of(facts->cgroup) : (struct text){NULL, 0});
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

bool lives_is_in_block(struct module *module, const struct process_facts *facts)
{
    return scope_of_path(module, facts->cgroup) != NULL;
}

bool lives_is_in_root(const struct process_facts *facts)
{
    return facts->cgroup &&
           (strcmp(facts->cgroup, "/") == 0 || strncmp(facts->cgroup, "/..", 3) == 0);
}

void lives_joined(struct module *module, const struct process_facts *facts)
{
    struct scope *scope = scope_of_path(module, facts->cgroup);
    if (scope && !registry_process(&module->registry, facts->pid))
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
    drive(module, process,
          &(struct input){
              .input = LIFE_STRANGER, .reason = "moved", .where = text_of(facts->cgroup)});
    if (scope)
        lives_seen(module, scope, facts, false, false);
    return false;
}

static void answer(struct module *module, struct process *process,
                   const struct process_facts *facts)
{
    if (is_early(process, facts)) {
        drive(module, process, &(struct input){.input = LIFE_EARLY});
        return;
    }
    if (!is_where_thought(module, process, facts))
        return;
    make_exact(module, process, facts);
    struct input input = from_facts(LIFE_FACTS, facts, false);
    drive(module, process, &input);
}

/* It is over, and its end was not told. A feed that tells ends before they can be seen, and that
 * was drained before this answer was looked at, will not tell it any more: it was lost, or it was
 * before the process was put into the block. */
static bool is_ghost(const struct module *module, const struct process *process)
{
    return feed_knows_places(module) && !process->ended_ns;
}

static void bury(struct module *module, struct process *process)
{
    if (process->joined && process->state == LIFE_READING)
        drive(module, process, &(struct input){.input = LIFE_STRANGER});
    else
        lives_missed(module, process);
}

static void on_facts(struct tracker_op *op, void *context)
{
    struct module *module = context;
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
            drive(module, process, &(struct input){.input = LIFE_NO_FACTS});
    } else if (process && process->late_ask == op->tag && facts &&
               lives_same(process, facts->stat.start_ticks)) {
        process->late_ask = 0;
        if (tells_news(process, facts)) {
            struct input news = from_facts(LIFE_SEEN_NEW, facts, false);
            drive(module, process, &news);
        }
    }
    tracker_op_free(op);
}

int lives_on_settle_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    uint64_t now = now_us * 1000;
    struct process *process;
    loop_drain_feed(module); /* an exec in time may be there already */
    while ((process = TAILQ_FIRST(&module->settling)) && process->due_ns <= now) {
        settle(module, process);
        tell_freed(module);
    }
    if (process)
        set_timer(source, process->due_ns);
    return 0;
}

int lives_on_read_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    uint64_t now = now_us * 1000;
    struct process *process;
    while ((process = TAILQ_FIRST(&module->reading)) && process->due_ns <= now) {
        module->counters.facts_late++;
        process->late_ask = process->ask;
        drive(module, process, &(struct input){.input = LIFE_NO_FACTS});
    }
    if (process)
        set_timer(source, process->due_ns);
    return 0;
}
