/* SPDX-License-Identifier: Apache-2.0 */

/* Adopted blocks that nobody wants: one list, by the time when they are looked at. */

#include "plugin/expiry.h"

#include "base/clock.h"
#include "plugin/blocks.h"

static void arm(struct module *module)
{
    const struct block *first = TAILQ_FIRST(&module->unclaimed);
    if (!first) {
        sd_event_source_set_enabled(module->expiry_timer, SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time(module->expiry_timer, first->expires_ns / 1000 + 1);
    sd_event_source_set_enabled(module->expiry_timer, SD_EVENT_ONESHOT);
}

/* Its time begins now. All have the same time, so the last one is the last. */
static void enlist(struct module *module, struct block *block)
{
    block->expires_ns = monotonic_ns() + module->options.adopt_expire_ms * NS_PER_MS;
    TAILQ_INSERT_TAIL(&module->unclaimed, block, in_unclaimed);
}

void expiry_adopted(struct module *module, struct block *block)
{
    if (module->options.adopt_expire_ms == 0)
        return;
    block->unclaimed = true;
    enlist(module, block);
    arm(module);
}

void expiry_claim(struct module *module, struct block *block)
{
    if (!block->unclaimed)
        return;
    block->unclaimed = false;
    TAILQ_REMOVE(&module->unclaimed, block, in_unclaimed);
    arm(module);
}

void expiry_forgot(struct module *module, struct block *block)
{
    if (!block->unclaimed || !TAILQ_EMPTY(&block->processes))
        return;
    TAILQ_REMOVE(&module->unclaimed, block, in_unclaimed);
    enlist(module, block);
    arm(module);
}

static bool is_idle(const struct block *block)
{
    return block->state == BLOCK_LIVE && TAILQ_EMPTY(&block->processes) && !block->busy &&
           tracker_is_empty(block->watch_fd);
}

int expiry_on_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    struct block *block;
    (void)source;
    while ((block = TAILQ_FIRST(&module->unclaimed)) && block->expires_ns <= now_us * 1000) {
        if (is_idle(block)) {
            expiry_claim(module, block);
            module->counters.blocks_expired++;
            blocks_remove(module, block, "expired", NULL);
        } else { /* it is looked at again, at the latest */
            TAILQ_REMOVE(&module->unclaimed, block, in_unclaimed);
            enlist(module, block);
        }
    }
    arm(module);
    return 0;
}
