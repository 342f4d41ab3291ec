/* SPDX-License-Identifier: Apache-2.0 */

/* Searches for what belongs to a block and is not in it: the looks, and what follows from them. */

#include "plugin/outside.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/escapees.h"
#include "plugin/intake.h"
#include "plugin/lives.h"
#include "plugin/outside_hits.h"
#include "plugin/snapshot.h"
#include "trackers/held.h"
#include "trackers/outside.h"

enum {
    AGAIN_MS = 10,      /* until the next look, while somebody is found, at first */
    AGAIN_MAX_MS = 250, /* and in the end */
    LATE_MS = 500,      /* a look that hangs in one read for so long is held up */
    FIRST_MS = 10000,   /* one that no worker has begun by then has to do without */
    LATE_LOOKS_MAX = 3, /* of one search; then what is known has to do */
};

#define NEVER UINT64_MAX

struct outside {
    LIST_ENTRY(outside) all;
    struct module *module;
    char block[BLOCK_ID_MAX + 1];
    char scope[SUBSCOPE_MAX + 1];
    uint64_t life; /* of the block */
    uint32_t client_uid;
    int signal; /* 0: they are only named */
    bool kills;
    void (*news)(struct outside *outside, void *context);
    void *context;

    struct outside_known *known; /* as of the last look, or when the block was freed */
    size_t n_known;
    struct outside_found *found; /* by the last look, by pid */
    size_t n_found;
    struct outside_hits hits;
    struct command **commands; /* that survivors show */
    size_t n_commands;

    bool wants, is_last; /* a look; and that is to be the last one */
    bool begun_last;     /* the one at the workers is */
    bool has_looked, is_over;
    unsigned late; /* looks that were held up */
    unsigned again_ms;
    uint64_t next_ns; /* CLOCK_MONOTONIC of the next look */
};

/* One look at the workers. */
struct pass {
    struct job job;
    struct module *module;
    struct outside_search search;
    struct outside **of; /* whose each wish is; null: ended meanwhile */
    unsigned progress;   /* as it was seen last */
    uint64_t since_ns;   /* since when it is so */
};

/* The module's. */
struct outside_desk {
    LIST_HEAD(, outside) all;
    struct pass *pass; /* null: none is made */
    sd_event_source *timer;
};

static void pump(struct module *module);

/* ---- the timer ---- */

