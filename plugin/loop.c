/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The loop. Between two waits it takes what the feed has, then what the workers finished, then what
 * clients ask. When events come at thousands a second it sleeps for up to a millisecond at a time,
 * so that one wake-up handles many; at ordinary rates it never waits for more.
 */

#include "plugin/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd_budget.h"
#include "plugin/blocks.h"
#include "plugin/control.h"
#include "plugin/details.h"
#include "plugin/escapees.h"
#include "plugin/expiry.h"
#include "plugin/holder.h"
#include "plugin/intake.h"
#include "plugin/keeper.h"
#include "plugin/lives.h"
#include "plugin/outside.h"
#include "plugin/overview.h"
#include "plugin/publish.h"
#include "plugin/questions.h"
#include "plugin/removers.h"
#include "plugin/scan.h"
#include "plugin/setup.h"
#include "plugin/strangers.h"
#include "plugin/waits.h"

/* ---- workers and the host ---- */

/* While work is at the workers it is looked at from time to time whether reads hold all of them up;
 * and while the loop gives way or claims more than its share, whether it still has reason to. */
static void look_again(struct module *module)
{
    int enabled = SD_EVENT_OFF;
    if ((workers_pending(module->workers) == 0 && !module->way.gives && !module->claim.claims) ||
        sd_event_source_get_enabled(module->relief_timer, &enabled) != 0)
        return;
    sd_event_source_set_time(module->relief_timer,
                             monotonic_ns() / 1000 + WORKERS_HELD_MS * UINT64_C(1000));
    sd_event_source_set_enabled(module->relief_timer, SD_EVENT_ONESHOT);
}

static int on_relief(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    (void)source, (void)now_us;
    intake_drain_and_reap(module);
    if (workers_are_held_up(module->workers)) {
        give_way_stop(&module->way); /* a new worker is not to inherit it */
        claim_stop(&module->claim);
        workers_relieve(module->workers);
    }
    scan_give_up_late(module);
    return 0; /* run () sets it again where work is still pending */
}

static int on_workers(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct module *module = context;
    (void)source, (void)fd, (void)events;
    intake_drain_and_reap(module);
    return 0;
}

static int on_stop(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct module *module = context;
    eventfd_t count;
    (void)source, (void)events;
    eventfd_read(fd, &count);
    module->stopping = true;
    return 0;
}

/* What came in before it is counted in the mark. */
static int on_mark(sd_event_source *source, uint64_t now_us, void *context)
{
    intake_drain(context);
    return marks_on_timer(source, now_us, context);
}

/* ---- beginning and end ---- */

static int add_timer(struct module *module, sd_event_source **source,
                     int (*handler)(sd_event_source *, uint64_t, void *))
{
    int r =
        sd_event_add_time(module->event, source, CLOCK_MONOTONIC, UINT64_MAX, 1, handler, module);
    return r < 0 ? r : sd_event_source_set_enabled(*source, SD_EVENT_OFF);
}

static int make_sources(struct module *module)
{
    int r = sd_event_new(&module->event);
    r = r < 0 ? r : add_timer(module, &module->settle_timer, lives_on_settle_timer);
    r = r < 0 ? r : add_timer(module, &module->read_timer, lives_on_read_timer);
    r = r < 0 ? r : add_timer(module, &module->mark_timer, on_mark);
    r = r < 0 ? r : add_timer(module, &module->retry_timer, publish_on_retry_timer);
    r = r < 0 ? r : add_timer(module, &module->relief_timer, on_relief);
    r = r < 0 ? r : add_timer(module, &module->scan_timer, intake_on_scan_timer);
    r = r < 0 ? r : add_timer(module, &module->missed_timer, scan_on_missed_timer);
    r = r < 0 ? r : add_timer(module, &module->expiry_timer, expiry_on_timer);
    r = r < 0 ? r : add_timer(module, &module->escape_timer, escapees_on_timer);
    r = r < 0 ? r
              : sd_event_add_io(module->event, NULL, workers_fd(module->workers), EPOLLIN,
                                on_workers, module);
    r = r < 0 ? r
              : sd_event_add_io(module->event, NULL, module->stop_event, EPOLLIN, on_stop, module);
    return r;
}

