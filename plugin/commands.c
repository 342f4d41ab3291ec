/* SPDX-License-Identifier: Apache-2.0 */

/* What each command does. */

#include "plugin/commands.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "plugin/blocks.h"
#include "plugin/details.h"
#include "plugin/escapees.h"
#include "plugin/intake.h"
#include "plugin/keeper.h"
#include "plugin/listing.h"
#include "plugin/lives.h"
#include "plugin/overview.h"
#include "plugin/signals.h"
#include "plugin/waits.h"

static struct block *block_of(struct module *module, const struct ask *ask)
{
    struct block *block = registry_block(&module->registry, ask->request.block_id);
    return block && block->state != BLOCK_MAKING ? block : NULL;
}

/* ---- what there is ---- */

static void describe(struct module *module, struct ask *ask)
{
    struct attempt tried[ATTEMPTS_MAX];
    for (unsigned i = 0; i < module->n_attempts; i++)
        tried[i] = (struct attempt){text_of(module->attempts[i].what), module->attempts[i].ok,
                                    text_of(module->attempts[i].why)};
    const struct named_uint limits[] = {
        {"block_id_bytes", BLOCK_ID_MAX},
        {"subscope_parts", SUBSCOPE_PARTS_MAX},
        {"command_bytes", 4096},
        {"request_bytes", REQUEST_BYTES_MAX},
        {"request_depth", WIRE_DEPTH_MAX},
        {"blocks", module->options.max_blocks},
        {"scopes", module->options.max_scopes},
        {"processes", module->options.max_processes},
        {"requests", module->options.max_requests},
        {"descriptors", (uint64_t)module->fd_end},
        {"settle_ms", module->options.settle_ms},
        {"poll_ms", module->options.poll_ms},
        {"adopt_expire_ms", module->options.adopt_expire_ms},
        {"escaped", ESCAPEES_MAX},
    };
    struct describe_reply reply = {
        .protocol = 1,
        .name = text_of("proctrack"),
        .version = text_of(PROCTRACK_VERSION),
        .tracker = text_of(tracker_name(module->tracker)),
        .feed = text_of(feed_name(module->feed)),
        .confidence = blocks_confidence(module, NULL),
        .tried = tried,
        .n_tried = module->n_attempts,
        .limits = limits,
        .n_limits = sizeof limits / sizeof *limits,
    };
    describe_reply_pack(control_reply(ask), &reply);
    control_send(ask);
}

static void confidence_of(struct module *module, struct ask *ask)
{
    const struct block *block = block_of(module, ask);
    const struct confidence_view unknown = {text_of("none"), text_of("there is no such block")};
    confidence_reply_pack(control_reply(ask),
                          block ? blocks_version(block) : (struct block_version){0},
                          block ? blocks_confidence(module, block) : unknown);
    control_send(ask);
}

static void stats(struct module *module, struct ask *ask)
{
    const struct counters *of = &module->counters;
    const struct gauges now = {
        .blocks = registry_n_blocks(&module->registry),
        .processes = registry_n_processes(&module->registry),
        .escaped = escapees_count(module),
        .requests_waiting = control_waiting(ask->control),
        .workers = workers_threads(module->workers),
        .jobs_pending = workers_pending(module->workers),
        .details_held = details_held(module),
        .keeper_pid = keeper_pid(module),
        .keeper_blocks = keeper_blocks(module),
    };
    const struct named_uint counters[] = {
#define COUNTER_ROW(name, help) {#name, of->name},
        MODULE_COUNTERS(COUNTER_ROW)
#undef COUNTER_ROW
    };
    const struct named_int gauges[] = {
#define GAUGE_ROW(name, help) {#name, now.name},
        MODULE_GAUGES(GAUGE_ROW)
#undef GAUGE_ROW
    };
    stats_reply_pack(control_reply(ask), counters, sizeof counters / sizeof *counters, gauges,
                     sizeof gauges / sizeof *gauges);
    control_send(ask);
}

