/* SPDX-License-Identifier: Apache-2.0 */

/* Putting running processes into a block. */

#include "plugin/assign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/blocks.h"
#include "plugin/control.h"
#include "plugin/lives.h"

struct assignment {
    LIST_ENTRY(assignment) link;
    struct module *module;
    struct ask *ask;
    struct block *block; /* it counts this as busy, so it stays */
    uint32_t pid;
    bool root;
};

bool assign_runs(const struct module *module, const struct block *block)
{
    struct assignment *assignment;
    LIST_FOREACH(assignment, &module->assignments, link)
        if (assignment->block == block)
            return true;
    return false;
}

bool assign_is_root(const struct module *module, const struct process *process)
{
    struct assignment *assignment;
    LIST_FOREACH(assignment, &module->assignments, link)
        if (assignment->block == process->block && assignment->pid == process->pid)
            return assignment->root;
    return false;
}

static enum errorcode code_of(int result)
{
    switch (result) {
    case -ESRCH:
        return ERRORCODE_NO_SUCH_PROCESS;
    case -EPERM:
    case -EACCES:
        return ERRORCODE_NOT_PERMITTED;
    case -ENOTSUP:
        return ERRORCODE_NOT_SUPPORTED;
    default:
        return ERRORCODE_INTERNAL;
    }
}

/* Who was moved is told here at the latest, whatever the feed sees; then the answer. */
static void on_assigned(struct tracker_op *op, void *context)
{
    struct assignment *assignment = context;
    struct module *module = assignment->module;
    struct block *block = assignment->block;
    struct scope *scope = registry_scope_for(&module->registry, block, text_of(op->scope));
    for (size_t i = 0; scope && i < op->facts.n; i++)
        lives_seen(module, scope, &op->facts.items[i],
                   assignment->root && op->facts.items[i].pid == assignment->pid, false);
    LIST_REMOVE(assignment, link);
    if (op->result < 0) {
        control_refuse(assignment->ask, code_of(op->result), "%s", op->error.message);
    } else {
        assign_reply_pack(control_reply(assignment->ask), blocks_version(block), op->facts.n);
        control_send(assignment->ask);
    }
    tracker_op_free(op);
    free(assignment);
    block->busy--;
    blocks_assigned(module, block);
}

void assign_start(struct module *module, struct block *block, struct ask *ask,
                  const struct control_request *request, uint32_t client_uid)
{
    struct assignment *assignment = calloc(1, sizeof *assignment);
    struct tracker_op *op =
        assignment ? tracker_op_new(module->tracker, TRACKER_ASSIGN, on_assigned, assignment) : NULL;
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
    LIST_INSERT_HEAD(&module->assignments, assignment, link);
    block->busy++;
    strcpy(op->block, block->id);
    text_copy(op->scope, scope);
    op->pid = (uint32_t)request->pid;
    op->client_uid = client_uid;
    if (request->started_at_ms)
        op->start_ticks = proc_clock_ticks_of(&module->clock, request->started_at_ms);
    tracker_op_submit(module->workers, op);
}
