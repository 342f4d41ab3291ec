/* SPDX-License-Identifier: Apache-2.0 */

/* Those who wait for a removal. */

#include "plugin/removers.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/blocks.h"
#include "plugin/outside.h"
#include "plugin/survivors.h"

enum {
    LOOK_MS = 1000, /* at the time-out: for a look outside, where none was made yet, and for the
                       place of a block that nobody is in any more */
};

struct remover {
    LIST_ENTRY(remover) all;
    LIST_ENTRY(remover) in_block;
    struct module *module;
    struct block *block; /* null: it is gone */
    struct ask *ask;
    struct outside *outside;
    bool is_late;
    char epoch[EPOCH_MAX + 1]; /* of the block that is gone */
    uint64_t seq;
};

/* Lets go of all but the ask. */
static struct ask *release(struct remover *remover)
{
    struct ask *ask = remover->ask;
    LIST_REMOVE(remover, all);
    if (remover->block)
        LIST_REMOVE(remover, in_block);
    outside_end(&remover->outside);
    ask->timer = sd_event_source_disable_unref(ask->timer);
    free(remover);
    return ask;
}

static int find_survivors(struct remover *remover, struct survivor **survivors, size_t *n)
{
    int r = 0;
    *survivors = NULL;
    *n = 0;
    if (remover->block)
        r = survivors_find(remover->block, (struct text){NULL, 0}, survivors, n);
    return r == 0 && remover->outside ? outside_add_survivors(remover->outside, survivors, n) : r;
}

/* There is nobody to name, and yet it is not over. */
static void refuse(struct remover *remover)
{
    const struct block *block = remover->block;
    const char *why = block->kernel_empty
                          ? "nobody is left in it, but its place could not be taken away yet"
                          : "the kernel has somebody in it who is not known yet";
    struct ask *ask = release(remover);
    control_refuse(ask, ERRORCODE_TIMEOUT,
                   "block '%s' is not gone after %" PRIu64
                   " ms: %s; its removal goes on: wait for its block-removed, or ask again",
                   block->id, (monotonic_ns() - ask->began_ns) / NS_PER_MS, why);
}

static void answer(struct remover *remover)
{
    _cleanup_free_ struct survivor *survivors = NULL;
    size_t n;
    const struct block_version version =
        remover->block ? blocks_version(remover->block)
                       : (struct block_version){text_of(remover->epoch), remover->seq};
    if (find_survivors(remover, &survivors, &n) < 0) {
        control_refuse(release(remover), ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    if (remover->block && n == 0) {
        refuse(remover);
        return;
    }
    remove_reply_pack(control_reply(remover->ask), version, !remover->block, survivors, n);
    control_send(release(remover));
}

/* Nobody is in it any more, and its place is being taken away. */
static bool is_nearly_gone(const struct remover *remover)
{
    return remover->block && remover->block->kernel_empty &&
           TAILQ_EMPTY(&remover->block->processes);
}

static void on_news(struct outside *outside, void *context)
{
    struct remover *remover = context;
    if ((remover->is_late && !is_nearly_gone(remover)) ||
        (!remover->block && outside_is_over(outside)))
        answer(remover);
}

static void begin_look(struct remover *remover, int signal)
{
    if (!remover->outside)
        remover->outside = outside_begin(remover->module, remover->block, (struct text){NULL, 0},
                                         remover->ask->uid, signal, on_news, remover);
}

/* The removal goes on, but the answer names who is left. */
static int on_late(sd_event_source *source, uint64_t now_us, void *context)
{
    struct remover *remover = context;
    (void)now_us;
    if (remover->block)
        begin_look(remover, 0);
    bool has_looked = !remover->outside || outside_has_looked(remover->outside);
    if (remover->is_late || (has_looked && !is_nearly_gone(remover))) {
        answer(remover);
        return 0;
    }
    remover->is_late = true;
    if (!has_looked)
        outside_look(remover->outside);
    sd_event_source_set_time(source, monotonic_ns() / 1000 + LOOK_MS * UINT64_C(1000));
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

int removers_add(struct module *module, struct block *block, struct ask *ask)
{
    uint64_t due_us = monotonic_ns() / 1000 + ask->request.timeout_ms * 1000;
    struct remover *remover = calloc(1, sizeof *remover);
    if (!remover)
        return -ENOMEM;
    int r = sd_event_add_time(module->event, &ask->timer, CLOCK_MONOTONIC, due_us, 1000, on_late,
                              remover);
    if (r < 0) {
        free(remover);
        return r;
    }
    *remover = (struct remover){.module = module, .block = block, .ask = ask};
    LIST_INSERT_HEAD(&module->removers, remover, all);
    LIST_INSERT_HEAD(&block->removers, remover, in_block);
    if (ask->request.include_escaped)
        begin_look(remover, SIGKILL);
    return 0;
}

static void part(struct remover *remover)
{
    struct block *block = remover->block;
    begin_look(remover, 0);
    if (remover->outside)
        outside_part(remover->outside, block);
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): it does not see LIST_REMOVE
    strcpy(remover->epoch, block->epoch);
    remover->seq = block->seq;
    LIST_REMOVE(remover, in_block);
    remover->block = NULL;
    if (remover->outside)
        outside_look(remover->outside);
    else
        answer(remover);
}

void removers_part(struct block *block)
{
    struct remover *remover;
    while ((remover = LIST_FIRST(&block->removers)))
        part(remover);
}

void removers_clear(struct module *module)
{
    struct remover *remover;
    while ((remover = LIST_FIRST(&module->removers)))
        release(remover); /* the control socket answers its ask */
}