/* ---- ending ---- */

static void answer_ok(const struct block *block, struct ask *ask, bool ok)
{
    ok_reply_pack(control_reply(ask), block ? blocks_version(block) : (struct block_version){0},
                  ok);
    control_send(ask);
}

static void kill_tree(struct module *module, struct ask *ask)
{
    struct block *block = block_of(module, ask);
    bool found = block && (!ask->request.scope.size || registry_scope(block, ask->request.scope));
    if (found && blocks_kill(module, block, ask->request.scope) < 0)
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory: the block is not killed");
    else
        answer_ok(block, ask, found);
}

static void remove_block(struct module *module, struct ask *ask)
{
    struct block *block = block_of(module, ask);
    if (block) {
        blocks_remove(module, block, "removed", ask);
        return;
    }
    remove_reply_pack(control_reply(ask), (struct block_version){0}, false, NULL, 0);
    control_send(ask);
}

/* ---- dispatch ---- */

/* Commands about a block that has to be there. */
static void run_known(struct module *module, struct ask *ask,
                      void (*run)(struct module *module, struct block *block, struct ask *ask))
{
    struct block *block = block_of(module, ask);
    if (block)
        run(module, block, ask);
    else
        control_refuse(ask, ERRORCODE_NO_SUCH_BLOCK,
                       "data.block_id: no block '%.*s': ensure_tracker makes it",
                       (int)ask->request.block_id.size, ask->request.block_id.at);
}

static void kill_pid(struct module *module, struct ask *ask)
{
    signals_kill_pid(module, block_of(module, ask), ask);
}

static void kill_started(struct module *module, struct ask *ask)
{
    run_known(module, ask, signals_kill_started);
}

static void signal_tree(struct module *module, struct ask *ask)
{
    run_known(module, ask, signals_tree);
}

static void freeze_or_thaw(struct module *module, struct ask *ask)
{
    run_known(module, ask, signals_freeze);
}

static void stop_or_wait(struct module *module, struct ask *ask)
{
    run_known(module, ask, waits_start);
}

static void assign_process(struct module *module, struct ask *ask)
{
    if (ask->request.pid == 0) {
        control_refuse(ask, ERRORCODE_INVALID_ARGUMENT, "data.pid: 0 is no process");
        return;
    }
    blocks_assign(module, block_of(module, ask), ask);
}

void commands_run(struct module *module, struct ask *ask)
{
    static void (*const commands[CONTROL_COMMANDS])(struct module *, struct ask *) = {
        [CONTROL_DESCRIBE] = describe,
        [CONTROL_ENSURE_TRACKER] = blocks_ensure,
        [CONTROL_ASSIGN_PROCESS] = assign_process,
        [CONTROL_LIST_BLOCK] = listing_start,
        [CONTROL_LIST_ALL_BLOCKS] = overview_start,
        [CONTROL_CONFIDENCE_OF] = confidence_of,
        [CONTROL_KILL_PID] = kill_pid,
        [CONTROL_KILL_TREE] = kill_tree,
        [CONTROL_KILL_STARTED] = kill_started,
        [CONTROL_SIGNAL_TREE] = signal_tree,
        [CONTROL_STOP_TREE] = stop_or_wait,
        [CONTROL_WAIT_EMPTY] = stop_or_wait,
        [CONTROL_FREEZE] = freeze_or_thaw,
        [CONTROL_THAW] = freeze_or_thaw,
        [CONTROL_REMOVE] = remove_block,
        [CONTROL_STATS] = stats,
    };
    if (module->stopping) {
        control_refuse(ask, ERRORCODE_INTERNAL, "the broker is going down");
        return;
    }
    intake_drain(module);
    struct block *block = block_of(module, ask);
    if (block)
        lives_push_block(module, block);
    commands[ask->request.command](module, ask);
}
