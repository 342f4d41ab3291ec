/* SPDX-License-Identifier: Apache-2.0 */

/* The module on a bench, and the law of what it publishes. */

#include "test_plugin_bench.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "plugin/escapees.h"
#include "plugin/intake.h"
#include "plugin/lives.h"
#include "plugin/publish.h"
#include "plugin/questions.h"
#include "plugin/scan.h"
#include "plugin/strangers.h"

enum { ANSWER_MS = 20000, FAR_US = 1000 * 1000000 };

/* ---- what a reader knows ---- */

struct member {
    struct member *next;
    struct told record; /* the newest added, exec or changed of it */
    bool over, escaped; /* it exited or escaped */
};

static struct member *find_member(const struct bench *bench, const struct told *told)
{
    struct member *member = bench->members;
    while (member && (member->over || member->record.pid != told->pid ||
                      strcmp(member->record.block, told->block) != 0))
        member = member->next;
    return member;
}

/* The parent is told before the child. */
static void assert_no_child_came_first(const struct bench *bench, const struct told *told)
{
    for (const struct member *child = bench->members; child; child = child->next)
        cr_assert(child->record.parent_pid != told->pid ||
                      strcmp(child->record.block, told->block) != 0 ||
                      child->record.started_at_ms < told->started_at_ms,
                  "%s: %u is added behind its child %u", bench->label, told->pid,
                  child->record.pid);
}

static void take_added(struct bench *bench, const struct told *told)
{
    for (const struct member *member = bench->members; member; member = member->next) {
        const struct told *before = &member->record;
        if (before->pid != told->pid)
            continue;
        cr_assert(member->over, "%s: %u is added to %s and is in %s still", bench->label, told->pid,
                  told->block, before->block);
        cr_assert(member->escaped || before->started_at_ms != told->started_at_ms,
                  "%s: %u is added again, and it has exited", bench->label, told->pid);
    }
    assert_no_child_came_first(bench, told);
    struct member *member = calloc(1, sizeof *member);
    cr_assert(member);
    member->record = *told;
    member->next = bench->members;
    bench->members = member;
}

static void take_later(struct bench *bench, const struct told *told)
{
    struct member *member = find_member(bench, told);
    cr_assert(member, "%s of %u, which is not in %s", told->name, told->pid, told->block);
    cr_assert_eq(member->record.started_at_ms, told->started_at_ms,
                 "%s of %u names another life than its added", told->name, told->pid);
    if (strcmp(told->name, "exited") == 0 || strcmp(told->name, "escaped") == 0) {
        member->over = true;
        member->escaped = strcmp(told->name, "escaped") == 0;
        return;
    }
    cr_assert_eq(member->record.parent_pid, told->parent_pid, "the parent at birth is rewritten");
    cr_assert(told->started || !member->record.started, "started is taken back");
    member->record = *told;
}

static void free_members(struct bench *bench)
{
    struct member *member;
    while ((member = bench->members)) {
        bench->members = member->next;
        free(member);
    }
}

/* ---- the law ---- */

/* What comes in place of what was not taken, and a removal, have a number once they are taken. */
static bool is_tried_again(const struct told *told)
{
    return told->refused &&
           (strcmp(told->reason, "unpublished") == 0 || strcmp(told->name, "block-removed") == 0);
}

static const struct told *last_of_block(const struct bench *bench, const char *block)
{
    for (size_t i = bench->n_told; i-- > 0;)
        if (strcmp(bench->told[i].block, block) == 0 &&
            strcmp(bench->told[i].name, "block-mark") != 0 && !is_tried_again(&bench->told[i]))
            return &bench->told[i];
    return NULL;
}

static bool is_stale(const struct bench *bench)
{
    for (size_t i = 0; i < bench->n_told; i++)
        if (bench->told[i].refused)
            return true;
    return false;
}