static void init_lists(struct module *module)
{
    registry_init(&module->registry);
    TAILQ_INIT(&module->settling);
    TAILQ_INIT(&module->reading);
    questions_init(module);
    strangers_init(module);
    scan_init(module);
    TAILQ_INIT(&module->freed);
    marks_init(&module->marks);
    TAILQ_INIT(&module->unsent);
    TAILQ_INIT(&module->unclaimed);
    LIST_INIT(&module->assignments);
    LIST_INIT(&module->waits);
    LIST_INIT(&module->removers);
    wire_out_init(&module->out);
    module->scan_mark = 1;
    module->own_pid = (uint32_t)getpid();
    gather_init(&module->gather, GATHER_RATE);
}

static int make_all(struct module *module, struct wps_error *error)
{
    init_lists(module);
    module->clock = proc_clock_now();
    module->fd_end = fd_budget_end(module->options.reserve_descriptors);
    int r = workers_new(&module->workers, error);
    if (r < 0)
        return r;
    r = make_sources(module);
    if (r < 0)
        return wps_error_system(error, r, "cannot make the event loop");
    r = setup_tracker(module, error);
    r = r < 0 ? r : keeper_open(module, error);
    r = r < 0 ? r : setup_feed(module, error);
    if (r < 0)
        return r;
    setup_confidence(module);
    setup_log(module);
    r = blocks_adopt(module, error);
    r = r < 0 ? r : control_open(module, &module->control, error);
    if (r < 0)
        return r;
    r = intake_open(module);
    return r < 0 ? wps_error_system(error, r, "cannot watch the feed") : 0;
}

/* -ETIMEDOUT: a worker hangs; what it uses stays. */
static int unmake_all(struct module *module, uint64_t deadline_ns)
{
    keeper_end(module);
    int r = workers_destroy(&module->workers, deadline_ns);
    blocks_leave(module);
    if (r < 0)
        return r;
    keeper_close(module);
    strangers_clear(module);
    lives_clear(module);
    waits_clear(module);
    removers_clear(module);
    outside_close(module);
    escapees_clear(module);
    details_close(module);
    overview_close(module);
    control_close(&module->control);
    struct block *block, *next;
    HASH_ITER (by_id, module->registry.blocks, block, next) {
        sd_event_source_disable_unref(block->watch);
        sd_event_source_disable_unref(block->again);
    }
    marks_clear(&module->marks);
    registry_destroy(&module->registry);
    known_drop(&module->snapshot);
    module->feed_source = sd_event_source_disable_unref(module->feed_source);
    feed_close(&module->feed);
    tracker_close(&module->tracker);
    holder_close(module);
    sd_event_source_disable_unref(module->settle_timer);
    sd_event_source_disable_unref(module->read_timer);
    sd_event_source_disable_unref(module->mark_timer);
    sd_event_source_disable_unref(module->retry_timer);
    sd_event_source_disable_unref(module->relief_timer);
    sd_event_source_disable_unref(module->scan_timer);
    sd_event_source_disable_unref(module->missed_timer);
    sd_event_source_disable_unref(module->expiry_timer);
    sd_event_source_disable_unref(module->escape_timer);
    module->event = sd_event_unref(module->event);
    wire_out_destroy(&module->out);
    return 0;
}

/* True where everything that is to end has ended. */
static bool wind_down(struct module *module)
{
    return module->stopping && blocks_end_all(module);
}

/* The host's thread sets it before it says stop. */
static uint64_t stop_by(const struct module *module)
{
    return __atomic_load_n(&module->stop_by_ns, __ATOMIC_ACQUIRE);
}

/* What could not be ended in time. The next broker finds it. */
static void name_the_rest(const struct module *module)
{
    const struct block *block, *next;
    HASH_ITER (by_id, module->registry.blocks, block, next)
        if (!block->keep_on_exit)
            module_log(
                module, WPS_LOG_WARNING,
                "block %s could not be ended in time: %u processes are left, the first is %u",
                block->id, block->n_told,
                TAILQ_EMPTY(&block->processes) ? 0 : TAILQ_FIRST(&block->processes)->pid);
}

