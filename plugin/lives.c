/* SPDX-License-Identifier: Apache-2.0 */

/* The steps of a life: what the table says is done here, and in which order lives are told. */

#include "plugin/lives.h"

#include "base/clock.h"
#include "plugin/blocks.h"
#include "plugin/escapees.h"
#include "plugin/lives_impl.h"
#include "plugin/publish.h"
#include "plugin/questions.h"
#include "plugin/scan.h"
#include "plugin/waits.h"

enum { READ_MS = 250 }; /* how long a process's command is waited for */

/* ---- small things ---- */

bool lives_is_read(const struct module *module, const struct block *block, uint64_t ask)
{
    const struct process *process;
    TAILQ_FOREACH (process, &module->reading, timed)
        if (process->block == block && process->ask <= ask)
            return true;
    return false;
}

/* An event's time makes a start time that can be off by the tick it fell into. */
bool lives_same(const struct process *process, uint64_t start_ticks)
{
    uint64_t gap = process->start_ticks > start_ticks ? process->start_ticks - start_ticks
                                                      : start_ticks - process->start_ticks;
    return gap <= (process->start_is_rough ? 2 : 0);
}

bool lives_is_member(const struct module *module, uint32_t pid, uint64_t start_ticks)
{
    const struct process *process = registry_process(&module->registry, pid);
    return process && lives_same(process, start_ticks);
}

void lives_set_timer(sd_event_source *source, uint64_t due_ns)
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

bool lives_knows_command(const struct process *process)
{
    return process->command && !process->is_stale;
}

void lives_take_command(struct module *module, struct process *process,
                        const struct life_news *input)
{
    /* No argv can be read of a process that is in the middle of exec, or whose leader left, or that
     * is ending: that is no news where its command is known. */
    if (input->argv.size == 0 && !input->has_argv && lives_knows_command(process))
        return;
    struct command *command =
        command_new(&module->options.mask, input->argv, input->argv_cut, input->comm);
    if (!command) {
        module->counters.out_of_memory++;
        return;
    }
    command_release(&process->command);
    process->command = command;
    process->is_guess = !input->has_argv;
    process->is_stale = false;
    process->command_ns = input->as_of_ns;
}