static void hold_to_the_law(struct bench *bench, const struct told *told)
{
    const struct told *before = last_of_block(bench, told->block);
    bool mark = strcmp(told->name, "block-mark") == 0;
    if (before && !mark && strcmp(before->name, "block-removed") == 0)
        before = NULL; /* another life of the block begins */
    uint64_t due = (before ? before->seq : 0) + !mark;
    cr_assert_eq(told->seq, due, "%s of %s has seq %llu and not %llu", told->name, told->block,
                 (unsigned long long)told->seq, (unsigned long long)due);
    if (before)
        cr_assert_str_eq(told->epoch, before->epoch);
    if (told->refused || is_stale(bench) || strncmp(told->name, "block-", 6) == 0)
        return;
    if (strcmp(told->name, "added") == 0)
        take_added(bench, told);
    else
        take_later(bench, told);
}

/* ---- the host ---- */

static struct told *next_told(struct bench *bench)
{
    if (bench->n_told == bench->told_room) {
        bench->told_room = bench->told_room ? bench->told_room * 2 : 64;
        bench->told = realloc(bench->told, bench->told_room * sizeof *bench->told);
        cr_assert(bench->told);
    }
    bench->told[bench->n_told] = (struct told){.refused = bench->host_answer != 0};
    return &bench->told[bench->n_told];
}

static int on_publish(void *context, const struct wps_event *event)
{
    struct bench *bench = context;
    struct told *told = next_told(bench);
    struct wire_doc doc;
    struct wps_error error = {""};
    cr_assert_eq(strncmp(event->event, "agent:", 6), 0, "%s", event->event);
    const char *name = event->event + 6;
    snprintf(told->name, sizeof told->name, "%s",
             strncmp(name, "process-", 8) == 0 ? name + 8 : name);
    int r = wire_open(&doc, event->data, event->data_size, WIRE_DEPTH_MAX, &error);
    cr_assert_eq(r, 0, "%s: %s", event->event, error.message);
    r = told_decode(told, &doc.root, &error);
    cr_assert_eq(r, 0, "%s: %s", event->event, error.message);
    wire_close(&doc);
    char topic[80];
    snprintf(topic, sizeof topic, "block:%s", told->block);
    cr_assert_eq(event->n_scopes, 1);
    cr_assert_str_eq(event->scopes[0], topic);
    hold_to_the_law(bench, told);
    bench->n_told++;
    return bench->host_answer;
}

static void on_log(void *context, int level, const char *message)
{
    (void)context;
    if (getenv("BENCH_TRACE"))
        fprintf(stderr, "%d %s\n", level, message);
}

/* ---- putting it together ---- */

static int on_workers(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct module *module = context;
    (void)source, (void)fd, (void)events;
    workers_reap(module->workers);
    return 0;
}

static void add_timer(struct module *module, sd_event_source **source,
                      int (*handler)(sd_event_source *, uint64_t, void *))
{
    cr_assert_geq(
        sd_event_add_time(module->event, source, CLOCK_MONOTONIC, UINT64_MAX, 1, handler, module),
        0);
    sd_event_source_set_enabled(*source, SD_EVENT_OFF);
}

static void make_loop(struct module *module)
{
    struct wps_error error;
    cr_assert_eq(workers_new(&module->workers, &error), 0, "%s", error.message);
    cr_assert_geq(sd_event_new(&module->event), 0);
    add_timer(module, &module->settle_timer, lives_on_settle_timer);
    add_timer(module, &module->read_timer, lives_on_read_timer);
    add_timer(module, &module->mark_timer, marks_on_timer);
    add_timer(module, &module->missed_timer, scan_on_missed_timer);
    add_timer(module, &module->scan_timer, intake_on_scan_timer);
    add_timer(module, &module->retry_timer, publish_on_retry_timer);
    add_timer(module, &module->escape_timer, escapees_on_timer);
    cr_assert_geq(sd_event_add_io(module->event, NULL, workers_fd(module->workers), EPOLLIN,
                                  on_workers, module),
                  0);
}

static void make_lists(struct module *module)
{
    registry_init(&module->registry);
    TAILQ_INIT(&module->settling);
    TAILQ_INIT(&module->reading);
    TAILQ_INIT(&module->freed);
    marks_init(&module->marks);
    TAILQ_INIT(&module->unsent);
    LIST_INIT(&module->assignments);
    questions_init(module);
    strangers_init(module);
    scan_init(module);
    wire_out_init(&module->out);
    module->scan_mark = 1;
}

