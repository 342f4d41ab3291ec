/* SPDX-License-Identifier: Apache-2.0 */

/* What each command does. */

#include "plugin/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plugin/blocks.h"
#include "plugin/keeper.h"
#include "plugin/listing.h"
#include "plugin/lives.h"
#include "plugin/loop.h"
#include "plugin/scan.h"

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
        {"processes", module->options.max_processes},
        {"requests", module->options.max_requests},
        {"settle_ms", module->options.settle_ms},
        {"poll_ms", module->options.poll_ms},
        {"adopt_expire_ms", module->options.adopt_expire_ms},
    };
    struct describe_reply reply = {
        .protocol = 1,
        .name = text_of("proctrack"),
        .version = text_of(PROCTRACK_VERSION),
        .tracker = text_of(tracker_name(module->tracker)),
        .feed = text_of(feed_name(module->feed)),
        .confidence = blocks_confidence(module),
        .tried = tried,
        .n_tried = module->n_attempts,
        .limits = limits,
        .n_limits = sizeof limits / sizeof *limits,
    };
    describe_reply_pack(control_reply(ask), &reply);
    control_send(ask);
}

static void list_all_blocks(struct module *module, struct ask *ask)
{
    size_t n = 0;
    struct block *block, *next;
    if (ask->request.detail) {
        control_refuse(ask, ERRORCODE_NOT_SUPPORTED, "data.detail: not supported by this version");
        return;
    }
    _cleanup_free_ struct block_summary *summaries =
        calloc(registry_n_blocks(&module->registry) + 1, sizeof *summaries);
    if (!summaries) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    HASH_ITER (by_id, module->registry.blocks, block, next) {
        if (block->state == BLOCK_MAKING)
            continue;
        summaries[n++] = (struct block_summary){
            .block_id = text_of(block->id),
            .confidence = blocks_confidence(module).confidence,
            .version = blocks_version(block),
            .processes = block->n_told,
        };
    }
    list_all_reply_pack(control_reply(ask), summaries, n);
    control_send(ask);
}

static void confidence_of(struct module *module, struct ask *ask)
{
    const struct block *block = block_of(module, ask);
    const struct confidence_view unknown = {text_of("none"), text_of("there is no such block")};
    confidence_reply_pack(control_reply(ask),
                          block ? blocks_version(block) : (struct block_version){0},
                          block ? blocks_confidence(module) : unknown);
    control_send(ask);
}

static void stats(struct module *module, struct ask *ask)
{
    const struct counters *of = &module->counters;
    const struct named_uint counters[] = {
#define COUNTER_ROW(name) {#name, of->name},
        COUNTERS(COUNTER_ROW)
#undef COUNTER_ROW
    };
    const struct named_int gauges[] = {
        {"blocks", registry_n_blocks(&module->registry)},
        {"processes", registry_n_processes(&module->registry)},
        {"requests_waiting", control_waiting(ask->control)},
        {"workers", workers_threads(module->workers)},
        {"jobs_pending", workers_pending(module->workers)},
        {"keeper_pid", keeper_pid(module)},
        {"keeper_blocks", keeper_blocks(module)},
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

/* A kill of one pid: the descriptor is taken first, then what it stands for is looked at, so that
 * nobody else is signalled, whatever happens to the pid. */
struct pid_kill {
    struct job job;
    struct ask *ask;
    struct tracker *tracker;
    char block[BLOCK_ID_MAX + 1];
    uint32_t pid;
    uint64_t start_ticks;
    bool rough; /* the start may be off by two ticks */
    int result;
};

static bool is_member(const struct pid_kill *kill, const struct process_facts *facts)
{
    char block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1];
    uint64_t start = facts->stat.start_ticks;
    if (start != kill->start_ticks &&
        !(kill->rough && start + 2 >= kill->start_ticks && start <= kill->start_ticks + 2))
        return false;
    if (!(tracker_traits(kill->tracker) & TRACKER_HAS_PLACES))
        return true;
    return facts->cgroup && tracker_locate(kill->tracker, facts->cgroup, block, scope) &&
           strcmp(block, kill->block) == 0;
}

static void run_pid_kill(struct job *job)
{
    struct pid_kill *kill = (struct pid_kill *)job;
    struct process_facts facts;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, kill->pid, 0);
    if (pidfd < 0) {
        kill->result = -errno;
        return;
    }
    kill->result = facts_read(&facts, kill->pid, FACTS_CGROUP);
    if (kill->result < 0)
        return;
    if (!is_member(kill, &facts))
        kill->result = -ESRCH;
    else if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
        kill->result = -errno;
    facts_clear(&facts);
}

