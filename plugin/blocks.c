/* SPDX-License-Identifier: Apache-2.0 */

/* Making blocks, and bringing processes into them. */

#include "plugin/blocks.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/assign.h"
#include "plugin/blocks_impl.h"
#include "plugin/escapees.h"
#include "plugin/expiry.h"
#include "plugin/keeper.h"
#include "plugin/limits.h"
#include "plugin/publish.h"
#include "plugin/scan.h"

/* ---- small things ---- */

struct block_version blocks_version(const struct block *block)
{
    return (struct block_version){text_of(block->epoch), block->seq};
}

struct confidence_view blocks_confidence(struct module *module, const struct block *block)
{
    struct confidence_view view = {text_of(module->confidence), text_of(module->confidence_reason)};
    char doubt[ESCAPEES_REASON] = "";
    if (block && block->partial)
        view = (struct confidence_view){text_of("best_effort"), text_of(module->partial_reason)};
    if (block)
        escapees_doubt(block, doubt);
    if (!*doubt)
        return view;
    snprintf(module->doubt, sizeof module->doubt, "%s; otherwise %.*s", doubt,
             (int)view.confidence_reason.size, view.confidence_reason.at);
    view.confidence_reason = text_of(module->doubt);
    if (text_is(view.confidence, "high"))
        view.confidence = text_of("best_effort");
    return view;
}

/* Unlike any epoch before it, of this broker or another. */
static void new_epoch(struct module *module, struct block *block)
{
    snprintf(block->epoch, sizeof block->epoch, "%" PRIx64 "-%" PRIx64,
             (uint64_t)module->clock.boot_ms ^ boottime_ns(), ++module->last_epoch);
    block->seq = 0;
    block->created_at_ms = realtime_ms();
}

struct tracker_op *blocks_op(struct module *module, enum tracker_op_kind kind,
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

void blocks_take_asks(struct asks *from, struct asks *to)
{
    TAILQ_INIT(to);
    TAILQ_CONCAT(to, from, link);
}

/* Hands it to a worker; the block stays until it is back. */
void blocks_submit(struct module *module, struct block *block, struct tracker_op *op)
{
    assert(!block->clearing || op->kind == TRACKER_REMOVE);
    block->busy++;
    tracker_op_submit(module->workers, op);
}

/* The block that an operation comes back to. */
struct block *blocks_come_back(struct module *module, const struct tracker_op *op)
{
    struct block *block = registry_block(&module->registry, text_of(op->block));
    block->busy--;
    return block;
}

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
        .confidence = blocks_confidence(module, block),
        .tracker = text_of(tracker_name(module->tracker)),
        .feed = text_of(feed_name(module->feed)),
    };
    if (tracker_procs_path(module->tracker, block->id, scope, path))
        reply.procs_path = text_of(path);
    ensure_reply_pack(control_reply(ask), &reply);
    control_send(ask);
}

static void take_wishes(struct module *module, struct block *block, const struct ask *ask)
{
    expiry_claim(module, block);
    if (ask->request.has_on_exit)
        block->keep_on_exit = ask->request.keep_on_exit;
}

/* With a sub-scope that is gone, those above and below it may be. */
static void displace_lost(struct module *module, struct block *block)
{
    struct scope *scope;
    SLIST_FOREACH (scope, &block->scopes, in_block)
        if (scope->made && !tracker_is_there(module->tracker, block->id, scope->name))
            registry_displace_scope(&module->registry, scope);
}

/* Somebody else took the place of the block away, or of one of its sub-scopes. */
static void note_gone(struct module *module, struct block *block, const struct scope *scope)
{
    bool all = !tracker_is_there(module->tracker, block->id, "");
    module_log(module, WPS_LOG_WARNING,
               "the cgroup of block %s%s%s was removed by somebody else: it is made again",
               block->id, all ? "" : ", sub-scope ", all ? "" : scope->name);
    if (all)
        registry_displace_block(&module->registry, block);
    else
        displace_lost(module, block);
}

/* True where the sub-scope that is asked for can be joined already. */
static bool is_made(struct module *module, struct block *block, const struct ask *ask)
{
    struct scope *scope = registry_scope(block, scope_or_main(ask));
    if (scope && scope->made && !tracker_is_there(module->tracker, block->id, scope->name))
        note_gone(module, block, scope);
    return scope && scope->made;
}

