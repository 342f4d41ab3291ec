/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The promises that the keeper is to keep. One stands for one block id: what was asked for, and
 * what the keeper that runs was told. Where these differ it waits in `to_tell`, from the message to
 * its answer in `told`; asks wait in it until it is in neither. Promises are apart from blocks, for
 * they begin before a block does and end after it.
 */

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "keeper/lock.h"
#include "plugin/blocks_impl.h"
#include "plugin/keeper_impl.h"
#include "plugin/publish.h"
#include "plugin/setup.h"

/* ---- promises ---- */

static struct promise *promise_of(const struct keeper *keeper, struct text id)
{
    struct promise *promise;
    HASH_FIND(by_id, keeper->promises, id.at, id.size, promise);
    return promise;
}

static struct promise *add_promise(struct keeper *keeper, struct text id)
{
    struct promise *promise = calloc(1, sizeof *promise);
    if (!promise)
        return NULL;
    text_copy(promise->id, id);
    TAILQ_INIT(&promise->waiting);
    HASH_ADD_KEYPTR(by_id, keeper->promises, promise->id, id.size, promise);
    if (promise->by_id.tbl)
        return promise;
    free(promise);
    return NULL;
}

void keeper_take_out(struct keeper *keeper, struct promise *promise)
{
    if (promise->where == IN_TO_TELL)
        TAILQ_REMOVE(&keeper->to_tell, promise, link);
    else if (promise->where == IN_TOLD)
        TAILQ_REMOVE(&keeper->told, promise, link);
    promise->where = NOWHERE;
}

static void drop_promise(struct keeper *keeper, struct promise *promise)
{
    keeper_take_out(keeper, promise);
    HASH_DELETE(by_id, keeper->promises, promise);
    free(promise);
}

/* What was asked for is in force: who waits for it goes on. Nothing of the promise is used behind
 * it. */
static void in_force(struct keeper *keeper, struct promise *promise)
{
    struct asks waiting;
    struct ask *ask;
    blocks_take_asks(&promise->waiting, &waiting);
    promise->held = promise->wish;
    if (!promise->wish)
        drop_promise(keeper, promise);
    while ((ask = TAILQ_FIRST(&waiting))) {
        TAILQ_REMOVE(&waiting, ask, link);
        ask->settled = true;
        if (keeper->module->stopping)
            control_refuse(ask, ERRORCODE_INTERNAL, "the broker is going down");
        else
            blocks_ensure(keeper->module, ask);
    }
}

void keeper_look_at(struct keeper *keeper, struct promise *promise)
{
    if (promise->where == IN_TOLD)
        return; /* its answer comes first */
    if (promise->wish == promise->told) {
        keeper_take_out(keeper, promise);
        in_force(keeper, promise);
    } else if (promise->where == NOWHERE) {
        promise->where = IN_TO_TELL;
        TAILQ_INSERT_TAIL(&keeper->to_tell, promise, link);
    }
}

static bool has_held(const struct keeper *keeper)
{
    for (const struct promise *promise = keeper->promises; promise; promise = promise->by_id.next)
        if (promise->held)
            return true;
    return false;
}

/* ---- what it answers for ---- */

static void refuse_kill(const struct keeper *keeper, struct ask *ask)
{
    control_refuse(ask, ERRORCODE_NOT_SUPPORTED,
                   "data.on_crash: kill: the keeper that would do it does not run: %s",
                   keeper->why);
}

void keeper_set_broken(struct keeper *keeper, bool broken)
{
    struct module *module = keeper->module;
    struct block *block, *next;
    if (keeper->broken == broken)
        return;
    keeper->broken = broken;
    if (!has_held(keeper))
        return;
    setup_confidence(module);
    HASH_ITER (by_id, module->registry.blocks, block, next)
        if (block->state == BLOCK_LIVE)
            publish_block_changed(module, block);
}

void keeper_give_up(struct keeper *keeper)
{
    struct promise *promise, *next;
    struct ask *ask;
    HASH_ITER (by_id, keeper->promises, promise, next) {
        while ((ask = TAILQ_FIRST(&promise->waiting))) {
            TAILQ_REMOVE(&promise->waiting, ask, link);
            refuse_kill(keeper, ask);
        }
        if (!promise->held)
            drop_promise(keeper, promise);
    }
    setup_note(keeper->module, "keeper", false, keeper->why);
    keeper_set_broken(keeper, keeper->promises != NULL);
}

void keeper_forget_told(struct keeper *keeper)
{
    struct promise *promise, *next;
    HASH_ITER (by_id, keeper->promises, promise, next) {
        keeper_take_out(keeper, promise);
        promise->told = false;
        keeper_look_at(keeper, promise);
    }
}