static void run(struct module *module)
{
    while (!wind_down(module)) {
        uint64_t wait_us = UINT64_MAX;
        if (module->stopping) {
            uint64_t now = monotonic_ns(), by = stop_by(module);
            if (now >= by) {
                name_the_rest(module);
                return;
            }
            wait_us = (by - now) / 1000 + 1;
        }
        if (control_work(module->control))
            wait_us = 0; /* there may be more, and ZeroMQ will not tell again */
        questions_go_on(module);
        strangers_go_on(module);
        look_again(module);
        int r = sd_event_run(module->event, wait_us);
        if (r < 0) {
            module_log(module, WPS_LOG_ERROR, "the event loop failed: %s", strerror(-r));
            return;
        }
    }
}

/* ---- the thread, and the host's side of it ---- */

static void set_phase(struct module *module, int phase)
{
    pthread_mutex_lock(&module->mutex);
    module->phase = phase;
    pthread_cond_broadcast(&module->changed);
    pthread_mutex_unlock(&module->mutex);
}

/* False where the phase has not changed by the deadline (CLOCK_MONOTONIC; null: none). */
static bool wait_while(struct module *module, int phase, const struct timespec *deadline)
{
    int r = 0;
    pthread_mutex_lock(&module->mutex);
    while ((int)module->phase == phase && r != ETIMEDOUT)
        r = deadline ? pthread_cond_timedwait(&module->changed, &module->mutex, deadline)
                     : pthread_cond_wait(&module->changed, &module->mutex);
    bool changed = (int)module->phase != phase;
    pthread_mutex_unlock(&module->mutex);
    return changed;
}

static void *thread(void *argument)
{
    struct module *module = argument;
    pthread_setname_np(pthread_self(), "proctrack");
    module->start_result = make_all(module, &module->start_error);
    if (module->start_result == 0) {
        give_way_init(&module->way);
        claim_init(&module->claim, (unsigned)module->options.priority_boost);
        set_phase(module, LOOP_RUNNING);
        run(module);
    }
    module->wound_up = true;
    module->stop_result =
        unmake_all(module, __atomic_load_n(&module->join_by_ns, __ATOMIC_ACQUIRE));
    set_phase(module, LOOP_ENDED);
    return NULL;
}

static int start_thread(struct module *module)
{
    sigset_t all, before;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&module->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&module->mutex, NULL);
    module->phase = LOOP_STARTING;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int r = -pthread_create(&module->thread, NULL, thread, module);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static void clear_thread(struct module *module)
{
    pthread_mutex_destroy(&module->mutex);
    pthread_cond_destroy(&module->changed);
    close(module->stop_event);
    module->phase = LOOP_OFF;
}

int loop_start(struct module *module, struct wps_error *error)
{
    module->stopping = false;
    module->n_attempts = 0;
    module->stop_by_ns = module->join_by_ns = UINT64_MAX;
    module->wound_up = false;
    module->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (module->stop_event < 0)
        return wps_error_system(error, -errno, "cannot make an eventfd");
    int r = start_thread(module);
    if (r < 0) {
        clear_thread(module);
        return wps_error_system(error, r, "cannot start a thread");
    }
    wait_while(module, LOOP_STARTING, NULL);
    if (module->start_result < 0) {
        pthread_join(module->thread, NULL);
        clear_thread(module);
        *error = module->start_error;
    }
    return module->start_result;
}

int loop_stop(struct module *module, uint32_t deadline_ms, struct wps_error *error)
{
    if (module->phase == LOOP_OFF)
        return 0;
    /* The loop gives up on blocks, then on its workers, a little before the host gives up on it. */
    uint64_t deadline_ns = monotonic_ns() + deadline_ms * NS_PER_MS;
    __atomic_store_n(&module->join_by_ns, deadline_ns - deadline_ms * NS_PER_MS / 20,
                     __ATOMIC_RELEASE);
    __atomic_store_n(&module->stop_by_ns, deadline_ns - deadline_ms * NS_PER_MS / 10,
                     __ATOMIC_RELEASE);
    eventfd_write(module->stop_event, 1);
    struct timespec until = {(time_t)(deadline_ns / NS_PER_SECOND),
                             (long)(deadline_ns % NS_PER_SECOND)};
    bool ended = wait_while(module, LOOP_RUNNING, &until);
    if (ended)
        pthread_join(module->thread, NULL);
    if (!ended || module->stop_result < 0)
        return wps_error_set(error, -ETIMEDOUT,
                             "it did not stop within %u ms: a process that cannot be ended or read "
                             "holds it up",
                             deadline_ms);
    clear_thread(module);
    return 0;
}
