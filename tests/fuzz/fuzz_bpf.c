/* SPDX-License-Identifier: Apache-2.0 */

/* Records of the BPF programs, argv and paths behind them. Input: one byte, and a record. */

#include <linux/types.h>

#include "fuzz.h"
#include "schemas/command_line.h"
#include "trackers/feeds/bpf_parse.h"
#include "trackers/feeds/bpf_record.h"

static void must_lie_in(struct text text, struct text record)
{
    if (text.size)
        must(text.at >= record.at && text.at + text.size <= record.at + record.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    bool has_place = take_byte(&input) % 2;
    struct text record = take_text(&input, input.left);
    struct feed_event event;
    if (bpf_parse(&event, record.at, record.size, 4096, has_place)) {
        char command[COMMAND_MAX];
        bool truncated;
        must(record.size >= sizeof(struct bpf_record) && event.pid != 0);
        must_lie_in(event.comm, record);
        must_lie_in(event.argv, record);
        must_lie_in(event.path, record);
        must(event.kind == FEED_FORK || event.kind == FEED_EXEC || event.kind == FEED_EXIT ||
             event.kind == FEED_MOVE);
        command_line(command, event.argv, event.argv_cut, event.comm, &truncated);
    }
    free((void *)record.at);
    return 0;
}
