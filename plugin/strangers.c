/* SPDX-License-Identifier: Apache-2.0 */

/* Processes that may have come into a block by themselves. */

#include "plugin/strangers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "plugin/intake.h"
#include "plugin/lives.h"
#include "plugin/scan.h"

enum {
    KEPT_MAX = 16384, /* events of one stranger and its descendants */
    STRANGERS_MAX = 4096,
    KEPT_FIRST = 2, /* room for so many of them at first */
    EARLY_MAX = 16, /* questions about one that is being born */
    ASKED_MAX = 64, /* at the workers at a time; each takes a kilobyte */
    OVER_MS = 1000, /* how often at most a scan stands for those who are too many */
    AGAIN_MS = 500, /* behind a question that could not be answered for now */
};

_Static_assert((int)ASKED_MAX > (int)WORKERS_MAX, "there is work for each worker");

struct stranger {
    UT_hash_handle hh; /* by tag */
    LIST_HEAD(, relative) relatives;
    TAILQ_ENTRY(stranger) in_unasked;
    bool unasked;
    uint32_t pid;
    uint64_t tag;
    struct feed_event *kept;
    size_t n, room;
    bool overflowed;
    bool left; /* its first thread has ended */
    unsigned
        early; /* questions left, where it may be in the root cgroup because it is being born */
    struct facts_list held; /* its own answer, while its parent is asked about */
};

/* One of those that a stranger's answer decides about. */
struct relative {
    UT_hash_handle hh; /* by pid */
    LIST_ENTRY(relative) of_stranger;
    uint32_t pid;
    struct stranger *stranger;
};

static struct stranger *stranger_of(const struct module *module, uint32_t pid)
{
    struct relative *relative;
    HASH_FIND(hh, module->relatives, &pid, sizeof pid, relative);
    return relative ? relative->stranger : NULL;
}

static void add_relative(struct module *module, struct stranger *stranger, uint32_t pid)
{
    struct relative *relative = calloc(1, sizeof *relative);
    if (!relative) {
        module->counters.out_of_memory++;
        stranger->overflowed = true;
        return;
    }
    relative->pid = pid;
    relative->stranger = stranger;
    HASH_ADD(hh, module->relatives, pid, sizeof relative->pid, relative);
    if (!relative->hh.tbl) {
        module->counters.out_of_memory++;
        stranger->overflowed = true;
        free(relative);
        return;
    }
    LIST_INSERT_HEAD(&stranger->relatives, relative, of_stranger);
}

/* Takes it out of the tables; what was kept stays its own. */
static void take_out(struct module *module, struct stranger *stranger)
{
    struct relative *relative;
    while ((relative = LIST_FIRST(&stranger->relatives))) {
        LIST_REMOVE(relative, of_stranger);
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): who is in the list is in the table
        HASH_DEL(module->relatives, relative);
        free(relative);
    }
    HASH_DEL(module->strangers, stranger);
    if (stranger->unasked)
        TAILQ_REMOVE(&module->unasked_strangers, stranger, in_unasked);
    stranger->unasked = false;
}

static void free_stranger(struct stranger *stranger)
{
    facts_list_clear(&stranger->held);
    free(stranger->kept);
    free(stranger);
}

/* A scan finds those of them who are members. */
static void be_too_many(struct module *module)
{
    uint64_t soon = monotonic_ns() + OVER_MS * NS_PER_MS;
    module->counters.limits_hit++;
    if (soon < module->next_wide_scan_ns)
        module->next_wide_scan_ns = soon;
}

static struct stranger *make(struct module *module, uint32_t pid)
{
    if (HASH_COUNT(module->strangers) >= STRANGERS_MAX) {
        be_too_many(module);
        return NULL;
    }
    struct stranger *stranger = calloc(1, sizeof *stranger);
    if (!stranger) {
        module->counters.out_of_memory++;
        return NULL;
    }
    stranger->tag = ++module->last_ask;
    stranger->pid = pid;
    HASH_ADD(hh, module->strangers, tag, sizeof stranger->tag, stranger);
    if (!stranger->hh.tbl) {
        module->counters.out_of_memory++;
        free(stranger);
        return NULL;
    }
    if (!stranger_of(module, pid))
        add_relative(module, stranger, pid);
    return stranger;
}

/* What was kept is taken in, behind what is known of it now. */
static void take_in(struct module *module, struct stranger *stranger)
{
    for (size_t i = 0; i < stranger->n; i++)
        lives_take(module, &stranger->kept[i]);
    if (stranger->overflowed)
        scan_all(module);
    free_stranger(stranger);
}

static struct stranger *find(const struct module *module, uint64_t tag)
{
    struct stranger *stranger;
    HASH_FIND(hh, module->strangers, &tag, sizeof tag, stranger);
    return stranger;
}

static void ask_again(struct module *module, struct tracker_op *op, uint32_t pid)
{
    facts_list_clear(&op->facts);
    op->pid = pid;
    tracker_op_submit(module->workers, op);
}

/* Its parent may be a member that nobody knows either, and is to be told first. True: it is asked
 * about now. */
static bool ask_about_parent(struct module *module, struct stranger *stranger,
                             struct tracker_op *op)
{
    const struct process_facts *facts = &op->facts.items[0];
    uint32_t parent = facts->stat.ppid;
    if (stranger->held.n || parent <= 1 || registry_process(&module->registry, parent) ||
        !lives_is_in_block(module, facts->cgroup))
        return false;
    stranger->held = op->facts;
    op->facts = (struct facts_list){0};
    ask_again(module, op, parent);
    return true;
}

static void put(struct module *module, struct stranger *stranger)
{
    stranger->unasked = true;
    TAILQ_INSERT_TAIL(&module->unasked_strangers, stranger, in_unasked);
}

