/* SPDX-License-Identifier: Apache-2.0 */

/* How a process gets into the registry: whose it is, who its parent is, and parents outside. */

#include "plugin/lives.h"

#include <stdlib.h>

#include "base/clock.h"
#include "plugin/assign.h"
#include "plugin/escapees.h"
#include "plugin/limits.h"
#include "plugin/lives_impl.h"
#include "plugin/publish.h"
#include "plugin/scan.h"

/* ---- parents outside ---- */

struct outsider {
    UT_hash_handle hh; /* by pid */
    uint32_t pid;
    uint32_t children; /* members of a block */
};

bool lives_is_outsider(const struct module *module, uint32_t pid)
{
    struct outsider *outsider;
    HASH_FIND(hh, module->outsiders, &pid, sizeof pid, outsider);
    return outsider != NULL;
}

/* Links a newborn to its parent in the block, or notes the parent outside. */
void lives_set_parent(struct module *module, struct process *process, struct process *parent)
{
    struct outsider *outsider;
    registry_set_parent(process, parent);
    if (parent || process->parent_pid <= 1 || lives_knows_places(module))
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

void lives_unset_outsider(struct module *module, const struct process *process)
{
    struct outsider *outsider;
    if (!process->has_outsider)
        return;
    HASH_FIND(hh, module->outsiders, &process->parent_pid, sizeof process->parent_pid, outsider);
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it is there while a process has it
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

/* ---- births ---- */

/* A life that is still there under a pid that was given to a new one: its end was lost. */
void lives_end_older(struct module *module, uint32_t pid)
{
    static const struct life_news missed = {.input = LIFE_MISSED, .by_scan = true};
    struct process *older = registry_process(&module->registry, pid);
    if (!older)
        return;
    if (older->state == LIFE_DYING || older->state == LIFE_FADING) {
        /* Its end was seen; only the answer to a question is late. */
        lives_drive(module, older, &(struct life_news){.input = LIFE_NO_FACTS});
    } else {
        module->counters.scan_repairs++;
        older->ended_ns = boottime_ns();
        lives_drive(module, older, &missed);
    }
    older = registry_process(&module->registry, pid);
    if (older) /* it waited for its parent */
        lives_forget(module, older, life_is_told(older->state));
}

/* There is no room for it: it is left out until there is again, and then found by a scan. Readers
 * are told that they do not see all of the block. */
static void leave_out(struct module *module, struct block *block)
{
    limits_count(module, LIMIT_PROCESSES);
    if (!module->left_out)
        module_log(module, WPS_LOG_WARNING, "%s", module->partial_reason);
    module->left_out = true;
    block->left_out++;
    if (block->partial)
        return;
    block->partial = true;
    publish_block_changed(module, block);
}

/* Room for a tenth is waited for, so that a full registry is not scanned at each end. */
static bool has_room(const struct module *module)
{
    uint64_t max = module->options.max_processes;
    return registry_n_processes(&module->registry) < max - max / 10;
}

void lives_take_in_left_out(struct module *module)
{
    struct block *block, *next;
    if (!module->left_out || !has_room(module))
        return;
    module->left_out = false;
    module_log(module, WPS_LOG_INFO, "there is room for further processes again");
    HASH_ITER (by_id, module->registry.blocks, block, next) {
        if (!block->partial)
            continue;
        module->counters.resyncs++;
        publish_block_resync(module, block, "overflow", block->left_out);
        block->left_out = 0;
        block->partial_scan = scan_next(module, block);
        scan_block(module, block);
    }
}

void lives_all_found(struct module *module, struct block *block, uint64_t scan)
{
    if (!block->partial || block->left_out || scan < block->partial_scan)
        return;
    block->partial = false;
    publish_block_changed(module, block);
}

struct process *lives_make(struct module *module, struct scope *scope, uint32_t pid,
                           uint64_t start_ticks)
{
    if (pid == module->own_pid)
        return NULL; /* whoever put the broker into a block: it is no member */
    if (limits_full(module)) {
        leave_out(module, scope->block);
        return NULL;
    }
    struct process *process = registry_add_process(&module->registry, scope, pid);
    if (!process) {
        module->counters.out_of_memory++;
        publish_missing(module, scope->block);
        return NULL;
    }
    escapees_take_back(module, pid);
    process->start_ticks = start_ticks;
    process->start_ns = start_ticks * (NS_PER_SECOND / module->clock.ticks_per_second);
    process->changed_ns = boottime_ns();
    return process;
}

struct process *lives_make_from(struct module *module, struct scope *scope,
                                const struct feed_event *event)
{
    uint64_t start_ns = event->start_ns ? event->start_ns : event->time_ns;
    lives_end_older(module, event->pid);
    struct process *process =
        lives_make(module, scope, event->pid, proc_clock_ticks(&module->clock, start_ns));
    if (!process)
        return NULL;
    process->start_ns = start_ns;
    process->start_is_rough = !event->start_ns;
    process->changed_ns = event->time_ns; /* a scan that began behind its birth can miss it */
    process->parent_pid = event->parent;
    return process;
}

/* The member of this block that it was made by. */
struct process *lives_find_parent(struct module *module, const struct block *block, uint32_t parent,
                                  uint32_t creator)
{
    struct process *process = registry_process(&module->registry, parent);
    if (!process || process->block != block)
        process = registry_process(&module->registry, creator);
    return process && process->block == block ? process : NULL;
}

/* The process that an event is about; null: it is not known, or another life had its pid. Where the
 * event does not tell the start, `fork_ns` is the time of a birth, or 0. */
struct process *lives_find(struct module *module, const struct feed_event *event, uint64_t fork_ns)
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

void lives_take_fork(struct module *module, const struct feed_event *event, struct scope *scope)
{
    if (lives_find(module, event, event->time_ns) || lives_is_over(module, event))
        return; /* a scan or an assignment was faster */
    struct process *maker =
        registry_process(&module->registry, event->creator ? event->creator : event->parent);
    struct process *process = lives_make_from(module, scope, event);
    if (!process)
        return;
    lives_set_parent(module, process,
                     lives_find_parent(module, scope->block, event->parent, event->creator));
    lives_decide_started(process);
    if (maker && lives_knows_command(maker)) {
        process->command = command_share(maker->command);
        process->is_guess = maker->is_guess;
    }
    lives_drive(module, process,
                &(struct life_news){.input = process->command ? LIFE_FORK : LIFE_JOIN});
    if (maker && maker->state == LIFE_SETTLING) {
        lives_settle(module, maker);
        lives_tell_freed(module);
    }
}

/* It came into the block by itself, or was put there. */
void lives_join(struct module *module, const struct feed_event *event, struct scope *scope,
                struct command *known)
{
    struct process *process = lives_make_from(module, scope, event);
    if (!process)
        return;
    lives_set_parent(module, process, lives_find_parent(module, scope->block, event->parent, 0));
    process->joined = true;
    process->root = assign_takes_root(module, process);
    lives_decide_started(process);
    if (known)
        process->command = command_share(known);
    else
        lives_take_guess(module, process, event->comm); /* until it is read */
    lives_drive(module, process, &(struct life_news){.input = LIFE_JOIN});
}
