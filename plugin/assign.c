/* SPDX-License-Identifier: Apache-2.0 */

/* Putting running processes into a block. */

#include "plugin/assign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/blocks.h"
#include "plugin/control.h"
#include "plugin/lives.h"
#include "plugin/scan.h"
#include "plugin/snapshot.h"
#include "plugin/strangers.h"

enum { SCAN_WAIT_MS = 1000 };

struct assignment {
    LIST_ENTRY(assignment) link;
    struct module *module;
    struct ask *ask;
    struct block *block; /* it counts this as busy, so it stays */
    uint32_t pid;
    bool root;
    uint64_t stranger; /* what happens to it meanwhile is kept under this number; 0: it is not */
    uint64_t moved;
    uint64_t number; /* its scan finds it again by this */
};

bool assign_runs(const struct module *module, const struct block *block)
{
    struct assignment *assignment;
    LIST_FOREACH (assignment, &module->assignments, link)
        if (assignment->block == block)
            return true;
    return false;
}

static const struct assignment *under_way(const struct module *module, const struct block *block,
                                          uint32_t pid)
{
    const struct assignment *assignment;
    LIST_FOREACH (assignment, &module->assignments, link)
        if (assignment->block == block && assignment->pid == pid)
            return assignment;
    return NULL;
}

bool assign_runs_for(const struct module *module, const struct block *block, uint32_t pid)
{
    return under_way(module, block, pid) != NULL;
}

static bool is_assigned_root(const struct module *module, const struct block *block, uint32_t pid)
{
    const struct assignment *assignment = under_way(module, block, pid);
    return assignment && assignment->root;
}

/* True at its first sight alone. */
static bool take_adopted_root(struct block *block, const struct process *process)
{
    for (size_t i = 0; i < block->n_roots; i++) {
        const struct root_mark *root = &block->roots[i];
        if (root->pid == process->pid && lives_same(process, root->start_ticks)) {
            block->roots[i] = block->roots[--block->n_roots];
            return true;
        }
    }
    return false;
}

bool assign_takes_root(const struct module *module, const struct process *process)
{
    bool was_root = take_adopted_root(process->block, process);
    return was_root || is_assigned_root(module, process->block, process->pid);
}

/* A root stays one where it is only put into another sub-scope. */
static bool stays_root(const struct module *module, const struct block *block, uint32_t pid)
{
    const struct process *process = registry_process(&module->registry, pid);
    return (process && process->block == block && process->root) ||
           is_assigned_root(module, block, pid);
}

static void answer(struct assignment *assignment)
{
    struct module *module = assignment->module;
    struct block *block = assignment->block;
    LIST_REMOVE(assignment, link);
    assign_reply_pack(control_reply(assignment->ask), blocks_version(block), assignment->moved);
    control_send(assignment->ask);
    free(assignment);
    block->busy--;
    blocks_assigned(module, block);
}

static struct assignment *find(const struct module *module, uint64_t number)
{
    struct assignment *assignment;
    LIST_FOREACH (assignment, &module->assignments, link)
        if (assignment->number == number)
            return assignment;
    return NULL;
}

static void on_scanned(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct assignment *assignment = find(module, op->tag);
    if (assignment && op->result == 0)
        scan_apply(module, assignment->block, op);
    tracker_op_free(op);
    if (assignment) /* else it was answered without */
        answer(assignment);
}

/* The scan is held up by a process that cannot be read. */
static int on_late(sd_event_source *source, uint64_t now_us, void *context)
{
    struct assignment *assignment = context;
    (void)source, (void)now_us;
    scan_block(assignment->module, assignment->block);
    answer(assignment);
    return 0;
}

/* A feed that does not see who comes in does not see their children either until they are known:
 * what was born meanwhile is found by a scan, before the answer. */
static bool scan_first(struct assignment *assignment)
{
    struct module *module = assignment->module;
    if (feed_traits(module->feed) & FEED_TELLS_PLACES || module->stopping)
        return false;
    uint64_t due_us = monotonic_ns() / 1000 + SCAN_WAIT_MS * UINT64_C(1000);
    struct tracker_op *op = tracker_op_new(module->tracker, TRACKER_SCAN, on_scanned, module);
    if (!op || snapshot_give(module, op) < 0 ||
        sd_event_add_time(module->event, &assignment->ask->timer, CLOCK_MONOTONIC, due_us, 1000,
                          on_late, assignment) < 0) {
        tracker_op_free(op);
        module->counters.out_of_memory++;
        return false;
    }
    op->tag = assignment->number = ++module->last_ask;
    strcpy(op->block, assignment->block->id);
    tracker_op_submit(module->workers, op);
    return true;
}