/* What happens meanwhile is still kept. */
static void ask_later(struct module *module, struct stranger *stranger)
{
    facts_list_clear(&stranger->held);
    put(module, stranger);
    module->strangers_due_ns = monotonic_ns() + AGAIN_MS * NS_PER_MS;
}

static void on_answer(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct stranger *stranger = find(module, op->tag);
    if (stranger && op->result == 0 && !module->stopping) {
        if (stranger->early && lives_is_in_root(&op->facts.items[0])) {
            stranger->early--;
            ask_again(module, op, op->pid);
            return;
        }
        if (ask_about_parent(module, stranger, op))
            return;
    }
    if (stranger && wps_error_passes(op->result) && !module->stopping) {
        ask_later(module, stranger);
    } else if (stranger) {
        take_out(module, stranger);
        if (op->result == 0)
            lives_joined(module, &op->facts.items[0]);
        if (stranger->held.n)
            lives_joined(module, &stranger->held.items[0]);
        take_in(module, stranger);
    }
    tracker_op_free(op);
    module->n_strangers_asked--;
    strangers_go_on(module);
}

static void ask(struct module *module, struct stranger *stranger)
{
    struct tracker_op *op = tracker_op_new(module->tracker, TRACKER_FACTS, on_answer, module);
    if (!op) {
        module->counters.out_of_memory++;
        stranger->overflowed = true; /* a scan finds it, if it is a member */
        take_out(module, stranger);
        take_in(module, stranger);
        return;
    }
    op->pid = stranger->pid;
    op->wanted = FACTS_ARGV | FACTS_CGROUP;
    op->tag = stranger->tag;
    module->n_strangers_asked++;
    tracker_op_submit(module->workers, op);
}

/* Nobody can tell any more where it was. Of a zombie the kernel still can. */
static bool is_reaped(const struct stranger *stranger)
{
    return stranger->left && kill((pid_t)stranger->pid, 0) < 0 && errno == ESRCH;
}

void strangers_go_on(struct module *module)
{
    struct stranger *stranger;
    if (module->asks_strangers)
        return; /* what one of them did, taken in, made another: its turn comes in that loop */
    if (!TAILQ_EMPTY(&module->unasked_strangers) && monotonic_ns() < module->strangers_due_ns) {
        intake_scan_again(module, NULL); /* which wakes the loop */
        return;
    }
    module->asks_strangers = true;
    while (module->n_strangers_asked < ASKED_MAX &&
           (stranger = TAILQ_FIRST(&module->unasked_strangers))) {
        TAILQ_REMOVE(&module->unasked_strangers, stranger, in_unasked);
        stranger->unasked = false;
        if (!is_reaped(stranger)) {
            ask(module, stranger);
            continue;
        }
        take_out(module, stranger);
        take_in(module, stranger);
    }
    module->asks_strangers = false;
}

void strangers_init(struct module *module)
{
    TAILQ_INIT(&module->unasked_strangers);
    module->n_strangers_asked = 0;
    module->strangers_due_ns = 0;
    module->asks_strangers = false;
}

void strangers_ask(struct module *module, uint32_t pid, bool born)
{
    struct stranger *stranger = make(module, pid);
    if (!stranger)
        return;
    stranger->early = born ? EARLY_MAX : 0;
    put(module, stranger);
    if (!module->gather.saturated)
        strangers_go_on(module);
}

uint64_t strangers_begin(struct module *module, uint32_t pid)
{
    struct stranger *stranger = make(module, pid);
    return stranger ? stranger->tag : 0;
}

void strangers_end(struct module *module, uint64_t number)
{
    struct stranger *stranger = number ? find(module, number) : NULL;
    if (!stranger)
        return;
    take_out(module, stranger);
    take_in(module, stranger);
}

static bool has_left(const struct stranger *stranger, const struct feed_event *event)
{
    return event->pid == stranger->pid &&
           (event->kind == FEED_EXIT ||
            (event->kind == FEED_THREAD_EXIT && event->tid == event->pid));
}

static void keep(struct module *module, struct stranger *stranger, const struct feed_event *event)
{
    stranger->left |= has_left(stranger, event);
    if (stranger->n == stranger->room) {
        size_t room = stranger->room ? stranger->room * 2 : KEPT_FIRST;
        struct feed_event *kept =
            room > KEPT_MAX ? NULL : realloc(stranger->kept, room * sizeof *kept);
        if (!kept) {
            if (room <= KEPT_MAX)
                module->counters.out_of_memory++;
            stranger->overflowed = true;
            return;
        }
        stranger->kept = kept;
        stranger->room = room;
    }
    stranger->kept[stranger->n] = *event;
    /* Feeds without places tell no texts, which would not live on. */
    stranger->kept[stranger->n].comm = stranger->kept[stranger->n].argv =
        stranger->kept[stranger->n].path = (struct text){NULL, 0};
    stranger->n++;
}

bool strangers_has(const struct module *module, uint32_t pid)
{
    return module->relatives && stranger_of(module, pid);
}

bool strangers_keep(struct module *module, const struct feed_event *event)
{
    if (!module->relatives)
        return false;
    struct stranger *stranger = stranger_of(module, event->pid);
    if (!stranger && event->kind == FEED_FORK && (stranger = stranger_of(module, event->parent)))
        add_relative(module, stranger, event->pid);
    if (!stranger)
        return false;
    keep(module, stranger, event);
    return true;
}

void strangers_clear(struct module *module)
{
    struct stranger *stranger, *next;
    HASH_ITER (hh, module->strangers, stranger, next) {
        take_out(module, stranger);
        free_stranger(stranger);
    }
}
