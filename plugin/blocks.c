/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The life of a block. Its end, step by step, each awaited without polling:
 *
 *   kill -> the kernel says empty -> all members were told dead -> its place is removed -> told,
 * gone
 *
 * Where somebody joins on the way it begins again with the kill.
 */

#include "plugin/blocks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "plugin/assign.h"
#include "plugin/clock.h"
#include "plugin/listing.h"
#include "plugin/loop.h"
#include "plugin/publish.h"
#include "plugin/scan.h"
#include "plugin/snapshot.h"
#include "plugin/survivors.h"

enum {
    KILL_AGAIN_MS = 100,      /* while it is not empty, at first */
    KILL_AGAIN_MAX_MS = 5000, /* and in the end: what SIGKILL does not end may stay for long */
    KILLS_IN_ROW = 100,       /* at once, of what was born while the one before ran */
    GRACE_MS = 300,           /* for the news of deaths, once the kernel says that it is empty */
};

/* ---- small things ---- */

struct block_version blocks_version(const struct block *block)
{
    return (struct block_version){text_of(block->epoch), block->seq};
}

struct confidence_view blocks_confidence(const struct module *module)
{
    return (struct confidence_view){text_of(module->confidence),
                                    text_of(module->confidence_reason)};
}

/* Unlike any epoch before it, of this broker or another. */
static void new_epoch(struct module *module, struct block *block)
{
    snprintf(block->epoch, sizeof block->epoch, "%" PRIx64 "-%" PRIx64,
             (uint64_t)module->clock.boot_ms ^ boottime_ns(), ++module->last_epoch);
    block->seq = 0;
}

static struct tracker_op *new_op(struct module *module, enum tracker_op_kind kind,
                                 const struct block *block, struct text scope,
                                 void (*done)(struct tracker_op *op, void *context))
{
    struct tracker_op *op = tracker_op_new(module->tracker, kind, done, module);
    if (!op) {
        module->counters.out_of_memory++;
        return NULL;
    }
    strcpy(op->block, block->id);
    text_copy(op->scope, scope);
    op->life = block->life;
    return op;
}

static void take_all(struct asks *from, struct asks *to)
{
    TAILQ_INIT(to);
    TAILQ_CONCAT(to, from, link);
}

/* Hands it to a worker; the block stays until it is back. */
static void submit(struct module *module, struct block *block, struct tracker_op *op)
{
    block->busy++;
    tracker_op_submit(module->workers, op);
}

/* The block that an operation comes back to. */
static struct block *come_back(struct module *module, const struct tracker_op *op)
{
    struct block *block = registry_block(&module->registry, text_of(op->block));
    block->busy--;
    return block;
}

static void go_on(struct module *module, struct block *block);

/* ---- making ---- */

static struct text scope_or_main(const struct ask *ask)
{
    return ask->request.scope.size ? ask->request.scope : text_of(SUBSCOPE_DEFAULT);
}

static void answer_ensure(struct module *module, struct block *block, struct ask *ask, bool created)
{
    char path[TRACKER_PATH_MAX], scope[SUBSCOPE_MAX + 1] = "";
    struct text name = scope_or_main(ask);
    text_copy(scope, name);
    struct ensure_reply reply = {
        .version = blocks_version(block),
        .created = created,
        .confidence = blocks_confidence(module),
        .tracker = text_of(tracker_name(module->tracker)),
        .feed = text_of(feed_name(module->feed)),
    };
    if (tracker_procs_path(module->tracker, block->id, scope, path))
        reply.procs_path = text_of(path);
    ensure_reply_pack(control_reply(ask), &reply);
    control_send(ask);
}

static void take_wishes(struct block *block, const struct ask *ask)
{
    if (ask->request.has_on_exit)
        block->keep_on_exit = ask->request.keep_on_exit;
}

/* True where the sub-scope that is asked for can be joined already. */
static bool is_made(const struct block *block, const struct ask *ask)
{
    const struct scope *scope = registry_scope(block, scope_or_main(ask));
    return scope && scope->made;
}

/* What the worker made is known now: the block and each level of the sub-scope can be found by
 * their places. */
