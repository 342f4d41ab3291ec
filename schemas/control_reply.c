/* SPDX-License-Identifier: Apache-2.0 */

/* Packing of the replies on the control socket. */

#include "schemas/control_reply.h"

#include "schemas/control_request.h"

/* ---- pieces --------------------------------------------------------------------------------- */

static size_t version_keys(struct block_version version)
{
    return version.epoch.size > 0 ? 2 : 0;
}

/* Begins the map of a reply about one block; `n_others` more keys follow. */
static void begin(struct wire_out *out, struct block_version version, size_t n_others)
{
    wire_put_map(out, version_keys(version) + n_others);
    if (version_keys(version) > 0) {
        wire_pair_text(out, "epoch", version.epoch);
        wire_pair_uint(out, "seq", version.seq);
    }
}

enum { CONFIDENCE_KEYS = 2 };

static void put_confidence(struct wire_out *out, struct confidence_view confidence)
{
    wire_pair_text(out, "confidence", confidence.confidence);
    wire_pair_text(out, "confidence_reason", confidence.confidence_reason);
}

static void put_uints(struct wire_out *out, const char *key, const struct named_uint *values,
                      size_t n_values)
{
    wire_put_str(out, key);
    wire_put_map(out, n_values);
    for (size_t i = 0; i < n_values; i++)
        wire_pair_uint(out, values[i].name, values[i].value);
}

static void put_ints(struct wire_out *out, const char *key, const struct named_int *values,
                     size_t n_values)
{
    wire_put_str(out, key);
    wire_put_map(out, n_values);
    for (size_t i = 0; i < n_values; i++)
        wire_pair_int(out, values[i].name, values[i].value);
}

/* ---- replies -------------------------------------------------------------------------------- */

static void put_commands(struct wire_out *out)
{
    wire_put_str(out, "commands");
    wire_put_array(out, CONTROL_COMMANDS);
    for (unsigned i = 0; i < CONTROL_COMMANDS; i++)
        wire_put_str(out, control_command_name((enum control_command)i));
}

static void put_tried(struct wire_out *out, const struct attempt *tried, size_t n_tried)
{
    wire_put_str(out, "tried");
    wire_put_array(out, n_tried);
    for (size_t i = 0; i < n_tried; i++) {
        wire_put_map(out, 3);
        wire_pair_text(out, "what", tried[i].what);
        wire_pair_bool(out, "ok", tried[i].ok);
        wire_pair_text(out, "why", tried[i].why);
    }
}

void describe_reply_pack(struct wire_out *out, const struct describe_reply *reply)
{
    wire_put_map(out, 8 + CONFIDENCE_KEYS);
    wire_pair_uint(out, "protocol", reply->protocol);
    wire_pair_text(out, "name", reply->name);
    wire_pair_text(out, "version", reply->version);
    put_commands(out);
    wire_pair_text(out, "tracker", reply->tracker);
    wire_pair_text(out, "feed", reply->feed);
    put_confidence(out, reply->confidence);
    put_tried(out, reply->tried, reply->n_tried);
    put_uints(out, "limits", reply->limits, reply->n_limits);
}

void ensure_reply_pack(struct wire_out *out, const struct ensure_reply *reply)
{
    begin(out, reply->version, 3 + CONFIDENCE_KEYS + (reply->procs_path.size > 0));
    wire_pair_bool(out, "created", reply->created);
    put_confidence(out, reply->confidence);
    wire_pair_text(out, "tracker", reply->tracker);
    wire_pair_text(out, "feed", reply->feed);
    if (reply->procs_path.size > 0)
        wire_pair_text(out, "procs_path", reply->procs_path);
}

void assign_reply_pack(struct wire_out *out, struct block_version version, uint64_t assigned)
{
    begin(out, version, 1);
    wire_pair_uint(out, "assigned", assigned);
}

void list_reply_begin(struct wire_out *out, const struct list_reply_head *head)
{
    begin(out, head->version, 2 + CONFIDENCE_KEYS);
    wire_pair_bool(out, "tracked", head->tracked);
    put_confidence(out, head->confidence);
    wire_put_str(out, "processes");
    wire_put_array(out, head->n_processes);
}