/* ---- for the others ---- */

void keeper_find_program(const struct module *module, char *path, size_t room)
{
    static const char name[] = "proctrack-keeper";
    Dl_info info;
    if (module->options.keeper[0]) {
        snprintf(path, room, "%s", module->options.keeper);
        return;
    }
    _cleanup_free_ char *own =
        dladdr((void *)(uintptr_t)keeper_open, &info) ? realpath(info.dli_fname, NULL) : NULL;
    const char *slash = own ? strrchr(own, '/') : NULL;
    if (!slash || snprintf(path, room, "%.*s/%s", (int)(slash - own), own, name) >= (int)room)
        snprintf(path, room, "%s", name);
}

int keeper_open(struct module *module, struct wps_error *error)
{
    char why[512];
    if (!(tracker_traits(module->tracker) & TRACKER_HAS_PLACES))
        return 0;
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return wps_error_set(error, -ENOMEM, "out of memory");
    keeper->module = module;
    keeper->socket = keeper->pidfd = -1;
    TAILQ_INIT(&keeper->to_tell);
    TAILQ_INIT(&keeper->told);
    module->keeper = keeper;
    int r = sd_event_add_time(module->event, &keeper->timer, CLOCK_MONOTONIC, UINT64_MAX, 1,
                              keeper_on_timer, keeper);
    if (r < 0)
        return wps_error_system(error, r, "cannot make a timer");
    sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
    keeper_find_program(module, keeper->path, sizeof keeper->path);
    bool there = access(keeper->path, X_OK) == 0;
    snprintf(why, sizeof why, "%s%.400s%s%s",
             there ? "on_crash: kill can be had: " : "on_crash: kill cannot be had: ", keeper->path,
             there ? "" : ": ", there ? "" : strerror(errno));
    setup_note(module, "keeper", there, why);
    return 0;
}

void keeper_wait_for_last(struct module *module)
{
    if (module->keeper &&
        keeper_lock_wait(tracker_root_path(module->tracker), KEEPER_WAIT_MS) == -ETIMEDOUT)
        module_log(module, WPS_LOG_WARNING,
                   "the keeper of the broker before is still at work on %s: blocks that it ends "
                   "may be adopted",
                   tracker_root_path(module->tracker));
}

bool keeper_settle(struct module *module, struct ask *ask)
{
    struct keeper *keeper = module->keeper;
    bool kill = ask->request.kill_on_crash;
    if (!ask->request.has_on_crash || ask->settled || (!keeper && !kill))
        return true;
    if (!keeper) {
        control_refuse(ask, ERRORCODE_NOT_SUPPORTED,
                       "data.on_crash: kill holds with the tracker cgroup alone, and here it is "
                       "%s: leave it out, or ask for keep",
                       tracker_name(module->tracker));
        return false;
    }
    struct promise *promise = promise_of(keeper, ask->request.block_id);
    if (!promise && !kill)
        return true;
    if (!promise && !(promise = add_promise(keeper, ask->request.block_id))) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return false;
    }
    promise->wish = kill;
    TAILQ_INSERT_TAIL(&promise->waiting, ask, link);
    keeper_look_at(keeper, promise);
    keeper_want(keeper);
    keeper_flush(keeper);
    return false;
}

void keeper_forget(struct module *module, struct text block_id)
{
    struct keeper *keeper = module->keeper;
    struct promise *promise = keeper ? promise_of(keeper, block_id) : NULL;
    if (!promise || !TAILQ_EMPTY(&promise->waiting))
        return; /* who waits wants another block of that id, and it is his promise now */
    promise->wish = promise->held = false;
    keeper_look_at(keeper, promise);
    keeper_flush(keeper);
}

void keeper_doubt(const struct module *module, char *reason, size_t room)
{
    const struct keeper *keeper = module->keeper;
    size_t used = strlen(reason);
    if (keeper && keeper->broken && has_held(keeper))
        snprintf(reason + used, room - used, "; on_crash: kill does not hold now: %s", keeper->why);
}

uint32_t keeper_pid(const struct module *module)
{
    return module->keeper ? module->keeper->pid : 0;
}

unsigned keeper_blocks(const struct module *module)
{
    return module->keeper ? HASH_CNT(by_id, module->keeper->promises) : 0;
}

void keeper_close(struct module *module)
{
    struct keeper *keeper = module->keeper;
    struct promise *promise, *next;
    if (!keeper)
        return;
    HASH_ITER (by_id, keeper->promises, promise, next)
        drop_promise(keeper, promise); /* control answers those who wait */
    sd_event_source_disable_unref(keeper->timer);
    free(keeper);
    module->keeper = NULL;
}
