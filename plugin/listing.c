/* SPDX-License-Identifier: Apache-2.0 */

/* list_block. */

#include "plugin/listing.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/blocks.h"
#include "plugin/details.h"
#include "plugin/intake.h"
#include "plugin/lives.h"
#include "plugin/publish.h"
#include "plugin/scan.h"
#include "plugin/snapshot.h"

enum {
    SCAN_WAIT_MS = 250,
    DETAIL_ROUNDS = 4, /* those that are born while the others are read are read as well */
};

/* What is read for one list: pids in, resident sets out, both by value. */
struct listing {
    struct job job;
    struct ask *ask;
    bool again;
    bool detail, has_ports;
    struct ports ports;
    struct details *details;
    unsigned rounds;
    uint64_t last_question; /* members that were read when the list was asked for are waited for */
    struct used *index;     /* by pid; who is not in it, for want of memory, is read anew */
    size_t n;
    struct used {
        UT_hash_handle hh;
        uint32_t pid;
        uint64_t rss_bytes; /* 0: to be read */
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
    const struct used *used;
    HASH_FIND(hh, listing->index, &pid, sizeof pid, used);
    return used ? used->rss_bytes : proc_rss_bytes(pid); /* born since the reading began */
}

/* ---- detail ---- */

static struct listening_port port_of(const struct detail_port *port)
{
    return (struct listening_port){.address = text_of(port->address),
                                   .family = text_of(port->family == AF_INET ? "inet" : "inet6"),
                                   .port = port->port};
}

/* `ports` is owned by the caller and lives as long as what is returned. */
static struct process_detail view_of(const struct detail *detail, struct listening_port *ports)
{
    for (size_t i = 0; ports && i < detail->n_ports; i++)
        ports[i] = port_of(&detail->ports[i]);
    return (struct process_detail){
        .exe = text_of(detail->exe),
        .cwd = text_of(detail->cwd),
        .has_uid = detail->has_uid,
        .uid = detail->uid,
        .state = detail->state,
        .threads = detail->threads,
        .has_cpu = true,
        .cpu_ms = detail->cpu_ms,
        .has_argv = detail->has_argv,
        .argv = detail->argv,
        .argv_truncated = detail->argv_cut,
        .has_ports = detail->has_ports && (ports || detail->n_ports == 0),
        .ports = ports,
        .n_ports = detail->n_ports,
    };
}

/* Room for what of a detail is masked; one for each of its texts. */
struct masked {
    char *argv, *exe, *cwd;
};

static void free_masked(struct masked *masked)
{
    free(masked->argv);
    free(masked->exe);
    free(masked->cwd);
}

/* A text of which secrets cannot be hidden, for want of memory, is not told. */
static struct text mask_text(const struct mask *mask, struct text text, bool cut, char **ret_room)
{
    *ret_room = text.size ? malloc(MASK_ROOM(text.size)) : NULL;
    if (!*ret_room)
        return (struct text){NULL, 0};
    return mask_argv(mask, text, cut, *ret_room, NULL);
}

static void mask_detail(const struct mask *mask, struct process_detail *detail,
                        struct masked *ret_rooms)
{
    detail->exe = mask_text(mask, detail->exe, false, &ret_rooms->exe);
    detail->cwd = mask_text(mask, detail->cwd, false, &ret_rooms->cwd);
    bool empty = detail->argv.size == 0;
    detail->argv = mask_text(mask, detail->argv, detail->argv_truncated, &ret_rooms->argv);
    detail->has_argv &= empty || detail->argv.at != NULL;
}

static void pack_record(const struct module *module, struct wire_out *out,
                        const struct listing *listing, const struct process *process,
                        uint64_t rss_bytes)
{
    struct process_record record;
    struct process_detail view;
    publish_record(process, rss_bytes, &record);
    const struct detail *detail =
        listing->details ? details_of(listing->details, process->pid) : NULL;
    if (!detail || !lives_same(process, detail->start_ticks)) {
        process_record_pack(out, &record);
        return;
    }
    _cleanup_free_ struct listening_port *ports =
        detail->n_ports ? calloc(detail->n_ports, sizeof *ports) : NULL;
    struct masked rooms cleanup(free_masked) = {0};
    view = view_of(detail, ports);
    mask_detail(&module->options.mask, &view, &rooms);
    record.detail = &view;
    process_record_pack(out, &record);
}

static void answer(struct module *module, const struct block *block, const struct listing *listing,
                   struct ask *ask)
{
    const struct process *process;
    struct list_reply_head head = {.version = blocks_version(block),
                                   .tracked = true,
                                   .confidence = blocks_confidence(module, block)};
    TAILQ_FOREACH (process, &block->processes, in_block)
        head.n_processes += is_listed(ask, process);
    struct wire_out *out = control_reply(ask);
    list_reply_begin(out, &head);
    TAILQ_FOREACH (process, &block->processes, in_block)
        if (is_listed(ask, process))
            pack_record(module, out, listing, process, rss_of(listing, process->pid));
    control_send(ask);
}

/* ---- the reading ---- */

static void run_listing(struct job *job)
{
    struct listing *listing = (struct listing *)job;
    if (listing->again)
        poll(NULL, 0, 1); /* the other workers are at it */
    for (size_t i = 0; i < listing->n; i++) {
        if (!listing->used[i].rss_bytes)
            listing->used[i].rss_bytes = proc_rss_bytes(listing->used[i].pid);
        HASH_ADD(hh, listing->index, pid, sizeof listing->used[i].pid, &listing->used[i]);
    }
    if (listing->detail && !listing->has_ports)
        listing->has_ports = ports_read(&listing->ports) == 0;
}

/* Once more through the workers: what is asked for comes back with it, or at its deadline. */
static void read_again(struct module *module, struct listing *listing)
{
    HASH_CLEAR(hh, listing->index);
    listing->again = true;
    workers_submit(module->workers, &listing->job);
}

static void finish(struct module *module, const struct block *block, struct listing *listing)
{
    if (block && block->state != BLOCK_MAKING)
        answer(module, block, listing, listing->ask);
    else
        answer_unknown(listing->ask);
    HASH_CLEAR(hh, listing->index);
    details_free(&listing->details);
    ports_clear(&listing->ports);
    free(listing);
}

/* Those that are to be listed now and were not asked for yet. True where there are any. */
static bool add_to_read(struct module *module, const struct block *block, struct listing *listing)
{
    const struct process *process;
    bool added = false;
    TAILQ_FOREACH (process, &block->processes, in_block) {
        if (!is_listed(listing->ask, process) || details_has(listing->details, process->pid))
            continue;
        if (details_add(listing->details, process->pid) < 0)
            module->counters.out_of_memory++;
        else
            added = true;
    }
    return added;
}

/* The detail was read. Who was born meanwhile is read too, unless that has no end. */
static void on_details(struct details *details, void *context)
{
    struct listing *listing = context;
    struct module *module = control_module(listing->ask->control);
    intake_drain(module);
    const struct block *block = registry_block(&module->registry, listing->ask->request.block_id);
    if (block && !module->stopping && listing->rounds++ < DETAIL_ROUNDS &&
        add_to_read(module, block, listing))
        details_begin(details);
    else
        finish(module, block, listing);
}

static void on_listed(struct job *job, void *context)
{
    struct listing *listing = (struct listing *)job;
    struct module *module = context;
    intake_drain(module);
    struct block *block = registry_block(&module->registry, listing->ask->request.block_id);
    if (block && !module->stopping && !listing->again) { /* children of who has joined meanwhile */
        lives_push_block(module, block);
        listing->last_question = module->last_ask;
    }
    if (block && !module->stopping && lives_is_read(module, block, listing->last_question)) {
        read_again(module, listing);
        return;
    }
    if (listing->detail && block && !module->stopping)
        listing->details =
            details_new(module, listing->has_ports ? &listing->ports : NULL, on_details, listing);
    if (listing->details)
        on_details(listing->details, listing);
    else
        finish(module, block, listing);
}

/* `scanned`: a scan of the block was taken in just now, so what it read of the members is new. */
static void read_used(struct module *module, struct block *block, struct ask *ask, bool scanned)
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
    listing->detail = ask->request.detail;
    listing->last_question = module->last_ask;
    TAILQ_FOREACH (process, &block->processes, in_block)
        if (is_listed(ask, process)) {
            struct used *used = &listing->used[listing->n++];
            used->pid = process->pid;
            if (scanned && process->scan_mark == module->scan_mark)
                used->rss_bytes = process->scan_rss_bytes;
        }
    workers_submit(module->workers, &listing->job);
}

