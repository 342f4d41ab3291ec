/* SPDX-License-Identifier: Apache-2.0 */

/* Telling readers: numbers, packing, the hand-over to the host, and what to do when the host has no
 * room. */

#include "plugin/publish.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/blocks.h"
#include "plugin/scan.h"

enum { RETRY_MS = 10 };

static const char sender[] = "proctrack";

/* ---- the hand-over ---- */

/* The event that is packed in module->out. */
static int hand_over(struct module *module, const char *topic, const char *event)
{
    if (wire_out_failed(&module->out)) {
        module->counters.out_of_memory++;
        return -ENOMEM;
    }
    if (!module->host.publish)
        return 0;
    const char *scopes[] = {topic};
    struct wps_event wps_event = {
        .size = sizeof wps_event,
        .persist = (uint32_t)module->options.persist,
        .event = event,
        .sender = sender,
        .scopes = scopes,
        .n_scopes = 1,
        .data = module->out.bytes.data,
        .data_size = module->out.bytes.size,
    };
    int r = module->host.publish(module->host.context, &wps_event);
    if (r == 0)
        module->counters.published++;
    return r;
}

/* Takes the next number. */
static struct block_point next_point(struct block *block)
{
    block->seq++;
    return (struct block_point){text_of(block->id), text_of(block->epoch), block->seq};
}

