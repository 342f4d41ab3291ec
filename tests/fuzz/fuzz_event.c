/* SPDX-License-Identifier: Apache-2.0 */

/* Events: what anybody may publish, and what every client reads. One that is opened and packed
 * again opens as the same. */

#include "client/mirror_block.h"
#include "fuzz.h"
#include "schemas/block_event.h"
#include "schemas/event.h"

static void read_data(const msgpack_object *data)
{
    struct block_point at;
    struct process_event process;
    struct process_exit exited;
    struct process_escape escaped;
    struct block_state state;
    struct block_resync resync;
    struct block_removed removed;
    block_point_read(&at, data, NULL);
    process_event_read(&process, data, NULL);
    process_exit_read(&exited, data, NULL);
    process_escape_read(&escaped, data, NULL);
    block_state_read(&state, data, NULL);
    block_resync_read(&resync, data, NULL);
    block_removed_read(&removed, data, NULL);
}

static void check_again(const struct event *event)
{
    struct event_doc again;
    struct wire_out out;
    wire_out_init(&out);
    event_pack(&out, event);
    must(!wire_out_failed(&out));
    must(event_open(&again, out.bytes.data, out.bytes.size, "", NULL) == 0);
    must(text_equal(event->event, again.event.event));
    must(text_equal(event->sender, again.event.sender));
    must(text_equal(event->data, again.event.data));
    must(event->persist == again.event.persist && event->n_scopes == again.event.n_scopes);
    for (size_t i = 0; i < event->n_scopes; i++)
        must(text_equal(event->scopes[i], again.event.scopes[i]));
    event_close(&again);
    wire_out_destroy(&out);
}

static void as_mirror(struct text bytes)
{
    struct mirror_event event;
    struct event_doc doc;
    if (mirror_event_open(&event, &doc, text_of("block:b"), bytes) == 1)
        event_close(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct text bytes = take_text(&input, size);
    struct event_doc doc;
    struct wps_error error = {""};
    if (event_open(&doc, bytes.at, bytes.size, "data", &error) < 0) {
        must(error.message[0] && wire_utf8_valid(text_of(error.message)));
    } else {
        const msgpack_object *map = wire_get(&doc.doc.root, "data");
        if (map)
            read_data(map);
        check_again(&doc.event);
        event_close(&doc);
    }
    as_mirror(bytes);
    free((void *)bytes.at);
    return 0;
}