/* Its name is all that is known of its program. */
void lives_take_guess(struct module *module, struct process *process, struct text comm)
{
    process->is_stale = true;
    lives_take_command(module, process, &(struct life_news){.comm = comm});
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
 * has the init of its namespace as one, or none, or a child subreaper. */
void lives_decide_started(struct process *process)
{
    const struct process *parent = process->parent;
    process->started_open = false;
    if (process->root)
        return;
    if (!parent)
        process->started = process->parent_pid <= 1 || process->orphaned;
    else if (parent->started || parent->started_open || !lives_knows_command(parent))
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
    /* What the parent was can not be found out any more once it ended: as of one that was gone. */
    process->started = parent->started || (lives_knows_command(parent) ? parent->command->shell
                                                                       : parent->ended_ns != 0);
}

static void become(struct process *process)
{
    if (!process->root && process->command && process->command->shell)
        process->started = true;
}

/* ---- questions ---- */

/* The settle time is counted from the birth, of which we may learn late. */
static void arm_settle(struct module *module, struct process *process)
{
    bool first = TAILQ_EMPTY(&module->settling);
    uint64_t settle = module->options.settle_ms * NS_PER_MS, now = boottime_ns();
    uint64_t age = now > process->changed_ns ? now - process->changed_ns : 0;
    untime(module, process);
    process->due_ns = monotonic_ns() + (age < settle ? settle - age : 0);
    TAILQ_INSERT_TAIL(&module->settling, process, timed);
    if (first)
        lives_set_timer(module->settle_timer, process->due_ns);
}

bool lives_knows_places(const struct module *module)
{
    return feed_traits(module->feed) & FEED_TELLS_PLACES;
}

static void ask(struct module *module, struct process *process)
{
    bool first = TAILQ_EMPTY(&module->reading);
    untime(module, process);
    process->ask = ++module->last_ask;
    process->due_ns = monotonic_ns() + READ_MS * NS_PER_MS;
    TAILQ_INSERT_TAIL(&module->reading, process, timed);
    if (first)
        lives_set_timer(module->read_timer, process->due_ns);
    questions_put(module, process);
}

/* ---- actions ---- */

/* What it uses now. A read of /proc costs a quarter of a whole life, so under saturation it is
 * left out. */
static uint64_t rss_now(const struct module *module, const struct process *process,
                        const struct life_news *input)
{
    if (input->rss_bytes || module->gather.saturated || process->ended_ns)
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

static void add(struct module *module, struct process *process, const struct life_news *input)
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

static void remember_end(struct module *module, uint32_t pid, uint64_t start_ticks,
                         uint64_t ended_ns)
{
    size_t i = pid & (ENDS_KEPT - 1);
    module->ends[i].pid = pid;
    module->ends[i].start_ticks = start_ticks;
    module->ends[i].ended_ns = ended_ns;
}

void lives_end_unknown(struct module *module, const struct feed_event *event)
{
    if (event->start_ns)
        remember_end(module, event->pid, proc_clock_ticks(&module->clock, event->start_ns),
                     event->time_ns);
}

bool lives_told_dead(const struct module *module, uint32_t pid, uint64_t start_ticks)
{
    size_t i = pid & (ENDS_KEPT - 1);
    return module->ends[i].pid == pid && module->ends[i].start_ticks + 2 >= start_ticks &&
           start_ticks + 2 >= module->ends[i].start_ticks;
}

/* A scan may have seen a life and its end before the feed tells of it. */
bool lives_is_over(const struct module *module, const struct feed_event *event)
{
    uint64_t start_ns = event->start_ns ? event->start_ns : event->time_ns;
    return lives_told_dead(module, event->pid, proc_clock_ticks(&module->clock, start_ns)) &&
           event->time_ns <= module->ends[event->pid & (ENDS_KEPT - 1)].ended_ns;
}

void lives_forget(struct module *module, struct process *process, bool told)
{
    feed_unwatch(module->feed, process->pid);
    untime(module, process);
    questions_drop(module, process);
    scan_forget_missed(module, process);
    free_children(module, process);
    struct process *child;
    LIST_FOREACH (child, &process->children, sibling)
        close_started(child, process);
    if (process->in_freed)
        TAILQ_REMOVE(&module->freed, process, freed);
    struct block *block = process->block;
    bool stray = process->stray;
    lives_unset_outsider(module, process);
    if (told) {
        block->n_told--;
        block->gone_cpu_ns +=
            process->cpu_ns > process->cpu_seen_ns ? process->cpu_ns : process->cpu_seen_ns;
    }
    registry_remove_process(&module->registry, process);
    if (stray)
        escapees_count_stray(module, block, -1);
    lives_take_in_left_out(module);
    waits_look_soon(module);
    blocks_forgot(module, block);
}

/* It has settled, or is made to: it forked, say. A start that was made from an event's time has to
 * be looked up as well: the same number is told wherever this life is named. */
void lives_settle(struct module *module, struct process *process)
{
    bool places = tracker_traits(module->tracker) & TRACKER_HAS_PLACES;
    bool sure = !process->is_guess && lives_knows_command(process) && !process->start_is_rough &&
                (lives_knows_places(module) || !places);
    lives_step(module, process, &(struct life_news){.input = sure ? LIFE_SETTLED : LIFE_UNSURE});
}

/* Its parent has to be told first, and what the parent is has to be known where that decides what
 * the child is. True where that is done or there is none to wait for. */
static bool parent_is_told(struct module *module, struct process *process)
{
    struct process *parent = process->parent;
    if (!parent)
        return true;
    if (parent->state == LIFE_SETTLING)
        lives_settle(module, parent);
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
    lives_step(module, parent, &(struct life_news){.input = LIFE_NO_FACTS});
}

/* It would be told, but its parent's command is still being read: it waits for that. */
static void hold_back(struct module *module, struct process *process, const struct life_step *to,
                      const struct life_news *input)
{
    if (to->actions & LIFE_TAKE)
        lives_take_command(module, process, input);
    untime(module, process);
    process->waits = true;
    process->state = to->actions & LIFE_END ? LIFE_DYING : LIFE_READING;
}

/* The actions that are events, in the order in which a reader may have them. */
static void tell(struct module *module, struct process *process, const struct life_news *input,
                 unsigned actions)
{
    if (actions & LIFE_ADD)
        add(module, process, input);
    if (actions & LIFE_RENEW) {
        drop_stale(process);
        become(process);
        publish_exec(module, process, rss_now(module, process, input), input->by_scan);
        free_children(module, process);
    }
    if (actions & LIFE_CHANGE) {
        publish_changed(module, process, input->by_scan);
        waits_look_soon(module); /* it may have left a sub-scope */
    }
    if (actions & LIFE_END) {
        remember_end(module, process->pid, process->start_ticks, process->ended_ns);
        waits_count_end(module, process);
        publish_exited(module, process, input->by_scan);
    }
    if (actions & LIFE_ESCAPE) {
        publish_escaped(module, process, input->reason, input->where);
        if (!input->is_owned)
            escapees_add(module, process);
    }
}

void lives_step(struct module *module, struct process *process, const struct life_news *input)
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
    process->block->active = module->any_active = true;
    if (to.actions & LIFE_COUNT_UP)
        process->threads++;
    if (to.actions & LIFE_COUNT_DOWN)
        process->threads--;
    if (to.actions & LIFE_TAKE)
        lives_take_command(module, process, input);
    if (to.actions & LIFE_ARM)
        arm_settle(module, process);
    if (to.actions & LIFE_ASK)
        ask(module, process);
    tell(module, process, input, to.actions);
    if (to.actions & LIFE_FORGET)
        lives_forget(module, process, was_told || (to.actions & LIFE_ADD));
}

/* Those whose parents were told meanwhile, parents before children; telling one may free more. */
void lives_tell_freed(struct module *module)
{
    static const struct life_news release = {.input = LIFE_RELEASE};
    struct process *process;
    while ((process = TAILQ_FIRST(&module->freed))) {
        TAILQ_REMOVE(&module->freed, process, freed);
        process->in_freed = process->waits = false;
        if (!process->ask) /* else the answer will tell it */
            lives_step(module, process, &release);
    }
}

void lives_drive(struct module *module, struct process *process, const struct life_news *input)
{
    lives_step(module, process, input);
    lives_tell_freed(module);
}
