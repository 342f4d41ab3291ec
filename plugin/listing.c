/* SPDX-License-Identifier: Apache-2.0 */

/* list_block. */

#include "plugin/listing.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/blocks.h"
#include "plugin/lives.h"
#include "plugin/loop.h"
#include "plugin/publish.h"
#include "plugin/scan.h"
#include "plugin/snapshot.h"

/* What is read for one list: pids in, resident sets out, both by value. */
struct listing {
    struct job job;
    struct ask *ask;
    bool again;
    uint64_t last_question; /* members that were read when the list was asked for are waited for */
    size_t n;
    struct used {
        UT_hash_handle hh;
        uint32_t pid;
        uint64_t rss_bytes;
    } used[];
};

static bool is_listed(const struct ask *ask, const struct process *process)
{
    const struct control_request *request = &ask->request;
    if (!life_is_told(process->state) || (request->only_started && !process->started))
        return false;
    return !request->scope.size || subscope_covers(request->scope, text_of(process->scope->name));
}

/* ---- the answer ---- */

static void answer_unknown(struct ask *ask)
{
    const struct list_reply_head head = {
        .confidence = {text_of("none"), text_of("there is no such block")}};
    list_reply_begin(control_reply(ask), &head);
    control_send(ask);
}

static uint64_t rss_of(const struct listing *listing, uint32_t pid)
{
    const struct used *used = NULL;
    struct used *index = listing->n ? (struct used *)listing->used : NULL;
    if (index)
        HASH_FIND(hh, index, &pid, sizeof pid, used);
    return used ? used->rss_bytes : proc_rss_bytes(pid); /* born since the reading began */
}

static void answer(struct module *module, const struct block *block, const struct listing *listing,
                   struct ask *ask)
{
    const struct process *process;
    struct list_reply_head head = {
        .version = blocks_version(block), .tracked = true, .confidence = blocks_confidence(module)};
    TAILQ_FOREACH (process, &block->processes, in_block)
        head.n_processes += is_listed(ask, process);
    struct wire_out *out = control_reply(ask);
    list_reply_begin(out, &head);
    TAILQ_FOREACH (process, &block->processes, in_block) {
        struct process_record record;
        if (!is_listed(ask, process))
            continue;
        publish_record(process, rss_of(listing, process->pid), &record);
        process_record_pack(out, &record);
    }
    control_send(ask);
}

/* ---- the reading ---- */

static void run_listing(struct job *job)
{
    struct listing *listing = (struct listing *)job;
    struct used *index = NULL;
    if (listing->again)
        poll(NULL, 0, 1); /* the other workers are at it */
    for (size_t i = 0; i < listing->n; i++) {
        listing->used[i].rss_bytes = proc_rss_bytes(listing->used[i].pid);
        HASH_ADD(hh, index, pid, sizeof listing->used[i].pid, &listing->used[i]);
    }
}

static void clear_index(struct listing *listing)
{
    struct used *index = listing->n ? listing->used : NULL;
    HASH_CLEAR(hh, index);
}

/* Once more through the workers: what is asked for comes back with it, or at its deadline. */
static void read_again(struct module *module, struct listing *listing)
{
    clear_index(listing);
    listing->again = true;
    workers_submit(module->workers, &listing->job);
}

static void on_listed(struct job *job, void *context)
{
    struct listing *listing = (struct listing *)job;
    struct module *module = context;
    struct ask *ask = listing->ask;
    loop_drain_feed(module);
    struct block *block = registry_block(&module->registry, ask->request.block_id);
    if (block && !module->stopping && lives_is_read(module, block, listing->last_question)) {
        read_again(module, listing);
        return;
    }
    if (block && block->state != BLOCK_MAKING)
        answer(module, block, listing, ask);
    else
        answer_unknown(ask);
    clear_index(listing);
    free(listing);
}

static void read_used(struct module *module, struct block *block, struct ask *ask)
{
    const struct process *process;
    struct listing *listing =
        calloc(1, sizeof *listing + block->n_processes * sizeof listing->used[0]);
    if (!listing) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    listing->job = (struct job){.run = run_listing, .done = on_listed, .context = module};
    listing->ask = ask;
    listing->last_question = module->last_ask;
    TAILQ_FOREACH (process, &block->processes, in_block)
        if (is_listed(ask, process))
            listing->used[listing->n++].pid = process->pid;
    workers_submit(module->workers, &listing->job);
}

static void on_scanned(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct ask *ask = (struct ask *)(uintptr_t)op->tag;
    struct block *block = registry_block(&module->registry, ask->request.block_id);
    if (!block || block->state == BLOCK_MAKING) {
        answer_unknown(ask);
    } else {
        if (op->result == 0 && block->life == op->life)
            scan_apply(module, block, op);
        read_used(module, block, ask);
    }
    tracker_op_free(op);
}

void listing_start(struct module *module, struct ask *ask)
{
    struct block *block = registry_block(&module->registry, ask->request.block_id);
    if (ask->request.detail) {
        control_refuse(ask, ERRORCODE_NOT_SUPPORTED, "data.detail: not supported by this version");
        return;
    }
    if (!block || block->state == BLOCK_MAKING) {
        answer_unknown(ask);
        return;
    }
    bool blind = feed_traits(module->feed) & FEED_WANTS_SCANS &&
                 tracker_traits(module->tracker) & TRACKER_TRACKS;
    /* Where a scan is at the workers already this does not wait for it: a read may hold it up. */
    struct tracker_op *op = blind && !block->scanning && !module->scanning
                                ? tracker_op_new(module->tracker, TRACKER_SCAN, on_scanned, module)
                                : NULL;
    if (!op || snapshot_give(module, op) < 0) {
        tracker_op_free(op);
        read_used(module, block, ask);
        return;
    }
    strcpy(op->block, block->id);
    op->life = block->life;
    op->tag = (uintptr_t)ask;
    tracker_op_submit(module->workers, op);
}