static void put_summary(struct wire_out *out, const struct block_summary *block)
{
    begin(out, block->version, 3 + (block->created_at_ms > 0 ? 1 : 0) + (block->has_use ? 2 : 0));
    wire_pair_text(out, "block_id", block->block_id);
    wire_pair_text(out, "confidence", block->confidence);
    wire_pair_uint(out, "processes", block->processes);
    if (block->created_at_ms > 0)
        wire_pair_uint(out, "created_at_ms", block->created_at_ms);
    if (block->has_use) {
        wire_pair_uint(out, "rss_bytes", block->rss_bytes);
        wire_pair_uint(out, "cpu_ms", block->cpu_ms);
    }
}

void list_all_reply_pack(struct wire_out *out, const struct block_summary *blocks, size_t n_blocks)
{
    wire_put_map(out, 2);
    wire_put_str(out, "block_ids");
    wire_put_array(out, n_blocks);
    for (size_t i = 0; i < n_blocks; i++)
        wire_put_text(out, blocks[i].block_id);
    wire_put_str(out, "blocks");
    wire_put_array(out, n_blocks);
    for (size_t i = 0; i < n_blocks; i++)
        put_summary(out, &blocks[i]);
}

void confidence_reply_pack(struct wire_out *out, struct block_version version,
                           struct confidence_view confidence)
{
    begin(out, version, CONFIDENCE_KEYS);
    put_confidence(out, confidence);
}

void ok_reply_pack(struct wire_out *out, struct block_version version, bool ok)
{
    begin(out, version, 1);
    wire_pair_bool(out, "ok", ok);
}

static void put_survivor(struct wire_out *out, const struct survivor *survivor)
{
    struct text state = {survivor->state ? &survivor->state : "?", 1};
    wire_put_map(out, 5);
    wire_pair_uint(out, "pid", survivor->pid);
    wire_pair_uint(out, "started_at_ms", survivor->started_at_ms);
    wire_pair_text(out, "state", state);
    wire_pair_text(out, "command", survivor->command);
    wire_pair_bool(out, "escaped", survivor->escaped);
}

static void put_survivors(struct wire_out *out, const struct survivor *survivors,
                          size_t n_survivors)
{
    wire_put_str(out, "survivors");
    wire_put_array(out, n_survivors);
    for (size_t i = 0; i < n_survivors; i++)
        put_survivor(out, &survivors[i]);
}

void remove_reply_pack(struct wire_out *out, struct block_version version, bool ok,
                       const struct survivor *survivors, size_t n_survivors)
{
    begin(out, version, 2);
    wire_pair_bool(out, "ok", ok);
    put_survivors(out, survivors, n_survivors);
}

void pids_reply_pack(struct wire_out *out, struct block_version version, const char *key,
                     const uint32_t *pids, size_t n_pids)
{
    begin(out, version, 1);
    wire_put_str(out, key);
    wire_put_array(out, n_pids);
    for (size_t i = 0; i < n_pids; i++)
        wire_put_uint(out, pids[i]);
}

void stop_reply_pack(struct wire_out *out, const struct stop_reply *reply)
{
    begin(out, reply->version, 4);
    wire_pair_uint(out, "exited", reply->exited);
    wire_pair_uint(out, "killed", reply->killed);
    put_survivors(out, reply->survivors, reply->n_survivors);
    wire_pair_uint(out, "elapsed_ms", reply->elapsed_ms);
}

void wait_reply_pack(struct wire_out *out, struct block_version version, bool empty,
                     uint64_t remaining)
{
    begin(out, version, 2);
    wire_pair_bool(out, "empty", empty);
    wire_pair_uint(out, "remaining", remaining);
}

void stats_reply_pack(struct wire_out *out, const struct named_uint *counters, size_t n_counters,
                      const struct named_int *gauges, size_t n_gauges)
{
    wire_put_map(out, 2);
    put_uints(out, "counters", counters, n_counters);
    put_ints(out, "gauges", gauges, n_gauges);
}
