/* SPDX-License-Identifier: Apache-2.0 */

/* Records of the BPF programs as events. */

#include "trackers/feeds/bpf_parse.h"

#include <linux/types.h>
#include <string.h>

#include "trackers/feeds/bpf_record.h"

_Static_assert((int)BPF_PLACES == (int)FEED_PLACES && (int)BPF_COMM == (int)FEED_COMM,
               "the record carries the event");

static void exec_event(struct feed_event *event, const struct bpf_record *record, size_t size,
                       uint64_t page_size)
{
    event->kind = FEED_EXEC;
    event->rss_bytes = record->exec.rss_pages * page_size;
    if (record->exec.argv_told > size - sizeof *record)
        return;
    event->has_argv = record->exec.argv_told > 0 || record->exec.argv_size == 0;
    event->argv_cut = record->exec.argv_size > record->exec.argv_told;
    event->argv = (struct text){(const char *)(record + 1), record->exec.argv_told};
}

static void exit_event(struct feed_event *event, const struct bpf_record *record,
                       uint64_t page_size)
{
    event->kind = FEED_EXIT;
    event->has_status = true;
    event->status = record->exit.status;
    event->cpu_ns = record->exit.cpu_ns;
    event->max_rss_bytes = record->exit.max_rss_pages * page_size;
}

bool bpf_parse(struct feed_event *ret_event, const void *bytes, size_t size, uint64_t page_size,
               bool has_place)
{
    const struct bpf_record *record = bytes;
    if (size < sizeof *record || record->pid == 0)
        return false; /* a process of another pid namespace has no number here */
    *ret_event = (struct feed_event){
        .pid = record->pid,
        .parent = record->parent,
        .creator = record->creator,
        .time_ns = record->time_ns,
        .start_ns = record->start_ns,
        .has_place = has_place,
        .comm = {record->comm, strnlen(record->comm, sizeof record->comm)},
    };
    memcpy(ret_event->place, record->place, sizeof ret_event->place);
    switch (record->kind) {
    case BPF_RECORD_FORK:
        ret_event->kind = FEED_FORK;
        return true;
    case BPF_RECORD_EXEC:
        exec_event(ret_event, record, size, page_size);
        return true;
    case BPF_RECORD_EXIT:
        exit_event(ret_event, record, page_size);
        return true;
    case BPF_RECORD_MOVE:
        ret_event->kind = FEED_MOVE;
        ret_event->path = (struct text){(const char *)(record + 1),
                                        strnlen((const char *)(record + 1), size - sizeof *record)};
        return true;
    default:
        return false;
    }
}
