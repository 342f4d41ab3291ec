/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_MARKS_H
#define PLUGIN_MARKS_H

/*
 * block-mark: a second after a block's newest event, and ten seconds after it, its number is told
 * once more. So a reader notices that the newest one did not reach it, behind which no other would
 * show the gap. The newest event of a block that is gone is its block-removed, so its marks outlive
 * it, unless there is a block of that id again: that one has events of its own.
 *
 * Called from the loop's thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

struct module;
struct block;
struct gone_block; /* marks.c */

/* What is to be told once more, and when. */
struct mark {
    TAILQ_ENTRY(mark) in_marks;
    uint64_t due_ns;           /* CLOCK_MONOTONIC; 0: no more of them */
    bool is_late;              /* the first was sent */
    const struct block *block; /* null: of one that is gone */
};

struct marks {
    TAILQ_HEAD(mark_list, mark) first, late; /* by due_ns */
    uint64_t armed_ns;                       /* when the timer will look; 0: it will not */
    struct gone_block *gone;                 /* by id, the oldest first */
    unsigned gone_max;                       /* if there are more, the oldest has no marks */
};

void marks_init(struct marks *marks);
void marks_clear(struct marks *marks);

/* An event of the block took the next number: its marks are put off. */
void marks_put_off(struct module *module, struct block *block);

/* Its own marks end. To be called before it is freed. */
void marks_end(struct module *module, struct block *block);

/* Its block-removed was handed over: the marks that are to follow do not need the block. Without
 * memory for them there are none, which is counted. */
void marks_outlive(struct module *module, const struct block *block);

/* There is a block of that id again. */
void marks_begin(struct module *module, const struct block *block);

/* The timer of the loop, module->mark_timer. */
int marks_on_timer(sd_event_source *source, uint64_t now_us, void *module);

#endif