static void take_places(struct module *module, struct block *block, struct tracker_op *op)
{
    registry_place_block(&module->registry, block, op->block_place);
    struct text scope = text_of(op->scope), level = {op->scope, 0};
    for (int i = 0; i < TRACKER_LEVELS && level.size < scope.size; i++) {
        const char *from = scope.at + level.size + (level.size > 0);
        const char *slash = memchr(from, '/', scope.size - (size_t)(from - scope.at));
        level.size = slash ? (size_t)(slash - scope.at) : scope.size;
        struct scope *made =
            registry_add_scope(&module->registry, block, level, op->scope_place[i]);
        if (made)
            made->made = true;
    }
    if (block->watch_fd < 0) {
        block->watch_fd = op->watch_fd;
        op->watch_fd = -1;
    }
}

static void start_live(struct module *module, struct block *block)
{
    new_epoch(module, block);
    block->state = BLOCK_LIVE;
    publish_block_added(module, block);
    if (block->watch_fd >= 0 && !tracker_is_empty(block->watch_fd))
        scan_block(module, block); /* somebody was faster, or it is an old one */
}

static void unmake(struct module *module, struct block *block)
{
    publish_forget_block(module, block);
    registry_remove_block(&module->registry, block);
}

/* Those who waited ask again: at the latest they wait behind the first of them. */
static void ensure_all(struct module *module, struct asks *makers)
{
    struct ask *ask;
    while ((ask = TAILQ_FIRST(makers))) {
        TAILQ_REMOVE(makers, ask, link);
        if (module->stopping)
            control_refuse(ask, ERRORCODE_INTERNAL, "the broker is going down");
        else
            blocks_ensure(module, ask);
    }
}

/* The first of those who wait for the block gets its answer. */
static void answer_maker(struct module *module, struct block *block, struct tracker_op *op)
{
    struct ask *ask = TAILQ_FIRST(&block->makers);
    bool created = block->state == BLOCK_MAKING;
    TAILQ_REMOVE(&block->makers, ask, link);
    if (op->result < 0) {
        control_refuse(ask, control_code_of(op->result), "%s", op->error.message);
        return;
    }
    take_places(module, block, op);
    if (created)
        start_live(module, block);
    take_wishes(block, ask);
    answer_ensure(module, block, ask, created);
}

static void on_created(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct block *block = come_back(module, op);
    if (block->state == BLOCK_REMOVING) {
        tracker_op_free(op); /* who asked is asked for again when it is gone */
        go_on(module, block);
        return;
    }
    answer_maker(module, block, op);
    tracker_op_free(op);
    if (block->state == BLOCK_MAKING && TAILQ_EMPTY(&block->makers)) {
        unmake(module, block);
        return;
    }
    struct asks makers;
    take_all(&block->makers, &makers);
    ensure_all(module, &makers);
}

static struct block *new_block(struct module *module, struct ask *ask)
{
    if (registry_n_blocks(&module->registry) >= module->options.max_blocks) {
        module->counters.limits_hit++;
        control_refuse(ask, ERRORCODE_LIMIT,
                       "there are %" PRIu64 " blocks already, as many as max-blocks allows: remove "
                       "some, or raise it",
                       module->options.max_blocks);
        return NULL;
    }
    struct block *block = registry_add_block(&module->registry, ask->request.block_id);
    if (!block) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return NULL;
    }
    block->keep_on_exit = module->options.keep_on_exit;
    return block;
}

void blocks_ensure(struct module *module, struct ask *ask)
{
    struct block *block = registry_block(&module->registry, ask->request.block_id);
    bool busy = block && (block->state != BLOCK_LIVE || !TAILQ_EMPTY(&block->makers));
    if (block && !busy && is_made(block, ask)) {
        take_wishes(block, ask);
        answer_ensure(module, block, ask, false);
        return;
    }
    if (!block && !(block = new_block(module, ask)))
        return;
    if (block->state == BLOCK_REMOVING) { /* it is asked for again when it is gone */
        TAILQ_INSERT_TAIL(&block->makers, ask, link);
        return;
    }
    bool running = !TAILQ_EMPTY(&block->makers);
    TAILQ_INSERT_TAIL(&block->makers, ask, link);
    if (running)
        return;
    struct tracker_op *op = new_op(module, TRACKER_CREATE, block, scope_or_main(ask), on_created);
    if (op) {
        submit(module, block, op);
        return;
    }
    TAILQ_REMOVE(&block->makers, ask, link);
    control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
    if (block->state == BLOCK_MAKING)
        unmake(module, block);
}