static enum tracker_mark mark_wished(const struct ask *ask, enum tracker_fate fate)
{
    const struct control_request *request = &ask->request;
    bool is_said = fate == TRACKER_ON_EXIT ? request->has_on_exit : request->has_on_crash;
    bool keeps = fate == TRACKER_ON_EXIT ? request->keep_on_exit : !request->kill_on_crash;
    if (!is_said)
        return TRACKER_UNMARKED;
    return keeps ? TRACKER_MARK_KEEP : TRACKER_MARK_KILL;
}

/* What is to be written so that the next broker finds it as this ask wants it; unmarked: nothing.
 * An on_crash that was never said is keep. */
static enum tracker_mark mark_due(const struct block *block, const struct ask *ask,
                                  enum tracker_fate fate)
{
    enum tracker_mark wished = mark_wished(ask, fate), found = block->marks[fate];
    bool is_so = wished == found || (fate == TRACKER_ON_CRASH && wished == TRACKER_MARK_KEEP &&
                                     found == TRACKER_UNMARKED);
    return is_so ? TRACKER_UNMARKED : wished;
}

static bool is_marked(const struct block *block, const struct ask *ask)
{
    return !mark_due(block, ask, TRACKER_ON_EXIT) && !mark_due(block, ask, TRACKER_ON_CRASH);
}

static void set_marks(struct tracker_op *op, const struct block *block, const struct ask *ask)
{
    for (enum tracker_fate fate = 0; fate < TRACKER_FATES; fate++) {
        if (ask->request.command == CONTROL_ENSURE_TRACKER)
            op->marks[fate] = mark_due(block, ask, fate);
        if (!op->marks[fate] && !block->place)
            op->marks[fate] = block->marks[fate]; /* made again: what was said of it holds */
    }
}

/* Has a worker make what is not there of a block and a sub-scope. False: it was refused. */
static bool begin_making(struct module *module, struct block *block, struct ask *ask,
                         void (*done)(struct tracker_op *op, void *context))
{
    if (limits_too_many_scopes(module, block, scope_or_main(ask))) {
        limits_refuse(module, ask, LIMIT_SCOPES);
        return false;
    }
    struct tracker_op *op = blocks_op(module, TRACKER_CREATE, block, scope_or_main(ask), done);
    if (!op) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return false;
    }
    set_marks(op, block, ask);
    op->tag = (uintptr_t)ask;
    op->n_new = registry_scopes_missing(block, scope_or_main(ask));
    op->is_watched = block->watch_fd >= 0;
    op->fd_end = module->fd_end;
    block->n_scopes_making += op->n_new;
    blocks_submit(module, block, op);
    return true;
}

static struct block *come_back_made(struct module *module, const struct tracker_op *op)
{
    struct block *block = blocks_come_back(module, op);
    block->n_scopes_making -= op->n_new;
    return block;
}

static void refuse_unmade(struct module *module, struct ask *ask, const struct tracker_op *op)
{
    if (op->result == -EMFILE)
        limits_refuse(module, ask, LIMIT_DESCRIPTORS);
    else
        control_refuse(ask, control_code_of(op->result), "%s", op->error.message);
}

void blocks_take_places(struct module *module, struct block *block, struct tracker_op *op)
{
    registry_place_block(&module->registry, block, op->block_place);
    for (enum tracker_fate fate = 0; fate < TRACKER_FATES; fate++)
        if (op->marks[fate])
            block->marks[fate] = (uint8_t)op->marks[fate];
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

void blocks_start_live(struct module *module, struct block *block)
{
    new_epoch(module, block);
    block->state = BLOCK_LIVE;
    publish_block_added(module, block);
    if (block->watch_fd >= 0 && !tracker_is_empty(block->watch_fd))
        scan_block(module, block); /* somebody was faster, or it is an old one */
}

void blocks_unmake(struct module *module, struct block *block)
{
    char id[BLOCK_ID_MAX + 1];
    strcpy(id, block->id);
    publish_forget_block(module, block);
    escapees_forget_block(module, block);
    expiry_claim(module, block);
    scan_forget(module, block);
    registry_remove_block(&module->registry, block);
    keeper_forget(module, text_of(id));
}

/* Those who waited ask again: at the latest they wait behind the first of them. */
void blocks_ensure_all(struct module *module, struct asks *makers)
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
        refuse_unmade(module, ask, op);
        return;
    }
    blocks_take_places(module, block, op);
    if (created)
        blocks_start_live(module, block);
    take_wishes(module, block, ask);
    answer_ensure(module, block, ask, created);
}

