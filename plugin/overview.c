/* SPDX-License-Identifier: Apache-2.0 */

/* list_all_blocks: counts out of the registry; memory and CPU time as a worker read them. */

#include "plugin/overview.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/blocks.h"
#include "plugin/intake.h"
#include "plugin/lives.h"

/* One member: pid in, the rest out. */
struct member_use {
    UT_hash_handle hh;
    uint32_t pid;
    uint64_t start_ticks; /* 0: it could not be read */
    uint64_t rss_bytes, cpu_ns;
};

/* One block: id and life in, the rest out. */
struct block_use {
    UT_hash_handle hh; /* by life */
    char id[BLOCK_ID_MAX + 1];
    uint64_t life;
    bool has_account;
    uint64_t cpu_us;
};

/* What is read for those that asked before it began; all by value. */
struct use {
    struct job job;
    struct tracker *tracker;
    struct asks asks;
    struct member_use *members, *index;
    struct block_use *blocks, *blocks_index;
    size_t n_members, n_blocks;
};

/* The module's. */
struct overview {
    bool reading;
    struct asks waiting; /* for the next reading */
};

/* ---- the answer ---- */

static const struct member_use *use_of(const struct use *use, const struct process *process)
{
    const struct member_use *member = NULL;
    HASH_FIND(hh, use->index, &process->pid, sizeof process->pid, member);
    return member && member->start_ticks && lives_same(process, member->start_ticks) ? member
                                                                                     : NULL;
}

/* The account of the block's place has it all. Without one: what members used, as far as it was
 * seen. */
static uint64_t cpu_ms_of(const struct use *use, const struct block *block, uint64_t members_ns)
{
    const struct block_use *of = NULL;
    HASH_FIND(hh, use->blocks_index, &block->life, sizeof block->life, of);
    if (of && of->has_account)
        return of->cpu_us / 1000;
    return (block->gone_cpu_ns + members_ns) / NS_PER_MS;
}

static void add_use(struct block_summary *summary, const struct use *use, struct block *block)
{
    struct process *process;
    uint64_t cpu_ns = 0;
    TAILQ_FOREACH (process, &block->processes, in_block) {
        const struct member_use *member = use_of(use, process);
        if (!life_is_told(process->state))
            continue;
        if (member && member->cpu_ns > process->cpu_seen_ns)
            process->cpu_seen_ns = member->cpu_ns;
        cpu_ns += process->cpu_seen_ns;
        summary->rss_bytes += member ? member->rss_bytes : 0;
    }
    summary->has_use = true;
    summary->cpu_ms = cpu_ms_of(use, block, cpu_ns);
}

/* `use`: null where it was not asked for. */
static void answer(struct module *module, struct ask *ask, const struct use *use)
{
    size_t n = 0;
    struct block *block, *next;
    _cleanup_free_ struct block_summary *summaries =
        calloc(registry_n_blocks(&module->registry) + 1, sizeof *summaries);
    if (!summaries) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    HASH_ITER (by_id, module->registry.blocks, block, next) {
        if (block->state == BLOCK_MAKING)
            continue;
        summaries[n] = (struct block_summary){
            .block_id = text_of(block->id),
            .confidence = blocks_confidence(module, block).confidence,
            .version = blocks_version(block),
            .processes = block->n_told,
            .created_at_ms = block->created_at_ms,
        };
        if (use)
            add_use(&summaries[n], use, block);
        n++;
    }
    list_all_reply_pack(control_reply(ask), summaries, n);
    control_send(ask);
}

/* ---- in a worker's thread ---- */

static void read_member(struct member_use *member)
{
    struct proc_stat stat;
    if (proc_stat_read(&stat, member->pid) < 0)
        return;
    member->start_ticks = stat.start_ticks;
    member->rss_bytes = stat.rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    member->cpu_ns = stat.cpu_ticks * (NS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void run_use(struct job *job)
{
    struct use *use = (struct use *)job;
    for (size_t i = 0; i < use->n_members; i++)
        read_member(&use->members[i]);
    for (size_t i = 0; i < use->n_blocks; i++)
        use->blocks[i].has_account =
            tracker_cpu_us(use->tracker, use->blocks[i].id, &use->blocks[i].cpu_us) == 0;
}

/* ---- readings ---- */

static void free_use(struct use *use)
{
    HASH_CLEAR(hh, use->index);
    HASH_CLEAR(hh, use->blocks_index);
    free(use->members);
    free(use->blocks);
    free(use);
}

/* False: out of memory. */
static bool name_all(struct use *use, const struct registry *registry)
{
    struct block *block, *next_block;
    struct process *process, *next;
    use->members = calloc(registry_n_processes(registry) + 1, sizeof *use->members);
    use->blocks = calloc(registry_n_blocks(registry) + 1, sizeof *use->blocks);
    if (!use->members || !use->blocks)
        return false;
    HASH_ITER (by_pid, registry->processes, process, next) {
        struct member_use *member = &use->members[use->n_members++];
        member->pid = process->pid;
        HASH_ADD(hh, use->index, pid, sizeof member->pid, member);
    }
    HASH_ITER (by_id, registry->blocks, block, next_block) {
        struct block_use *of = &use->blocks[use->n_blocks++];
        strcpy(of->id, block->id);
        of->life = block->life;
        HASH_ADD(hh, use->blocks_index, life, sizeof of->life, of);
    }
    return HASH_COUNT(use->index) == use->n_members &&
           HASH_COUNT(use->blocks_index) == use->n_blocks;
}

/* Null: out of memory. */
static struct use *make_use(struct module *module)
{
    struct use *use = calloc(1, sizeof *use);
    if (!use)
        return NULL;
    TAILQ_INIT(&use->asks);
    use->tracker = module->tracker;
    if (!name_all(use, &module->registry)) {
        free_use(use);
        return NULL;
    }
    return use;
}

static void begin_reading(struct module *module);

static void on_use(struct job *job, void *context)
{
    struct use *use = (struct use *)job;
    struct module *module = context;
    struct ask *ask;
    intake_drain(module);
    while ((ask = TAILQ_FIRST(&use->asks))) {
        TAILQ_REMOVE(&use->asks, ask, link);
        answer(module, ask, use);
    }
    free_use(use);
    module->overview->reading = false;
    if (!TAILQ_EMPTY(&module->overview->waiting))
        begin_reading(module);
}

static void refuse_all(struct asks *asks)
{
    struct ask *ask;
    while ((ask = TAILQ_FIRST(asks))) {
        TAILQ_REMOVE(asks, ask, link);
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
    }
}

static void begin_reading(struct module *module)
{
    struct overview *overview = module->overview;
    struct use *use = make_use(module);
    if (!use) {
        refuse_all(&overview->waiting);
        return;
    }
    TAILQ_CONCAT(&use->asks, &overview->waiting, link);
    use->job = (struct job){.run = run_use, .done = on_use, .context = module};
    overview->reading = true;
    workers_submit(module->workers, &use->job);
}

static bool make_overview(struct module *module)
{
    if (!module->overview && (module->overview = calloc(1, sizeof *module->overview)))
        TAILQ_INIT(&module->overview->waiting);
    return module->overview != NULL;
}

void overview_start(struct module *module, struct ask *ask)
{
    if (!ask->request.detail) {
        answer(module, ask, NULL);
        return;
    }
    if (!make_overview(module)) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    TAILQ_INSERT_TAIL(&module->overview->waiting, ask, link);
    if (!module->overview->reading)
        begin_reading(module);
}

void overview_close(struct module *module)
{
    free(module->overview);
    module->overview = NULL;
}