/* ---- assigning ---- */

static void on_scope_made(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct block *block = come_back(module, op);
    struct ask *ask = (struct ask *)(uintptr_t)op->tag;
    if (op->result < 0) {
        control_refuse(ask, control_code_of(op->result), "%s", op->error.message);
    } else {
        take_places(module, block, op);
        blocks_assign(module, block, ask);
    }
    tracker_op_free(op);
    if (block->state == BLOCK_REMOVING)
        go_on(module, block);
}

void blocks_assign(struct module *module, struct block *block, struct ask *ask)
{
    if (!block || block->state != BLOCK_LIVE) {
        control_refuse(ask, ERRORCODE_NO_SUCH_BLOCK,
                       "data.block_id: no block '%.*s': ensure_tracker makes it",
                       (int)ask->request.block_id.size, ask->request.block_id.at);
        return;
    }
    if (block->kills) {
        TAILQ_INSERT_TAIL(&block->waiting, ask, link);
        return;
    }
    if (is_made(block, ask) || !(tracker_traits(module->tracker) & TRACKER_TRACKS)) {
        assign_start(module, block, ask, &ask->request, ask->uid);
        return;
    }
    struct tracker_op *op =
        new_op(module, TRACKER_CREATE, block, scope_or_main(ask), on_scope_made);
    if (!op) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    op->tag = (uintptr_t)ask;
    submit(module, block, op);
}

void blocks_assigned(struct module *module, struct block *block)
{
    /* What was assigned while a removal began is ended with the rest. */
    if (block->state == BLOCK_REMOVING)
        blocks_kill(module, block, (struct text){NULL, 0});
}

static void resume_waiting(struct module *module, struct block *block)
{
    struct asks waiting;
    struct ask *ask;
    take_all(&block->waiting, &waiting);
    while ((ask = TAILQ_FIRST(&waiting))) {
        TAILQ_REMOVE(&waiting, ask, link);
        blocks_assign(module, block, ask);
    }
}

/* ---- killing ---- */

static struct kill_turn *turn_of(struct block *block, struct text name)
{
    struct scope *scope = name.size ? registry_scope(block, name) : NULL;
    return scope ? &scope->turn : &block->turn;
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
    struct block *block = come_back(module, op);
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
        go_on(module, block);
    else if (block->kills == 0)
        resume_waiting(module, block);
}

void blocks_kill(struct module *module, struct block *block, struct text scope)
{
    struct kill_turn *turn = turn_of(block, scope);
    if (block->clearing || module->wound_up)
        return; /* it is empty; who joins now is killed when that fails */
    if (turn->running) {
        turn->wanted = true;
        return;
    }
    struct tracker_op *op = new_op(module, TRACKER_KILL, block, scope, on_killed);
    if (!op || snapshot_give(module, op) < 0) {
        tracker_op_free(op);
        return;
    }
    if (scope.size == 0)
        block->was_left = false;
    turn->running = true;
    block->kernel_empty = false;
    block->kills++;
    submit(module, block, op);
}

/* ---- removing ---- */

static int on_watch(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct block *block = context;
    (void)source, (void)fd, (void)events;
    go_on(block->module, block);
    return 0;
}

