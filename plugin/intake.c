/* SPDX-License-Identifier: Apache-2.0 */

/* Taking in what the feed tells, and looking where it cannot see. */

#include "plugin/intake.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "plugin/lives.h"
#include "plugin/publish.h"
#include "plugin/questions.h"
#include "plugin/scan.h"
#include "plugin/setup.h"
#include "plugin/snapshot.h"
#include "plugin/strangers.h"

enum {
    DRAIN = 4096,          /* events at a time, then others get their turn */
    DRAINS_MAX = 64,       /* so many times that at most, where all that is there is wanted */
    FEED_RETRY_MS = 500,   /* between two tries, where no feed can be opened */
    ACTIVE_SCAN_MS = 2000, /* how often at most a feed without places looks for moves */
    WIDE_SCAN_MS = 30000,  /* and in blocks in which nothing happens itself */
    SCAN_AGAIN_MS = 1000,  /* behind a look that failed */
    CHECK_MS = 100,        /* how often at most it is asked whether a feed still is subscribed */
};

static void note_loss(struct module *module)
{
    uint64_t lost = feed_lost(module->feed);
    if (lost == module->lost_seen)
        return;
    uint64_t now = lost - module->lost_seen;
    module->lost_seen = lost;
    module->counters.feed_lost += now;
    module_log(module, WPS_LOG_WARNING, "feed %s lost %llu events: every block is scanned",
               feed_name(module->feed), (unsigned long long)now);
    scan_after_loss(module, "overflow", now);
}

static void scan_now(struct module *module, uint64_t now)
{
    sd_event_source_set_enabled(module->scan_timer, SD_EVENT_OFF);
    module->next_scan_ns = now + ACTIVE_SCAN_MS * NS_PER_MS;
    if (now < module->next_wide_scan_ns) {
        scan_active(module);
        return;
    }
    module->next_wide_scan_ns = now + WIDE_SCAN_MS * NS_PER_MS;
    scan_all(module);
}

static void arm_scan(struct module *module, uint64_t due_ns)
{
    int enabled = SD_EVENT_OFF;
    uint64_t armed_us = UINT64_MAX;
    sd_event_source_get_enabled(module->scan_timer, &enabled);
    sd_event_source_get_time(module->scan_timer, &armed_us);
    if (enabled != SD_EVENT_OFF && armed_us <= due_ns / 1000 + 1)
        return;
    sd_event_source_set_time(module->scan_timer, due_ns / 1000 + 1);
    sd_event_source_set_enabled(module->scan_timer, SD_EVENT_ONESHOT);
}

/* A feed that sees births but no places finds moves and strays by scans, and those only while
 * things happen: in a block soon, elsewhere on the machine rarely. One at once, and, for what
 * happened since, one when the next may be. */
static void scan_when_active(struct module *module)
{
    uint64_t now = monotonic_ns(), due = module->next_wide_scan_ns;
    if (feed_traits(module->feed) & (FEED_TELLS_PLACES | FEED_WANTS_SCANS))
        return;
    if ((module->any_active || snapshot_is_needed(module)) && module->next_scan_ns < due)
        due = module->next_scan_ns;
    if (now >= due)
        scan_now(module, now);
    else
        arm_scan(module, due);
}

void intake_scan_again(struct module *module, struct block *block)
{
    if (block)
        block->active = true;
    module->any_active = true;
    arm_scan(module, monotonic_ns() + SCAN_AGAIN_MS * NS_PER_MS);
}

int intake_on_scan_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    (void)source, (void)now_us;
    scan_now(context, monotonic_ns());
    return 0;
}

static void on_event(void *context, const struct feed_event *event)
{
    struct module *module = context;
    module->counters.feed_events++;
    if (!module->first_ns)
        module->first_ns = event->time_ns;
    note_loss(module);
    if (event->kind == FEED_SCAN_DUE)
        scan_all(module);
    else
        lives_take(module, event);
}

void intake_renew_feed(struct module *module)
{
    struct wps_error error = {"it cannot be watched"};
    struct block *block, *next;
    module->feed_source = sd_event_source_disable_unref(module->feed_source);
    feed_close(&module->feed);
    module->lost_seen = 0;
    module->counters.feed_restarts++;
    while (setup_feed(module, &error) < 0 || intake_open(module) < 0) {
        /* Better another one than none, and poll works wherever descriptors can be made. */
        module_log(module, WPS_LOG_ERROR, "no feed works now, trying again: %s", error.message);
        module->options.feed[0] = '\0';
        feed_close(&module->feed);
        poll(&(struct pollfd){.fd = -1}, 1, FEED_RETRY_MS);
    }
    setup_confidence(module);
    setup_log(module);
    HASH_ITER (by_id, module->registry.blocks, block, next)
        if (block->state != BLOCK_MAKING)
            publish_block_changed(module, block);
    lives_watch_all(module);
    scan_after_loss(module, "feed_restarted", 0);
}

/* How often events come, and how late they are read. */
static void take_time(struct module *module, unsigned n, uint64_t now)
{
    uint64_t first = module->first_ns, late = first && now > first ? now - first : 0;
    gather_count(&module->gather, n);
    give_way_update(&module->way, module->gather.now, module->gather.saturated, late, now);
    claim_update(&module->claim, late, now);
}

static int drain(struct module *module)
{
    uint64_t events = module->counters.feed_events, now = boottime_ns();
    module->first_ns = 0;
    int n = feed_drain(module->feed, DRAIN, on_event, module);
    if (n < 0) {
        module_log(module, WPS_LOG_ERROR, "feed %s died: %s", feed_name(module->feed),
                   strerror(-n));
        intake_renew_feed(module);
        return 0;
    }
    take_time(module, (unsigned)n, now);
    note_loss(module);
    questions_go_on(module);
    strangers_go_on(module);
    if (module->counters.feed_events != events)
        scan_when_active(module);
    return n;
}

/* A feed whose subscription was taken away wakes nobody. So it is checked whenever something else
 * does: a request, an answer of a worker, a mark. Never because the feed woke us: two modules on
 * one machine would keep each other awake with their checks. */
static void check(struct module *module)
{
    uint64_t now = monotonic_ns();
    if (now < module->next_check_ns)
        return;
    module->next_check_ns = now + CHECK_MS * NS_PER_MS;
    feed_check(module->feed);
}

void intake_drain(struct module *module)
{
    check(module);
    drain(module);
}

void intake_drain_all(struct module *module)
{
    /* Not what happens meanwhile: on a busy machine there is always more. A feed that finds ends by
     * itself stamps them when it does. */
    bool stamped = feed_traits(module->feed) & FEED_TELLS_BIRTHS;
    uint64_t until = stamped ? boottime_ns() : UINT64_MAX;
    check(module);
    for (int i = 0; i < DRAINS_MAX && drain(module) >= DRAIN && module->first_ns < until; i++)
        ;
}

void intake_drain_and_reap(struct module *module)
{
    workers_collect(module->workers);
    intake_drain_all(module);
    workers_hand_out(module->workers);
}

static int on_feed(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct module *module = context;
    (void)source, (void)fd, (void)events;
    int n = drain(module);
    if (n > 0 && n < DRAIN && module->gather.saturated) {
        feed_doze(module->feed, true);
        gather_wait(&module->gather);
        feed_doze(module->feed, false);
    }
    return 0;
}

int intake_open(struct module *module)
{
    return sd_event_add_io(module->event, &module->feed_source, feed_fd(module->feed), EPOLLIN,
                           on_feed, module);
}