static void on_created(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct block *block = come_back_made(module, op);
    if (block->state == BLOCK_REMOVING) {
        tracker_op_free(op); /* who asked is asked for again when it is gone */
        blocks_go_on(module, block);
        return;
    }
    answer_maker(module, block, op);
    tracker_op_free(op);
    if (block->state == BLOCK_MAKING && TAILQ_EMPTY(&block->makers)) {
        blocks_unmake(module, block);
        return;
    }
    struct asks makers;
    blocks_take_asks(&block->makers, &makers);
    blocks_ensure_all(module, &makers);
}

static struct block *new_block(struct module *module, struct ask *ask)
{
    if (registry_n_blocks(&module->registry) >= module->options.max_blocks) {
        keeper_forget(module, ask->request.block_id);
        limits_refuse(module, ask, LIMIT_BLOCKS);
        return NULL;
    }
    struct block *block = registry_add_block(&module->registry, ask->request.block_id);
    if (!block) {
        keeper_forget(module, ask->request.block_id);
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return NULL;
    }
    block->keep_on_exit = module->options.keep_on_exit;
    return block;
}

/* For the first of those who wait for the block. */
static void begin_ensuring(struct module *module, struct block *block)
{
    struct ask *ask = TAILQ_FIRST(&block->makers);
    TAILQ_REMOVE(&block->makers, ask, link);
    if (begin_making(module, block, ask, on_created))
        TAILQ_INSERT_HEAD(&block->makers, ask, link);
    else if (block->state == BLOCK_MAKING)
        blocks_unmake(module, block);
}

void blocks_ensure(struct module *module, struct ask *ask)
{
    struct block *block = registry_block(&module->registry, ask->request.block_id);
    if (block && block->state == BLOCK_REMOVING) { /* it is asked for again when it is gone */
        TAILQ_INSERT_TAIL(&block->makers, ask, link);
        return;
    }
    if (!keeper_settle(module, ask))
        return; /* answered, or it comes back here */
    bool busy = block && (block->state != BLOCK_LIVE || !TAILQ_EMPTY(&block->makers));
    if (block && !busy && is_made(module, block, ask) && is_marked(block, ask)) {
        take_wishes(module, block, ask);
        answer_ensure(module, block, ask, false);
        return;
    }
    if (!block && !(block = new_block(module, ask)))
        return;
    bool running = !TAILQ_EMPTY(&block->makers);
    TAILQ_INSERT_TAIL(&block->makers, ask, link);
    if (running)
        return;
    begin_ensuring(module, block);
}

/* ---- assigning ---- */

static void on_scope_made(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct block *block = come_back_made(module, op);
    struct ask *ask = (struct ask *)(uintptr_t)op->tag;
    if (op->result < 0) {
        refuse_unmade(module, ask, op);
    } else {
        blocks_take_places(module, block, op);
        blocks_assign(module, block, ask);
    }
    tracker_op_free(op);
    if (block->state == BLOCK_REMOVING)
        blocks_go_on(module, block);
}

void blocks_assign(struct module *module, struct block *block, struct ask *ask)
{
    if (!block || block->state != BLOCK_LIVE) {
        control_refuse(ask, ERRORCODE_NO_SUCH_BLOCK,
                       "data.block_id: no block '%.*s': ensure_tracker makes it",
                       (int)ask->request.block_id.size, ask->request.block_id.at);
        return;
    }
    if (block->kills || assign_runs_for(module, block, (uint32_t)ask->request.pid)) {
        TAILQ_INSERT_TAIL(&block->waiting, ask, link);
        return;
    }
    if (limits_full(module) && !registry_process(&module->registry, (uint32_t)ask->request.pid)) {
        limits_refuse(module, ask, LIMIT_PROCESSES);
        return;
    }
    if (is_made(module, block, ask) || !(tracker_traits(module->tracker) & TRACKER_TRACKS)) {
        assign_start(module, block, ask, &ask->request, ask->uid);
        return;
    }
    begin_making(module, block, ask, on_scope_made);
}

void blocks_assigned(struct module *module, struct block *block)
{
    /* What was assigned while a removal began is ended with the rest. */
    if (block->state == BLOCK_REMOVING)
        blocks_kill(module, block, (struct text){NULL, 0});
    else if (block->kills == 0)
        blocks_resume_waiting(module, block);
}

void blocks_resume_waiting(struct module *module, struct block *block)
{
    struct asks waiting;
    struct ask *ask;
    blocks_take_asks(&block->waiting, &waiting);
    while ((ask = TAILQ_FIRST(&waiting))) {
        TAILQ_REMOVE(&waiting, ask, link);
        blocks_assign(module, block, ask);
    }
}