static void set_timer(sd_event_source *source, uint64_t due_ns)
{
    sd_event_source_set_time(source, due_ns / 1000 + 1);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void note_unpublished(struct module *module, struct block *block)
{
    module->counters.unpublished++;
    if (block->unpublished)
        return;
    block->unpublished = true;
    TAILQ_INSERT_TAIL(&module->unsent, block, unsent);
    set_timer(module->retry_timer, monotonic_ns() + RETRY_MS * NS_PER_MS);
}

void publish_missing(struct module *module, struct block *block)
{
    block->is_missing = true;
    note_unpublished(module, block);
}

static void tell(struct module *module, struct block *block, const char *event)
{
    if (hand_over(module, block->topic, event) < 0)
        note_unpublished(module, block);
    marks_put_off(module, block);
}

/* ---- processes ---- */

static struct text source_of(bool by_scan)
{
    return by_scan ? text_of("scan") : (struct text){NULL, 0};
}

void publish_record(const struct process *process, uint64_t rss_bytes, struct process_record *ret)
{
    const struct command *command = process->command;
    *ret = (struct process_record){
        .pid = process->pid,
        .parent_pid = process->parent_pid,
        .command = command ? (struct text){command->text, command->size} : text_of("[unknown]"),
        .command_truncated = command && command->truncated,
        .root = process->root,
        .started = process->started,
        .scope = text_of(process->scope->name),
        .rss_bytes = rss_bytes,
        .started_at_ms = process->started_at_ms,
    };
}

static void send_process(struct module *module, const struct process *process, const char *name,
                         uint64_t rss_bytes, bool by_scan)
{
    struct process_event event = {.at = next_point(process->block), .source = source_of(by_scan)};
    publish_record(process, rss_bytes, &event.process);
    wire_out_clear(&module->out);
    process_event_pack(&module->out, &event);
    tell(module, process->block, name);
}

void publish_added(struct module *module, const struct process *process, uint64_t rss_bytes,
                   bool by_scan)
{
    module->counters.processes_added++;
    send_process(module, process, EVENT_PROCESS_ADDED, rss_bytes, by_scan);
}

void publish_exec(struct module *module, const struct process *process, uint64_t rss_bytes,
                  bool by_scan)
{
    module->counters.execs++;
    send_process(module, process, EVENT_PROCESS_EXEC, rss_bytes, by_scan);
}

void publish_changed(struct module *module, const struct process *process, bool by_scan)
{
    send_process(module, process, EVENT_PROCESS_CHANGED, 0, by_scan);
}

void publish_exited(struct module *module, const struct process *process, bool by_scan)
{
    uint64_t start_ns = process->start_ns;
    struct process_exit event = {
        .at = next_point(process->block),
        .pid = process->pid,
        .started_at_ms = process->started_at_ms,
        .has_status = process->has_status,
        .status = process->status,
        .runtime_ms = process->ended_ns > start_ns ? (process->ended_ns - start_ns) / NS_PER_MS : 0,
        .cpu_ms = process->cpu_ns / NS_PER_MS,
        .max_rss_bytes = process->max_rss_bytes,
        .source = source_of(by_scan),
    };
    module->counters.processes_exited++;
    wire_out_clear(&module->out);
    process_exit_pack(&module->out, &event);
    tell(module, process->block, EVENT_PROCESS_EXITED);
}

void publish_escaped(struct module *module, const struct process *process, const char *reason,
                     struct text where)
{
    struct process_escape event = {
        .at = next_point(process->block),
        .pid = process->pid,
        .started_at_ms = process->started_at_ms,
        .reason = text_of(reason),
        .where = where,
    };
    module->counters.processes_escaped++;
    wire_out_clear(&module->out);
    process_escape_pack(&module->out, &event);
    tell(module, process->block, EVENT_PROCESS_ESCAPED);
}

/* ---- blocks ---- */

static void send_state(struct module *module, struct block *block, const char *name)
{
    struct confidence_view view = blocks_confidence(module, block);
    struct block_state event = {
        .at = next_point(block),
        .confidence = view.confidence,
        .confidence_reason = view.confidence_reason,
        .tracker = text_of(tracker_name(module->tracker)),
        .feed = text_of(feed_name(module->feed)),
        .adopted = block->adopted,
    };
    wire_out_clear(&module->out);
    block_state_pack(&module->out, &event);
    tell(module, block, name);
}

void publish_block_added(struct module *module, struct block *block)
{
    marks_begin(module, block);
    send_state(module, block, EVENT_BLOCK_ADDED);
}

void publish_block_changed(struct module *module, struct block *block)
{
    send_state(module, block, EVENT_BLOCK_CHANGED);
}

static void pack_resync(struct module *module, struct block *block, const char *reason,
                        uint64_t lost)
{
    struct block_resync event = {.at = next_point(block), .reason = text_of(reason), .lost = lost};
    wire_out_clear(&module->out);
    block_resync_pack(&module->out, &event);
}

void publish_block_resync(struct module *module, struct block *block, const char *reason,
                          uint64_t lost)
{
    pack_resync(module, block, reason, lost);
    block->resync_seq = block->seq;
    tell(module, block, EVENT_BLOCK_RESYNC);
}

/* Its marks follow. Until it was handed over its number is nobody's: a list that had it would make
 * readers drop the event itself. */
static int hand_over_removed(struct module *module, struct block *block)
{
    struct block_removed event = {.at = next_point(block), .reason = text_of(block->removal)};
    wire_out_clear(&module->out);
    block_removed_pack(&module->out, &event);
    int r = hand_over(module, block->topic, EVENT_BLOCK_REMOVED);
    if (r == 0)
        marks_outlive(module, block);
    else
        block->seq--;
    return r;
}

bool publish_block_removed(struct module *module, struct block *block, const char *reason)
{
    block->removal = reason;
    block->is_gone = hand_over_removed(module, block) < 0;
    if (block->is_gone)
        note_unpublished(module, block);
    return !block->is_gone;
}

void publish_mark(struct module *module, const char *topic, const struct block_point *at)
{
    wire_out_clear(&module->out);
    block_mark_pack(&module->out, at);
    hand_over(module, topic, EVENT_BLOCK_MARK); /* it has no number: a lost one is no gap */
}

void publish_forget_block(struct module *module, struct block *block)
{
    marks_end(module, block);
    if (block->unpublished)
        TAILQ_REMOVE(&module->unsent, block, unsent);
    block->unpublished = false;
}

/* ---- the next try ---- */

/* One block whose events could not be handed over: what it is told of now. False: no room yet. */
static bool try_again(struct module *module, struct block *block)
{
    if (block->is_gone)
        return hand_over_removed(module, block) == 0;
    pack_resync(module, block, "unpublished", 0);
    if (hand_over(module, block->topic, EVENT_BLOCK_RESYNC) == 0)
        return true;
    block->seq--; /* nobody saw that number */
    return false;
}

static void go_on(struct module *module, struct block *block)
{
    marks_put_off(module, block);
    if (block->is_missing)
        scan_block(module, block);
    block->is_missing = false;
}

int publish_on_retry_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    struct block *block;
    (void)source, (void)now_us;
    while ((block = TAILQ_FIRST(&module->unsent))) {
        if (!try_again(module, block)) {
            set_timer(module->retry_timer, monotonic_ns() + RETRY_MS * NS_PER_MS);
            return 0;
        }
        TAILQ_REMOVE(&module->unsent, block, unsent);
        block->unpublished = false;
        if (block->is_gone)
            blocks_told_removed(module, block);
        else
            go_on(module, block);
    }
    return 0;
}
