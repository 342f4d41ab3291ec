/* SPDX-License-Identifier: Apache-2.0 */

/* Blocks that outlive a broker: what the one before left is found, and what is left to the next. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/blocks_impl.h"
#include "plugin/expiry.h"
#include "plugin/keeper.h"

/* ---- what the one before left ---- */

static void take_roots(struct block *block, struct tracker_op *op)
{
    free(block->roots);
    block->roots = op->roots;
    block->n_roots = op->n_roots;
    op->roots = NULL;
}

/* One sub-scope of a block that is there already: its place is learned. */
static int adopt_scope(struct module *module, struct block *block, const char *scope,
                       struct wps_error *error)
{
    struct tracker_op *op = blocks_op(module, TRACKER_CREATE, block, text_of(scope), NULL);
    if (!op)
        return wps_error_set(error, -ENOMEM, "out of memory");
    op->wants_roots = !block->place; /* once for the block */
    int r = tracker_op_run(op);
    if (r < 0)
        *error = op->error;
    else
        blocks_take_places(module, block, op);
    if (op->roots)
        take_roots(block, op);
    tracker_op_free(op);
    return r;
}

/* Calls `take` with each name that a LIST finds. */
static int for_each_name(struct module *module, struct block *block,
                         int (*take)(struct module *, struct block *, const char *,
                                     struct wps_error *),
                         struct wps_error *error)
{
    struct tracker_op *op = tracker_op_new(module->tracker, TRACKER_LIST, NULL, NULL);
    if (!op)
        return wps_error_set(error, -ENOMEM, "out of memory");
    if (block)
        strcpy(op->block, block->id);
    int r = tracker_op_run(op);
    if (r < 0)
        *error = op->error;
    for (char **name = op->names; r == 0 && name && *name; name++)
        r = take(module, block, *name, error);
    tracker_op_free(op);
    return r;
}

static int adopt_block(struct module *module, struct block *none, const char *id,
                       struct wps_error *error)
{
    (void)none;
    if (block_id_check(text_of(id), "", NULL) < 0)
        return 0; /* not one of ours */
    if (registry_n_blocks(&module->registry) == 0)
        tracker_read_clock(module->tracker, &module->clock.boot_ms);
    struct block *block = registry_add_block(&module->registry, text_of(id));
    if (!block)
        return wps_error_set(error, -ENOMEM, "out of memory");
    int r = adopt_scope(module, block, SUBSCOPE_DEFAULT, error);
    r = r < 0 ? r : for_each_name(module, block, adopt_scope, error);
    if (r < 0)
        return r;
    block->adopted = true;
    if (block->marks[TRACKER_ON_EXIT])
        block->keep_on_exit = block->marks[TRACKER_ON_EXIT] == TRACKER_MARK_KEEP;
    else
        block->keep_on_exit = module->options.keep_on_exit;
    blocks_start_live(module, block);
    expiry_adopted(module, block);
    return 0;
}

/* They were to end with the broker before us, and nobody was left to do it, or not in time. */
static void end_those_due(struct module *module)
{
    struct block *block, *next;
    HASH_ITER (by_id, module->registry.blocks, block, next) {
        if (block->marks[TRACKER_ON_CRASH] != TRACKER_MARK_KILL)
            continue;
        module_log(
            module, WPS_LOG_WARNING,
            "block %s was to end with the broker before (on_crash: kill), and did not: it is "
            "ended now",
            block->id);
        expiry_claim(module, block);
        blocks_remove(module, block, "shutdown", NULL);
    }
}

int blocks_adopt(struct module *module, struct wps_error *error)
{
    keeper_wait_for_last(module);
    int r = for_each_name(module, NULL, adopt_block, error);
    if (r < 0)
        return r;
    tracker_mark_clock(module->tracker, module->clock.boot_ms);
    end_those_due(module);
    return 0;
}

/* ---- what is left to the next ---- */

bool blocks_end_all(struct module *module)
{
    struct block *block, *next;
    bool done = true;
    HASH_ITER (by_id, module->registry.blocks, block, next) {
        if (block->keep_on_exit && block->state == BLOCK_LIVE)
            continue;
        done = false;
        if (block->state == BLOCK_LIVE)
            blocks_remove(module, block, "shutdown", NULL);
    }
    return done;
}

void blocks_leave(struct module *module)
{
    struct block *block, *next;
    HASH_ITER (by_id, module->registry.blocks, block, next)
        if (block->keep_on_exit && block->state == BLOCK_LIVE &&
            block->marks[TRACKER_ON_CRASH] == TRACKER_MARK_KILL)
            tracker_unmark(module->tracker, block->id, TRACKER_ON_CRASH);
}