struct bench *bench_new(const char *feed)
{
    struct bench *bench = calloc(1, sizeof *bench);
    cr_assert(bench);
    struct module *module = &bench->module;
    cr_assert_eq(options_read(&module->options, NULL, 0, NULL), 0);
    module->options.settle_ms = 10000;
    module->log_level = WPS_LOG_TRACE;
    module->host = (struct wps_host){.size = sizeof module->host,
                                     .context = bench,
                                     .runtime_dir = "/nowhere",
                                     .log = on_log,
                                     .publish = on_publish};
    make_lists(module);
    make_loop(module);
    module->clock = proc_clock_now();
    module->tracker = fake_tracker_open();
    module->feed = fake_feed_open(feed);
    module->confidence = "high";
    gather_init(&module->gather, GATHER_RATE);
    module->next_scan_ns = module->next_wide_scan_ns =
        UINT64_MAX; /* scans come when a test wants them */
    bench->label = "a test";
    bench->time_ns = boottime_ns();
    return bench;
}

void bench_lets_pass(struct bench *bench)
{
    struct process *process, *next;
    HASH_ITER (by_pid, bench->module.registry.processes, process, next)
        if (process->missed_ns)
            process->missed_ns = 1; /* long ago */
}

void bench_free(struct bench **bench_p)
{
    struct bench *bench = *bench_p;
    struct module *module = &bench->module;
    *bench_p = NULL;
    proc_shut(false);
    cr_assert_eq(workers_destroy(&module->workers, monotonic_ns() + ANSWER_MS * NS_PER_MS), 0);
    bench_check(bench);
    strangers_clear(module);
    lives_clear(module);
    escapees_clear(module);
    marks_clear(&module->marks);
    registry_destroy(&module->registry);
    feed_close(&module->feed);
    tracker_close(&module->tracker);
    sd_event_source_disable_unref(module->settle_timer);
    sd_event_source_disable_unref(module->read_timer);
    sd_event_source_disable_unref(module->mark_timer);
    sd_event_source_disable_unref(module->retry_timer);
    sd_event_source_disable_unref(module->scan_timer);
    sd_event_source_disable_unref(module->escape_timer);
    sd_event_unref(module->event);
    wire_out_destroy(&module->out);
    free_members(bench);
    free(bench->told);
    free(bench);
    proc_take_all();
}

struct block *bench_block(struct bench *bench, const char *id, uint64_t place)
{
    struct module *module = &bench->module;
    struct block *block = registry_add_block(&module->registry, text_of(id));
    cr_assert(block);
    registry_place_block(&module->registry, block, place);
    bench_scope(bench, block, SUBSCOPE_DEFAULT, place + 1);
    snprintf(block->epoch, sizeof block->epoch, "epoch-%s-%zu", id, bench->n_told);
    block->state = BLOCK_LIVE;
    publish_block_added(module, block);
    return block;
}

struct scope *bench_scope(struct bench *bench, struct block *block, const char *name,
                          uint64_t place)
{
    struct scope *scope = registry_add_scope(&bench->module.registry, block, text_of(name), place);
    cr_assert(scope);
    return scope;
}

/* ---- what happens ---- */

void bench_event(struct bench *bench, const struct feed_event *event)
{
    fake_feed_say(bench->module.feed, event);
    intake_drain(&bench->module);
    cr_assert(fake_feed_said(bench->module.feed));
}

void bench_lose(struct bench *bench, unsigned n)
{
    fake_feed_lose(bench->module.feed, n);
}

void bench_drain(struct bench *bench)
{
    intake_drain(&bench->module);
}

static void reap_until(struct bench *bench, unsigned left)
{
    struct workers *workers = bench->module.workers;
    uint64_t deadline = monotonic_ns() + ANSWER_MS * NS_PER_MS;
    while (workers_pending(workers) > left) {
        struct pollfd pollfd = {.fd = workers_fd(workers), .events = POLLIN};
        cr_assert_lt(monotonic_ns(), deadline, "%u answers do not come", workers_pending(workers));
        poll(&pollfd, 1, 100);
        workers_reap(workers);
    }
}

