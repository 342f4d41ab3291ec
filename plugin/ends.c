/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The end of a block, or of a part of it, step by step, each awaited without polling:
 *
 *   kill -> the kernel says empty -> all members were told dead -> its place is removed -> told,
 * gone
 *
 * Where somebody joins on the way it begins again with the kill.
 */

#include "plugin/blocks.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "plugin/blocks_impl.h"
#include "plugin/expiry.h"
#include "plugin/intake.h"
#include "plugin/listing.h"
#include "plugin/publish.h"
#include "plugin/removers.h"
#include "plugin/scan.h"
#include "plugin/snapshot.h"
#include "plugin/waits.h"

enum {
    KILL_AGAIN_MS = 100,      /* while it is not empty, at first */
    KILL_AGAIN_MAX_MS = 5000, /* and in the end: what SIGKILL does not end may stay for long */
    KILLS_IN_ROW = 100,       /* at once, of what was born while the one before ran */
    GRACE_MS = 300,           /* for the news of deaths, once the kernel says that it is empty */
};

/* ---- killing ---- */

/* A sub-scope that is named is there: it was when its kill began, and stays as long as its block.
 */
static struct kill_turn *turn_of(struct block *block, struct text name)
{
    return name.size ? &registry_scope(block, name)->turn : &block->turn;
}

/* True where another kill of the same tree was asked for while the one before ran. */
static bool end_turn(struct block *block, struct text scope)
{
    struct kill_turn *turn = turn_of(block, scope);
    bool wanted = turn->wanted;
    *turn = (struct kill_turn){false, false};
    return wanted;
}

/* Where members are remembered a kill has two steps: all that are known and their descendants at
 * once, and then, which can hang as reads do, strays by their tags. True: the second one goes on.
 */
static bool kill_strays(struct module *module, struct tracker_op *op)
{
    if (!snapshot_is_needed(module) || op->strays || module->wound_up)
        return false;
    op->strays = true;
    known_drop(&op->known);
    if (snapshot_give(module, op) < 0)
        return false;
    tracker_op_submit(module->workers, op);
    return true;
}

static void on_killed(struct tracker_op *op, void *context)
{
    struct module *module = context;
    if (kill_strays(module, op))
        return;
    struct block *block = blocks_come_back(module, op);
    if (op->result < 0)
        module_log(module, WPS_LOG_WARNING, "%s", op->error.message);
    bool behind = snapshot_is_behind(module, block, op);
    block->was_left = block->was_left || op->left > 0 || op->result < 0 || behind;
    block->kills--;
    if (end_turn(block, text_of(op->scope)))
        blocks_kill(module, block, text_of(op->scope));
    else if (!behind)
        block->kills_in_row = 0;
    else if (block->kills == 0 && block->kills_in_row++ < KILLS_IN_ROW)
        blocks_kill(module, block, text_of(op->scope)); /* born meanwhile of what was killed */
    tracker_op_free(op);
    if (block->state == BLOCK_REMOVING)
        blocks_go_on(module, block);
    else if (block->kills == 0)
        blocks_resume_waiting(module, block);
}

static void wake_in(struct block *block, uint64_t ms)
{
    sd_event_source_set_time(block->again, monotonic_ns() / 1000 + ms * 1000);
    sd_event_source_set_enabled(block->again, SD_EVENT_ONESHOT);
}

/* A removal tries again by itself. */
static int no_kill(struct module *module, struct block *block)
{
    module_log(module, WPS_LOG_WARNING, "no memory to kill the processes of block %s", block->id);
    if (block->state == BLOCK_REMOVING)
        wake_in(block, block->patience_ms);
    return -ENOMEM;
}

int blocks_kill(struct module *module, struct block *block, struct text scope)
{
    if (block->clearing || module->wound_up)
        return 0; /* it is empty; who joins now is killed when that fails */
    if (scope.size && !registry_scope(block, scope))
        return 0; /* nobody was ever in there */
    struct kill_turn *turn = turn_of(block, scope);
    if (turn->running) {
        turn->wanted = true;
        return 0;
    }
    struct tracker_op *op = blocks_op(module, TRACKER_KILL, block, scope, on_killed);
    if (!op || snapshot_give(module, op) < 0) {
        tracker_op_free(op);
        return no_kill(module, block);
    }
    if (scope.size == 0)
        block->was_left = false;
    turn->running = true;
    block->kernel_empty = false;
    block->kills++;
    blocks_submit(module, block, op);
    return 0;
}

/* ---- removing ---- */

static int on_watch(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct block *block = context;
    (void)source, (void)fd, (void)events;
    blocks_go_on(block->module, block);
    return 0;
}

/* Each time a little later than the time before. */
static void wake_later(struct block *block)
{
    wake_in(block, block->patience_ms);
    block->patience_ms =
        block->patience_ms * 2 < KILL_AGAIN_MAX_MS ? block->patience_ms * 2 : KILL_AGAIN_MAX_MS;
}