static void arm(struct outside_desk *desk)
{
    const struct outside *outside;
    uint64_t due = desk->pass ? monotonic_ns() + LATE_MS / 2 * NS_PER_MS : NEVER;
    LIST_FOREACH (outside, &desk->all, all)
        if (outside->next_ns < due)
            due = outside->next_ns;
    if (due == NEVER) {
        sd_event_source_set_enabled(desk->timer, SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time(desk->timer, due / 1000 + 1);
    sd_event_source_set_enabled(desk->timer, SD_EVENT_ONESHOT);
}

/* ---- what a look found ---- */

static void free_found(struct outside *outside)
{
    for (size_t i = 0; i < outside->n_found; i++)
        facts_clear(&outside->found[i].facts);
    free(outside->found);
    outside->found = NULL;
    outside->n_found = 0;
}

/* While somebody is there it is looked again: soon, where what is there is new. */
static void plan(struct outside *outside, bool new)
{
    outside->next_ns = NEVER;
    if (!outside->signal || outside->is_over)
        return;
    if (outside->n_found == 0 && !outside->is_last)
        return;
    outside->again_ms = new || outside->again_ms == 0 ? AGAIN_MS : outside->again_ms * 2;
    if (outside->again_ms > AGAIN_MAX_MS)
        outside->again_ms = AGAIN_MAX_MS;
    outside->next_ns = monotonic_ns() + outside->again_ms * NS_PER_MS;
}

static void take(struct outside *outside, struct outside_wish *wish)
{
    free_found(outside);
    outside->found = take_ptr(wish->found);
    outside->n_found = wish->n_found;
    wish->n_found = 0;
    outside->has_looked = true;
    bool new = outside_hits_look(&outside->hits, outside->module, outside->found, outside->n_found,
                                 outside->kills);
    outside->is_over = outside->begun_last && (!outside->signal || outside->n_found == 0);
    plan(outside, new);
}

/* ---- looks ---- */

static void pass_free(struct pass *pass)
{
    outside_clear(&pass->search);
    free(pass->of);
    free(pass);
}

static void on_pass(struct job *job, void *context)
{
    struct pass *pass = (struct pass *)job;
    struct module *module = context;
    struct outside_desk *desk = module->outside;
    if (pass == desk->pass) { /* else it was given up */
        for (size_t i = 0; i < pass->search.n_wishes; i++) {
            struct outside *outside = pass->of[i];
            if (!outside)
                continue;
            if (pass->search.result == 0)
                take(outside, &pass->search.wishes[i]);
            else
                outside->is_over = outside->begun_last;
            outside->news(outside, outside->context);
        }
        desk->pass = NULL;
        pump(module);
    }
    pass_free(pass);
}

static void run_pass(struct job *job)
{
    outside_run(&((struct pass *)job)->search);
}

/* A block that was made anew under that name has its own: nobody is ended for the one before. */
static int signal_of(const struct outside *outside, const struct block *block)
{
    if (block && block->life != outside->life)
        return 0;
    return outside->kills ? SIGKILL : outside->signal;
}

static int refresh(struct outside *outside, const struct block *block)
{
    struct outside_known *known;
    size_t n;
    if (!block || block->life != outside->life)
        return 0;
    int r = escapees_copy(block, &known, &n);
    if (r < 0)
        return r;
    free(outside->known);
    outside->known = known;
    outside->n_known = n;
    return 0;
}

static void *copy(const void *from, size_t n, size_t size)
{
    void *to = malloc((n + 1) * size);
    return to && n ? memcpy(to, from, n * size) : to;
}

static int add_wish(struct pass *pass, struct outside *outside)
{
    struct module *module = outside->module;
    const struct block *block = registry_block(&module->registry, text_of(outside->block));
    struct outside_wish *wish = &pass->search.wishes[pass->search.n_wishes];
    if (refresh(outside, block) < 0)
        return -ENOMEM;
    *wish = (struct outside_wish){.signal = signal_of(outside, block),
                                  .client_uid = outside->client_uid};
    strcpy(wish->block, outside->block);
    strcpy(wish->scope, outside->scope);
    pass->of[pass->search.n_wishes++] = outside;
    wish->known = copy(outside->known, outside->n_known, sizeof *wish->known);
    wish->n_known = wish->known ? outside->n_known : 0;
    if (!wish->known)
        return -ENOMEM;
    if (outside->kills)
        return 0; /* as often as it takes */
    wish->done = copy(outside->hits.lives, outside->hits.n, sizeof *wish->done);
    wish->n_done = wish->done ? outside->hits.n : 0;
    return wish->done ? 0 : -ENOMEM;
}

static size_t count_wanted(const struct outside_desk *desk)
{
    const struct outside *outside;
    size_t n = 0;
    LIST_FOREACH (outside, &desk->all, all)
        n += outside->wants;
    return n;
}

/* Null: out of memory. */
static struct pass *make_pass(struct module *module, size_t n)
{
    struct outside *outside;
    struct pass *pass = calloc(1, sizeof *pass);
    if (!pass)
        return NULL;
    pass->job = (struct job){.run = run_pass, .done = on_pass, .context = module};
    pass->of = calloc(n, sizeof *pass->of);
    pass->search.tracker = module->tracker;
    pass->search.result = -ECANCELED; /* where the module stops before it is run */
    pass->search.wishes = calloc(n, sizeof *pass->search.wishes);
    int r = pass->of && pass->search.wishes ? snapshot_hold(module, &pass->search.known) : -ENOMEM;
    LIST_FOREACH (outside, &module->outside->all, all) {
        r = r < 0 || !outside->wants ? r : add_wish(pass, outside);
        outside->begun_last = outside->wants && outside->is_last;
    }
    if (r == 0)
        return pass;
    pass_free(pass);
    return NULL;
}

/* All that want a look get the next one. */
static void pump(struct module *module)
{
    struct outside_desk *desk = module->outside;
    struct outside *outside;
    size_t n = count_wanted(desk);
    if (!desk->pass && n && !module->stopping && !module->wound_up) {
        desk->pass = make_pass(module, n);
        LIST_FOREACH (outside, &desk->all, all) {
            if (!desk->pass && outside->wants) /* out of memory: later */
                outside->next_ns = monotonic_ns() + AGAIN_MAX_MS * NS_PER_MS;
            outside->wants = false;
        }
        if (desk->pass) {
            desk->pass->since_ns = monotonic_ns();
            module->counters.outside_looks++;
            workers_submit(module->workers, &desk->pass->job);
        } else {
            module->counters.out_of_memory++;
        }
    }
    arm(desk);
}

/* The next look leaves out the process that holds this one up. One too many, and what is known has
 * to do. */
static void give_up_pass(struct module *module)
{
    struct pass *pass = module->outside->pass;
    __atomic_store_n(&pass->search.given_up, true, __ATOMIC_RELEASE);
    module->counters.outside_late++;
    for (size_t i = 0; i < pass->search.n_wishes; i++) {
        struct outside *outside = pass->of[i];
        if (!outside)
            continue;
        outside->wants = ++outside->late < LATE_LOOKS_MAX;
        if (outside->wants)
            continue;
        outside->is_over = outside->begun_last;
        outside->news(outside, outside->context);
    }
    module->outside->pass = NULL;
}

static uint32_t tid_of(const struct pass *pass)
{
    return __atomic_load_n(&pass->search.tid, __ATOMIC_RELAXED);
}

/* Where others hold all processors, a look stands still without a process that cannot be read. */
static bool is_only_slow(const struct pass *pass)
{
    uint32_t tid = tid_of(pass);
    return tid && !held_hangs(tid);
}

static void look_at_pass(struct module *module, uint64_t now)
{
    struct pass *pass = module->outside->pass;
    if (!pass)
        return;
    unsigned progress = __atomic_load_n(&pass->search.progress, __ATOMIC_RELAXED);
    if (progress != pass->progress || is_only_slow(pass)) {
        pass->progress = progress;
        pass->since_ns = now;
    } else if (now - pass->since_ns >= (tid_of(pass) ? LATE_MS : FIRST_MS) * NS_PER_MS) {
        give_up_pass(module);
    }
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    struct outside *outside;
    uint64_t now = monotonic_ns();
    (void)source, (void)now_us;
    intake_drain_and_reap(module);
    look_at_pass(module, now);
    LIST_FOREACH (outside, &module->outside->all, all)
        if (outside->next_ns <= now) {
            outside->next_ns = NEVER;
            outside->wants = true;
        }
    pump(module);
    return 0;
}

/* ---- searches ---- */

static struct outside_desk *desk_of(struct module *module)
{
    struct outside_desk *desk = module->outside;
    if (desk)
        return desk;
    desk = calloc(1, sizeof *desk);
    if (!desk)
        return NULL;
    LIST_INIT(&desk->all);
    if (sd_event_add_time(module->event, &desk->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_timer,
                          module) < 0 ||
        sd_event_source_set_enabled(desk->timer, SD_EVENT_OFF) < 0) {
        sd_event_source_disable_unref(desk->timer);
        free(desk);
        return NULL;
    }
    module->outside = desk;
    return desk;
}

struct outside *outside_begin(struct module *module, const struct block *block, struct text scope,
                              uint32_t client_uid, int signal,
                              void (*news)(struct outside *outside, void *context), void *context)
{
    if (!(tracker_traits(module->tracker) & TRACKER_TRACKS))
        return NULL;
    struct outside_desk *desk = desk_of(module);
    struct outside *outside = desk ? calloc(1, sizeof *outside) : NULL;
    if (!outside) {
        module->counters.out_of_memory++;
        return NULL;
    }
    *outside = (struct outside){
        .module = module,
        .life = block->life,
        .client_uid = client_uid,
        .signal = signal,
        .kills = signal == SIGKILL,
        .news = news,
        .context = context,
        .next_ns = NEVER,
    };
    strcpy(outside->block, block->id);
    text_copy(outside->scope, scope);
    LIST_INSERT_HEAD(&desk->all, outside, all);
    outside->wants = signal != 0;
    pump(module);
    return outside;
}

void outside_kill(struct outside *outside)
{
    if (outside->kills || !outside->signal)
        return;
    outside->kills = true;
    outside->wants = true;
    pump(outside->module);
}

void outside_look(struct outside *outside)
{
    outside->wants = outside->is_last = true;
    outside->is_over = false;
    outside->late = 0;
    pump(outside->module);
}

bool outside_is_over(const struct outside *outside)
{
    return outside->is_over;
}

bool outside_has_looked(const struct outside *outside)
{
    return outside->has_looked;
}

void outside_part(struct outside *outside, const struct block *block)
{
    if (refresh(outside, block) < 0)
        outside->module->counters.out_of_memory++;
}

void outside_count(const struct outside *outside, uint64_t *exited, uint64_t *killed)
{
    outside_hits_count(&outside->hits, outside->kills, exited, killed);
}

bool outside_counts(struct outside *outside, uint32_t pid, uint64_t start_ticks)
{
    return outside->signal &&
           outside_hits_take_end(&outside->hits, outside->module, pid, start_ticks);
}

static void free_commands(struct outside *outside)
{
    for (size_t i = 0; i < outside->n_commands; i++)
        command_release(&outside->commands[i]);
    free(outside->commands);
    outside->commands = NULL;
    outside->n_commands = 0;
}

void outside_end(struct outside **outside_p)
{
    struct outside *outside = take_ptr(*outside_p);
    if (!outside)
        return;
    struct outside_desk *desk = outside->module->outside;
    LIST_REMOVE(outside, all);
    for (size_t i = 0; desk->pass && i < desk->pass->search.n_wishes; i++)
        if (desk->pass->of[i] == outside)
            desk->pass->of[i] = NULL;
    free_commands(outside);
    free_found(outside);
    free(outside->known);
    outside_hits_clear(&outside->hits);
    free(outside);
}

void outside_close(struct module *module)
{
    if (!module->outside)
        return;
    sd_event_source_disable_unref(module->outside->timer);
    free(module->outside);
    module->outside = NULL;
}

/* ---- survivors ---- */

/* One that ended since it was found is none: `state` stays 0. */
static void fill(struct outside *outside, struct survivor *survivor, uint32_t pid,
                 uint64_t start_ticks, const struct process_facts *facts)
{
    struct proc_stat stat;
    if (proc_stat_read(&stat, pid) < 0 || stat.start_ticks != start_ticks || proc_has_ended(&stat))
        return;
    struct command *command =
        command_new(&outside->module->options.mask, facts ? facts->argv : (struct text){NULL, 0},
                    facts && facts->argv_cut, text_of(stat.comm));
    *survivor = (struct survivor){
        .pid = pid,
        .started_at_ms = proc_clock_ms(&outside->module->clock, start_ticks),
        .state = stat.state,
        .command = command ? (struct text){command->text, command->size} : text_of("[unknown]"),
        .escaped = true,
    };
    if (command)
        outside->commands[outside->n_commands++] = command;
}

int outside_add_survivors(struct outside *outside, struct survivor **survivors_p, size_t *n_p)
{
    size_t found = outside->n_found < OUTSIDE_TOLD_MAX ? outside->n_found : OUTSIDE_TOLD_MAX;
    const struct block *block = registry_block(&outside->module->registry, text_of(outside->block));
    int r = refresh(outside, block);
    struct survivor *survivors =
        realloc(*survivors_p, (*n_p + found + outside->n_known + 1) * sizeof *survivors);
    if (survivors)
        *survivors_p = survivors;
    free_commands(outside);
    outside->commands = calloc(found + outside->n_known + 1, sizeof *outside->commands);
    if (r < 0 || !survivors || !outside->commands)
        return -ENOMEM;
    for (size_t i = 0; i < found + outside->n_known; i++) {
        struct survivor *survivor = &survivors[*n_p];
        survivor->state = 0;
        if (i < found) {
            const struct process_facts *facts = &outside->found[i].facts;
            fill(outside, survivor, facts->pid, facts->stat.start_ticks, facts);
        } else {
            const struct outside_known *known = &outside->known[i - found];
            if (!outside_found_has(outside->found, outside->n_found, known->pid,
                                   known->start_ticks) &&
                !lives_is_member(outside->module, known->pid, known->start_ticks) &&
                (!outside->scope[0] ||
                 subscope_covers(text_of(outside->scope), text_of(known->scope))))
                fill(outside, survivor, known->pid, known->start_ticks, NULL);
        }
        *n_p += survivor->state != 0;
    }
    return 0;
}