static void wake_in(struct block *block, uint64_t ms)
{
    sd_event_source_set_time(block->again, monotonic_ns() / 1000 + ms * 1000);
    sd_event_source_set_enabled(block->again, SD_EVENT_ONESHOT);
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
static void go_on(struct module *module, struct block *block)
{
    if (block->clearing || block->busy)
        return;
    if (block->watch_fd >= 0 ? !tracker_is_empty(block->watch_fd) : block->was_left) {
        if (block->watch) /* its file was read just now, so that the next change is told */
            sd_event_source_set_enabled(block->watch, SD_EVENT_ONESHOT);
        wake_in(block, block->patience_ms);
        block->patience_ms =
            block->patience_ms * 2 < KILL_AGAIN_MAX_MS ? block->patience_ms * 2 : KILL_AGAIN_MAX_MS;
        return;
    }
    block->kernel_empty = true;
    if (block->watch)
        sd_event_source_set_enabled(block->watch, SD_EVENT_OFF);
    loop_drain_feed(module); /* the news of the last deaths */
    wake_in(block, GRACE_MS);
    blocks_forgot(module, block);
}

static void answer_removers(struct block *block)
{
    struct ask *ask;
    while ((ask = TAILQ_FIRST(&block->removers))) {
        TAILQ_REMOVE(&block->removers, ask, link);
        remove_reply_pack(control_reply(ask), blocks_version(block), true, NULL, 0);
        control_send(ask);
    }
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
    answer_removers(block);
    listing_gone(block);
    take_all(&block->makers, &makers);
    sd_event_source_disable_unref(block->watch);
    sd_event_source_disable_unref(block->again);
    unmake(module, block);
    ensure_all(module, &makers);
}

static void on_cleared(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct block *block = come_back(module, op);
    int result = op->result;
    if (result < 0)
        module_log(module, WPS_LOG_WARNING, "%s", op->error.message);
    tracker_op_free(op);
    block->clearing = false;
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
    if (block->state != BLOCK_REMOVING || module->wound_up || !block->kernel_empty ||
        block->clearing || block->busy || !TAILQ_EMPTY(&block->processes))
        return;
    struct tracker_op *op =
        new_op(module, TRACKER_REMOVE, block, (struct text){NULL, 0}, on_cleared);
    if (!op)
        return; /* the timer tries again */
    sd_event_source_set_enabled(block->again, SD_EVENT_OFF);
    block->clearing = true;
    submit(module, block, op);
}

/* The time-out of one who asked for the removal: it goes on, but the answer names who is left. */
static int on_late(sd_event_source *source, uint64_t now_us, void *context)
{
    struct ask *ask = context;
    struct module *module = control_module(ask->control);
    struct block *block = registry_block(&module->registry, ask->request.block_id);
    (void)source, (void)now_us;
    TAILQ_REMOVE(&block->removers, ask, link);
    survivors_answer(module, block, ask);
    return 0;
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
    resume_waiting(module, block); /* they are told that it is going */
    blocks_kill(module, block, (struct text){NULL, 0});
    return 0;
}

void blocks_remove(struct module *module, struct block *block, const char *reason, struct ask *ask)
{
    int r = block->state == BLOCK_REMOVING ? 0 : begin_removal(module, block, reason);
    if (r >= 0 && ask) {
        uint64_t due_us = monotonic_ns() / 1000 + ask->request.timeout_ms * 1000;
        r = sd_event_add_time(module->event, &ask->timer, CLOCK_MONOTONIC, due_us, 1000, on_late,
                              ask);
        if (r >= 0)
            TAILQ_INSERT_TAIL(&block->removers, ask, link);
    }
    if (r >= 0)
        return;
    module_log(module, WPS_LOG_ERROR, "cannot watch block %s for its end: %s", block->id,
               strerror(-r));
    if (ask)
        control_refuse(ask, control_code_of(r), "cannot watch the block for its end: %s",
                       strerror(-r));
}

/* ---- beginning and end of the module ---- */

/* One sub-scope of a block that is there already: its place is learned. */
static int adopt_scope(struct module *module, struct block *block, const char *scope,
                       struct wps_error *error)
{
    struct tracker_op *op = new_op(module, TRACKER_CREATE, block, text_of(scope), NULL);
    if (!op)
        return wps_error_set(error, -ENOMEM, "out of memory");
    int r = tracker_op_run(op);
    if (r < 0)
        *error = op->error;
    else
        take_places(module, block, op);
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
    struct block *block = registry_add_block(&module->registry, text_of(id));
    if (!block)
        return wps_error_set(error, -ENOMEM, "out of memory");
    int r = adopt_scope(module, block, SUBSCOPE_DEFAULT, error);
    r = r < 0 ? r : for_each_name(module, block, adopt_scope, error);
    if (r < 0)
        return r;
    block->adopted = true;
    block->keep_on_exit = module->options.keep_on_exit;
    start_live(module, block);
    return 0;
}

int blocks_adopt(struct module *module, struct wps_error *error)
{
    return for_each_name(module, NULL, adopt_block, error);
}

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