static void on_pid_killed(struct job *job, void *context)
{
    struct pid_kill *kill = (struct pid_kill *)job;
    struct module *module = context;
    struct ask *ask = kill->ask;
    loop_drain_feed(module);
    if (kill->result == 0 || kill->result == -ESRCH)
        answer_ok(block_of(module, ask), ask, kill->result == 0);
    else
        control_refuse(ask, kill->result == -EPERM ? ERRORCODE_NOT_PERMITTED : ERRORCODE_INTERNAL,
                       "cannot kill process %u: %s", kill->pid, strerror(-kill->result));
    free(kill);
}

static void kill_pid(struct module *module, struct ask *ask)
{
    const struct block *block = block_of(module, ask);
    const struct process *process = registry_process(&module->registry, (uint32_t)ask->request.pid);
    if (!block || !process || process->block != block ||
        (ask->request.started_at_ms && life_is_told(process->state) &&
         process->started_at_ms != ask->request.started_at_ms)) {
        answer_ok(block, ask, false);
        return;
    }
    struct pid_kill *kill = calloc(1, sizeof *kill);
    if (!kill) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    *kill = (struct pid_kill){
        .job = {.run = run_pid_kill, .done = on_pid_killed, .context = module},
        .ask = ask,
        .tracker = module->tracker,
        .pid = process->pid,
        .start_ticks = process->start_ticks,
        .rough = process->start_is_rough,
        .result = -ECANCELED,
    };
    strcpy(kill->block, block->id);
    workers_submit(module->workers, &kill->job);
}

static void kill_tree(struct module *module, struct ask *ask)
{
    struct block *block = block_of(module, ask);
    bool found = block && (!ask->request.scope.size || registry_scope(block, ask->request.scope));
    if (found)
        blocks_kill(module, block, ask->request.scope);
    answer_ok(block, ask, found);
}

/* What would be promised and not kept is refused. */
static bool refuse_wish(struct ask *ask, bool wished, const char *what)
{
    if (wished)
        control_refuse(ask, ERRORCODE_NOT_SUPPORTED, "%s: not supported by this version", what);
    return wished;
}

static void remove_block(struct module *module, struct ask *ask)
{
    struct block *block = block_of(module, ask);
    if (refuse_wish(ask, ask->request.include_escaped, "data.include_escaped"))
        return;
    if (block) {
        blocks_remove(module, block, "removed", ask);
        return;
    }
    remove_reply_pack(control_reply(ask), (struct block_version){0}, false, NULL, 0);
    control_send(ask);
}

/* ---- dispatch ---- */

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
        [CONTROL_LIST_ALL_BLOCKS] = list_all_blocks,
        [CONTROL_CONFIDENCE_OF] = confidence_of,
        [CONTROL_KILL_PID] = kill_pid,
        [CONTROL_KILL_TREE] = kill_tree,
        [CONTROL_REMOVE] = remove_block,
        [CONTROL_STATS] = stats,
    };
    if (module->stopping) {
        control_refuse(ask, ERRORCODE_INTERNAL, "the broker is going down");
        return;
    }
    loop_drain_feed(module);
    struct block *block = block_of(module, ask);
    if (block)
        lives_push_block(module, block);
    commands[ask->request.command](module, ask);
}