/* Where a descendant that was in the block already is, else where it was moved to. */
static struct scope *scope_of(struct module *module, struct block *block,
                              const struct tracker_op *op, const struct process_facts *facts)
{
    char id[TRACKER_BLOCK_MAX + 1], name[TRACKER_SCOPE_MAX + 1];
    if (facts->cgroup && tracker_locate(module->tracker, facts->cgroup, id, name))
        return registry_scope_for(&module->registry, block, text_of(name));
    return registry_scope_for(&module->registry, block, text_of(op->scope));
}

/* Where the kernel holds no places all descendants come back: those that are members of this block
 * already stay as they are, as they do with places. Who was one and has ended meanwhile was there,
 * too. */
static bool is_there(const struct module *module, const struct assignment *assignment,
                     const struct scope *scope, const struct process_facts *facts)
{
    const struct process *process = registry_process(&module->registry, facts->pid);
    if (!snapshot_is_needed(module))
        return false;
    if (lives_told_dead(module, facts->pid, facts->stat.start_ticks))
        return true;
    return process && process->block == assignment->block &&
           lives_same(process, facts->stat.start_ticks) &&
           (facts->pid != assignment->pid || process->scope == scope);
}

static void refuse(struct assignment *assignment, const struct tracker_op *op)
{
    struct module *module = assignment->module;
    struct block *block = assignment->block;
    LIST_REMOVE(assignment, link);
    control_refuse(assignment->ask, control_code_of(op->result), "%s", op->error.message);
    free(assignment);
    block->busy--;
    blocks_assigned(module, block);
}

static void claim_stray(struct module *module, const struct block *block,
                        const struct process_facts *facts)
{
    struct process *process = registry_process(&module->registry, facts->pid);
    if (process && process->block == block && lives_same(process, facts->stat.start_ticks))
        lives_no_stray(module, process);
}

/* Who was moved is told here at the latest, whatever the feed sees; then the answer. */
static void on_assigned(struct tracker_op *op, void *context)
{
    struct assignment *assignment = context;
    struct module *module = assignment->module;
    for (size_t i = 0; i < op->facts.n; i++) {
        const struct process_facts *facts = &op->facts.items[i];
        struct scope *scope = scope_of(module, assignment->block, op, facts);
        bool there = is_there(module, assignment, scope, facts);
        bool root = assignment->root && facts->pid == assignment->pid;
        claim_stray(module, assignment->block, facts);
        if (there && !root)
            continue;
        assignment->moved += facts->moved && !there;
        if (scope)
            lives_seen(module, scope, facts, root, false);
    }
    strangers_end(module, assignment->stranger);
    module->counters.roots_unmarked += op->root_unmarked;
    if (op->result < 0)
        refuse(assignment, op);
    else if (!scan_first(assignment))
        answer(assignment);
    tracker_op_free(op);
}

void assign_start(struct module *module, struct block *block, struct ask *ask,
                  const struct control_request *request, uint32_t client_uid)
{
    struct assignment *assignment = calloc(1, sizeof *assignment);
    struct tracker_op *op =
        assignment ? tracker_op_new(module->tracker, TRACKER_ASSIGN, on_assigned, assignment)
                   : NULL;
    if (!op) {
        free(assignment);
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    struct text scope = request->scope.size ? request->scope : text_of(SUBSCOPE_DEFAULT);
    *assignment = (struct assignment){.module = module,
                                      .ask = ask,
                                      .block = block,
                                      .pid = (uint32_t)request->pid,
                                      .root = request->root};
    op->root = request->root || stays_root(module, block, assignment->pid);
    LIST_INSERT_HEAD(&module->assignments, assignment, link);
    block->busy++;
    if (!(feed_traits(module->feed) & FEED_TELLS_PLACES) &&
        !registry_process(&module->registry, assignment->pid))
        assignment->stranger = strangers_begin(module, assignment->pid);
    strcpy(op->block, block->id);
    text_copy(op->scope, scope);
    op->pid = (uint32_t)request->pid;
    op->client_uid = client_uid;
    if (request->started_at_ms)
        op->start_ticks = proc_clock_ticks_of(&module->clock, request->started_at_ms);
    tracker_op_submit(module->workers, op);
}