static int on_again(sd_event_source *source, uint64_t now_us, void *context)
{
    struct block *block = context;
    struct module *module = block->module;
    (void)source, (void)now_us;
    if (block->kernel_empty && !block->clearing) {
        wake_in(block, GRACE_MS);
        scan_end_all(module, block); /* deaths that the feed did not tell in time */
        if (snapshot_is_needed(module) && !TAILQ_EMPTY(&block->processes))
            blocks_kill(module, block,
                        (struct text){NULL, 0}); /* the feed told of one that lives */
        blocks_forgot(module, block);
    } else if (!block->kernel_empty && !block->kills) {
        blocks_kill(module, block, (struct text){NULL, 0});
    }
    return 0;
}

/* The block may have become empty: look, and take the next step. Where the kernel has nothing to
 * watch, what the last kill found at its end is the look. */
void blocks_go_on(struct module *module, struct block *block)
{
    if (block->clearing || block->busy)
        return;
    if (block->watch_fd >= 0 ? !tracker_is_empty(block->watch_fd) : block->was_left) {
        if (block->watch) /* its file was read just now, so that the next change is told */
            sd_event_source_set_enabled(block->watch, SD_EVENT_ONESHOT);
        wake_later(block);
        return;
    }
    block->kernel_empty = true;
    if (block->watch)
        sd_event_source_set_enabled(block->watch, SD_EVENT_OFF);
    intake_drain(module); /* the news of the last deaths */
    wake_in(block, GRACE_MS);
    blocks_forgot(module, block);
}

static void finish(struct module *module, struct block *block)
{
    /* Readers that are not told of it would keep it for ever: that waits until the host has room.
     */
    if (publish_block_removed(module, block, block->removal))
        blocks_told_removed(module, block);
}

void blocks_told_removed(struct module *module, struct block *block)
{
    struct asks makers;
    removers_part(block);
    listing_gone(block);
    waits_block_gone(module, block);
    blocks_take_asks(&block->makers, &makers);
    struct ask *ask;
    TAILQ_FOREACH (ask, &makers, link)
        ask->settled = false; /* the new block has its own on_crash */
    sd_event_source_disable_unref(block->watch);
    sd_event_source_disable_unref(block->again);
    blocks_unmake(module, block);
    blocks_ensure_all(module, &makers);
}

/* Where it may go away by itself; also where nobody has joined and the kernel or somebody else
 * keeps the place busy. */
static bool passes(const struct block *block, int result)
{
    if (result == -EBUSY)
        return block->watch_fd >= 0 && tracker_is_empty(block->watch_fd);
    return wps_error_passes(result);
}

static void on_cleared(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct block *block = blocks_come_back(module, op);
    int result = op->result;
    if (result < 0)
        module_log(module, WPS_LOG_WARNING, "%s", op->error.message);
    tracker_op_free(op);
    block->clearing = false;
    if (passes(block, result)) {
        wake_later(block);
        return;
    }
    if (result != -EBUSY && TAILQ_EMPTY(&block->processes)) {
        finish(module, block);
        return;
    }
    block->kernel_empty = false; /* somebody joined: from the beginning */
    block->patience_ms = KILL_AGAIN_MS;
    blocks_kill(module, block, (struct text){NULL, 0});
}

void blocks_forgot(struct module *module, struct block *block)
{
    expiry_forgot(module, block);
    if (block->state != BLOCK_REMOVING || module->wound_up || !block->kernel_empty ||
        block->clearing || block->busy || !TAILQ_EMPTY(&block->processes))
        return;
    struct tracker_op *op =
        blocks_op(module, TRACKER_REMOVE, block, (struct text){NULL, 0}, on_cleared);
    if (!op)
        return; /* the timer tries again */
    sd_event_source_set_enabled(block->again, SD_EVENT_OFF);
    block->clearing = true;
    blocks_submit(module, block, op);
}

static int begin_removal(struct module *module, struct block *block, const char *reason)
{
    int r = 0;
    block->module = module;
    if (block->watch_fd >= 0)
        r = sd_event_add_io(module->event, &block->watch, block->watch_fd, EPOLLPRI, on_watch,
                            block);
    if (r >= 0)
        r = sd_event_add_time(module->event, &block->again, CLOCK_MONOTONIC, UINT64_MAX, 1000,
                              on_again, block);
    if (r < 0) {
        sd_event_source_disable_unref(block->watch);
        block->watch = NULL;
        return r;
    }
    sd_event_source_set_enabled(block->again, SD_EVENT_OFF);
    if (block->watch) /* go_on asks for it, when it has looked and seen somebody */
        sd_event_source_set_enabled(block->watch, SD_EVENT_OFF);
    block->state = BLOCK_REMOVING;
    block->patience_ms = KILL_AGAIN_MS;
    block->removal = reason;
    blocks_resume_waiting(module, block); /* they are told that it is going */
    blocks_kill(module, block, (struct text){NULL, 0});
    return 0;
}

void blocks_remove(struct module *module, struct block *block, const char *reason, struct ask *ask)
{
    int r = block->state == BLOCK_REMOVING ? 0 : begin_removal(module, block, reason);
    if (r >= 0 && ask)
        r = removers_add(module, block, ask);
    if (r >= 0)
        return;
    module_log(module, WPS_LOG_ERROR, "cannot watch block %s for its end: %s", block->id,
               strerror(-r));
    if (ask)
        control_refuse(ask, control_code_of(r), "cannot watch the block for its end: %s",
                       strerror(-r));
}