void bench_answer(struct bench *bench)
{
    reap_until(bench, 0);
}

void bench_settle(struct bench *bench)
{
    struct module *module = &bench->module;
    lives_on_settle_timer(module->settle_timer, monotonic_ns() / 1000 + FAR_US, module);
}

void bench_run_late(struct bench *bench)
{
    struct module *module = &bench->module;
    lives_on_read_timer(module->read_timer, monotonic_ns() / 1000 + FAR_US, module);
}

bool bench_run(struct bench *bench, bool (*condition)(struct bench *bench), unsigned ms)
{
    uint64_t deadline = monotonic_ns() + ms * NS_PER_MS;
    while (!condition(bench)) {
        uint64_t now = monotonic_ns();
        if (now >= deadline)
            return false;
        sd_event_run(bench->module.event, (deadline - now) / 1000 + 1);
    }
    return true;
}

struct process *bench_process(struct bench *bench, uint32_t pid)
{
    return registry_process(&bench->module.registry, pid);
}

/* ---- comparing ---- */

static void check_process(const struct bench *bench, const struct process *process)
{
    struct told key = {.pid = process->pid};
    strcpy(key.block, process->block->id);
    const struct member *member = find_member(bench, &key);
    cr_assert(member, "%u of %s is listed and was not added", key.pid, key.block);
    struct process_record record;
    publish_record(process, 0, &record);
    const struct told *seen = &member->record;
    cr_assert_eq(seen->started_at_ms, record.started_at_ms, "start of %u", key.pid);
    cr_assert_eq(seen->parent_pid, record.parent_pid, "parent of %u", key.pid);
    cr_assert_eq(seen->root, record.root, "root of %u", key.pid);
    cr_assert_eq(seen->started, record.started, "started of %u", key.pid);
    cr_assert(text_is(record.scope, seen->scope), "sub-scope of %u", key.pid);
    /* A command that is being read is not told yet. */
    if (process->state == LIFE_LIVE)
        cr_assert(text_is(record.command, seen->command), "command of %u: told '%s', listed '%.*s'",
                  key.pid, seen->command, (int)record.command.size, record.command.at);
}

void bench_check(struct bench *bench)
{
    size_t n_members = 0, n_listed = 0;
    struct block *block, *next;
    if (is_stale(bench))
        return;
    for (const struct member *member = bench->members; member; member = member->next)
        n_members += !member->over;
    HASH_ITER (by_id, bench->module.registry.blocks, block, next) {
        const struct process *process;
        size_t n_told = 0;
        TAILQ_FOREACH (process, &block->processes, in_block)
            if (life_is_told(process->state)) {
                check_process(bench, process);
                n_told++;
            }
        cr_assert_eq(block->n_told, n_told, "block %s counts %u told ones and has %zu", block->id,
                     block->n_told, n_told);
        n_listed += n_told;
    }
    cr_assert_eq(n_members, n_listed, "a reader knows %zu processes, the registry %zu", n_members,
                 n_listed);
}

/* ---- stories ---- */

const char *bench_story(struct bench *bench)
{
    static char story[64 * 1024];
    size_t used = 0;
    story[0] = '\0';
    for (; bench->n_read < bench->n_told && used < sizeof story - 8192; bench->n_read++)
        if (!bench->told[bench->n_read].refused)
            used += told_story(story + used, sizeof story - used, &bench->told[bench->n_read]);
    if (used >= 2)
        story[used - 2] = '\0';
    return story;
}

size_t bench_count(const struct bench *bench, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < bench->n_told; i++)
        n += strcmp(bench->told[i].name, name) == 0;
    return n;
}

const struct told *bench_last(const struct bench *bench, const char *name)
{
    for (size_t i = bench->n_told; i-- > 0;)
        if (strcmp(bench->told[i].name, name) == 0)
            return &bench->told[i];
    cr_assert_fail("no %s was told", name);
    return NULL;
}