/* ---- under a feed that cannot see births ---- */

static void go_on(struct module *module, struct block *block, struct ask *ask, bool scanned)
{
    TAILQ_REMOVE(&block->listers, ask, link);
    ask->timer = sd_event_source_disable_unref(ask->timer);
    read_used(module, block, ask, scanned);
}

void listing_scanned(struct module *module, struct block *block, uint64_t scan, bool seen)
{
    struct ask *ask;
    /* In the order of their coming: the first that wants a later scan ends it. */
    while ((ask = TAILQ_FIRST(&block->listers)) && ask->scan <= scan)
        go_on(module, block, ask, seen);
}

void listing_gone(struct block *block)
{
    struct ask *ask;
    while ((ask = TAILQ_FIRST(&block->listers))) {
        TAILQ_REMOVE(&block->listers, ask, link);
        answer_unknown(ask);
    }
}

/* The scan is held up by a process that cannot be read: the list is of what is known. */
static int on_late(sd_event_source *source, uint64_t now_us, void *context)
{
    struct ask *ask = context;
    struct module *module = control_module(ask->control);
    (void)source, (void)now_us;
    go_on(module, registry_block(&module->registry, ask->request.block_id), ask, false);
    return 0;
}

/* Waits for a scan that begins after the request did. False: it cannot wait. */
static bool wait_for_scan(struct module *module, struct block *block, struct ask *ask)
{
    uint64_t due_us = monotonic_ns() / 1000 + SCAN_WAIT_MS * UINT64_C(1000);
    ask->scan = scan_next(module, block);
    scan_block(module, block);
    if (!scan_is_coming(module, block) ||
        sd_event_add_time(module->event, &ask->timer, CLOCK_MONOTONIC, due_us, 1000, on_late, ask) <
            0)
        return false;
    TAILQ_INSERT_TAIL(&block->listers, ask, link);
    return true;
}

void listing_start(struct module *module, struct ask *ask)
{
    struct block *block = registry_block(&module->registry, ask->request.block_id);
    if (!block || block->state == BLOCK_MAKING) {
        answer_unknown(ask);
        return;
    }
    bool blind = feed_traits(module->feed) & FEED_WANTS_SCANS &&
                 tracker_traits(module->tracker) & TRACKER_TRACKS;
    if (!blind || !wait_for_scan(module, block, ask))
        read_used(module, block, ask, false);
}
