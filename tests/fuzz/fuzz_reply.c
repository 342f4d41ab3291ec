/* SPDX-License-Identifier: Apache-2.0 */

/* Replies: what a client reads of whoever sits at the socket. */

#include "fuzz.h"
#include "schemas/control_reply.h"
#include "schemas/process_detail.h"

static void read_list(const msgpack_object *data)
{
    struct list_reply list;
    if (list_reply_read(&list, data, NULL) < 0)
        return;
    for (size_t i = 0; i < list.head.n_processes; i++) {
        struct process_detail_view detail;
        if (process_detail_read(&detail, &list.maps[i], "data", NULL) == 0)
            free(detail.ports);
    }
    free(list.processes);
}

static void read_counts(const msgpack_object *data)
{
    struct describe_view describe;
    struct stats_view stats;
    struct block_summary *blocks;
    size_t n;
    if (describe_reply_read(&describe, data, NULL) == 0) {
        free(describe.tried);
        free(describe.limits);
    }
    if (stats_reply_read(&stats, data, NULL) == 0) {
        free(stats.counters);
        free(stats.gauges);
    }
    if (list_all_reply_read(&blocks, &n, data, NULL) == 0)
        free(blocks);
}

static void read_ends(const msgpack_object *data)
{
    struct block_version version;
    struct remove_reply removed;
    struct stop_reply stopped;
    uint32_t *pids;
    size_t n;
    if (remove_reply_read(&removed, data, NULL) == 0)
        free(removed.survivors);
    if (stop_reply_read(&stopped, data, NULL) == 0)
        free(stopped.survivors);
    if (pids_reply_read(&version, &pids, &n, "killed", data, NULL) == 0)
        free(pids);
}

static void read_small(const msgpack_object *data)
{
    struct block_version version;
    struct confidence_view confidence;
    struct ensure_reply ensure;
    uint64_t number;
    bool yes;
    ensure_reply_read(&ensure, data, NULL);
    assign_reply_read(&version, &number, data, NULL);
    confidence_reply_read(&version, &confidence, data, NULL);
    ok_reply_read(&version, &yes, data, NULL);
    wait_reply_read(&version, &yes, &number, data, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct text bytes = take_text(&input, size);
    struct reply reply;
    struct wps_error error = {""};
    if (reply_open(&reply, bytes.at, bytes.size, &error) < 0) {
        must(error.message[0] && wire_utf8_valid(text_of(error.message)));
    } else {
        if (reply.ok) {
            read_list(reply.data);
            read_counts(reply.data);
            read_ends(reply.data);
            read_small(reply.data);
        }
        reply_close(&reply);
    }
    free((void *)bytes.at);
    return 0;
}
