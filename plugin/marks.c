/* SPDX-License-Identifier: Apache-2.0 */

/* When a block's newest number is told once more. */

#include "plugin/marks.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/module.h"
#include "plugin/publish.h"

enum {
    FIRST_MS = 1000,
    LATE_MS = 10000,
    GONE_MAX = 16384,
};

struct gone_block {
    struct mark mark; /* first: it is cast back */
    UT_hash_handle hh;
    uint64_t seq;
    char id[BLOCK_ID_MAX + 1];
    char topic[TOPIC_MAX + 1];
    char epoch[EPOCH_MAX + 1];
};

void marks_init(struct marks *marks)
{
    TAILQ_INIT(&marks->first);
    TAILQ_INIT(&marks->late);
    marks->armed_ns = 0;
    marks->gone = NULL;
    marks->gone_max = GONE_MAX;
}

/* ---- which are due ---- */

static struct mark_list *list_of(struct marks *marks, const struct mark *mark)
{
    return mark->is_late ? &marks->late : &marks->first;
}

static void take_out(struct marks *marks, struct mark *mark)
{
    if (mark->due_ns)
        TAILQ_REMOVE(list_of(marks, mark), mark, in_marks);
    mark->due_ns = 0;
}

static void put_in(struct marks *marks, struct mark *mark, bool late, uint64_t due_ns)
{
    mark->is_late = late;
    mark->due_ns = due_ns;
    TAILQ_INSERT_TAIL(list_of(marks, mark), mark, in_marks);
}

static void arm_timer(struct module *module)
{
    struct marks *marks = &module->marks;
    const struct mark *next = TAILQ_FIRST(&marks->first), *late = TAILQ_FIRST(&marks->late);
    if (!next || (late && late->due_ns < next->due_ns))
        next = late;
    if (!next || (marks->armed_ns && marks->armed_ns <= next->due_ns))
        return; /* it will look again when it is due */
    marks->armed_ns = next->due_ns;
    sd_event_source_set_time(module->mark_timer, next->due_ns / 1000 + 1);
    sd_event_source_set_enabled(module->mark_timer, SD_EVENT_ONESHOT);
}

static void begin(struct module *module, struct mark *mark)
{
    put_in(&module->marks, mark, false, monotonic_ns() + FIRST_MS * NS_PER_MS);
    arm_timer(module);
}

/* ---- of blocks ---- */

void marks_put_off(struct module *module, struct block *block)
{
    take_out(&module->marks, &block->block_mark);
    block->block_mark.block = block;
    begin(module, &block->block_mark);
}

void marks_end(struct module *module, struct block *block)
{
    take_out(&module->marks, &block->block_mark);
}

/* ---- of blocks that are gone ---- */

static void forget(struct marks *marks, struct gone_block *gone)
{
    take_out(marks, &gone->mark);
    HASH_DEL(marks->gone, gone);
    free(gone);
}

void marks_clear(struct marks *marks)
{
    while (marks->gone)
        forget(marks, marks->gone);
}

void marks_begin(struct module *module, const struct block *block)
{
    struct gone_block *gone;
    HASH_FIND_STR(module->marks.gone, block->id, gone);
    if (gone)
        forget(&module->marks, gone);
}

void marks_outlive(struct module *module, const struct block *block)
{
    struct marks *marks = &module->marks;
    struct gone_block *gone = calloc(1, sizeof *gone);
    if (!gone) {
        module->counters.out_of_memory++;
        return;
    }
    gone->seq = block->seq;
    strcpy(gone->id, block->id);
    strcpy(gone->topic, block->topic);
    strcpy(gone->epoch, block->epoch);
    HASH_ADD_STR(marks->gone, id, gone);
    if (!gone->hh.tbl) {
        module->counters.out_of_memory++;
        free(gone);
        return;
    }
    if (HASH_COUNT(marks->gone) > marks->gone_max)
        forget(marks, marks->gone);
    begin(module, &gone->mark);
}

/* ---- telling ---- */

static void tell(struct module *module, const struct mark *mark)
{
    const struct block *block = mark->block;
    const struct gone_block *gone = (const struct gone_block *)mark;
    const struct block_point at =
        block ? (struct block_point){text_of(block->id), text_of(block->epoch), block->seq}
              : (struct block_point){text_of(gone->id), text_of(gone->epoch), gone->seq};
    publish_mark(module, block ? block->topic : gone->topic, &at);
}

static void end(struct marks *marks, struct mark *mark)
{
    if (mark->block)
        take_out(marks, mark);
    else
        forget(marks, (struct gone_block *)mark);
}

int marks_on_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    struct marks *marks = &module->marks;
    uint64_t now_ns = now_us * 1000;
    (void)source;
    for (struct mark *mark; (mark = TAILQ_FIRST(&marks->first)) && mark->due_ns <= now_ns;) {
        uint64_t late_ns = mark->due_ns + (LATE_MS - FIRST_MS) * NS_PER_MS;
        tell(module, mark);
        take_out(marks, mark);
        put_in(marks, mark, true, late_ns);
    }
    for (struct mark *mark; (mark = TAILQ_FIRST(&marks->late)) && mark->due_ns <= now_ns;) {
        tell(module, mark);
        end(marks, mark);
    }
    marks->armed_ns = 0;
    arm_timer(module);
    return 0;
}
