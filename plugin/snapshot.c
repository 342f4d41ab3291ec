/* SPDX-License-Identifier: Apache-2.0 */

/* What the registry knows, as a value. */

#include "plugin/snapshot.h"

#include <errno.h>
#include <string.h>

bool snapshot_is_needed(const struct module *module)
{
    return (tracker_traits(module->tracker) & (TRACKER_TRACKS | TRACKER_HAS_PLACES)) ==
           TRACKER_TRACKS;
}

static size_t count_places(const struct module *module)
{
    size_t n = 0;
    struct block *block, *next;
    const struct scope *scope;
    HASH_ITER (by_id, module->registry.blocks, block, next)
        SLIST_FOREACH (scope, &block->scopes, in_block)
            n++;
    return n;
}

/* Each sub-scope is given its number. */
static void add_places(const struct block *block, struct known *known)
{
    struct scope *scope;
    SLIST_FOREACH (scope, &block->scopes, in_block) {
        scope->number = (uint32_t)known->n_places;
        strcpy(known->places[known->n_places].block, block->id);
        strcpy(known->places[known->n_places].scope, scope->name);
        known->places[known->n_places].base = strcmp(scope->name, SUBSCOPE_DEFAULT) == 0;
        known->n_places++;
    }
}

static void add_members(const struct block *block, struct known *known)
{
    const struct process *process;
    TAILQ_FOREACH (process, &block->processes, in_block)
        if (!process->ended_ns)
            known->members[known->n_members++] = (struct known_member){
                .pid = process->pid,
                .start_ticks = process->start_ticks,
                .rough = process->start_is_rough,
                .place = process->scope->number,
            };
}

static struct known *make(const struct module *module)
{
    const struct block *block, *next;
    struct known *known = known_new(count_places(module), registry_n_processes(&module->registry));
    if (!known)
        return NULL;
    HASH_ITER (by_id, module->registry.blocks, block, next) {
        add_places(block, known);
        add_members(block, known);
    }
    known_sort(known);
    return known;
}

int snapshot_give_block(const struct block *block, struct tracker_op *op)
{
    const struct scope *scope;
    size_t n = 0;
    SLIST_FOREACH (scope, &block->scopes, in_block)
        n++;
    op->known = known_new(n, block->n_processes);
    if (!op->known)
        return -ENOMEM;
    add_places(block, op->known);
    add_members(block, op->known);
    known_sort(op->known);
    return 0;
}

int snapshot_hold(struct module *module, struct known **ret)
{
    *ret = NULL;
    if (!snapshot_is_needed(module))
        return 0;
    if (!module->snapshot || module->snapshot_version != module->registry.version) {
        known_drop(&module->snapshot);
        module->snapshot = make(module);
        module->snapshot_version = module->registry.version;
    }
    *ret = known_hold(module->snapshot);
    return *ret ? 0 : -ENOMEM;
}

int snapshot_give(struct module *module, struct tracker_op *op)
{
    return snapshot_hold(module, &op->known);
}

struct scope *snapshot_scope(struct module *module, const struct tracker_op *op, uint32_t place)
{
    const struct known_place *named = &op->known->places[place];
    struct block *block = registry_block(&module->registry, text_of(named->block));
    return block && block->state != BLOCK_MAKING
               ? registry_scope_for(&module->registry, block, text_of(named->scope))
               : NULL;
}

bool snapshot_is_behind(struct module *module, const struct block *block,
                        const struct tracker_op *op)
{
    const struct process *process;
    if (!snapshot_is_needed(module) || !op->known)
        return false;
    TAILQ_FOREACH (process, &block->processes, in_block) {
        const struct known_member *member =
            known_member(op->known->members, op->known->n_members, process->pid);
        bool meant =
            !op->scope[0] || subscope_covers(text_of(op->scope), text_of(process->scope->name));
        if (meant && !process->ended_ns && !(member && known_same(member, process->start_ticks)))
            return true;
    }
    return false;
}
