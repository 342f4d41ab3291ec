/* SPDX-License-Identifier: Apache-2.0 */

/* Comparing the registry with the kernel. */

#include "plugin/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/intake.h"
#include "plugin/listing.h"
#include "plugin/lives.h"
#include "plugin/publish.h"
#include "plugin/snapshot.h"
#include "plugin/strangers.h"

enum {
    MANY = 256,          /* members: where that many are known, who did not move need not be read */
    TELL_MS = 100,       /* how long the feed may take to tell of an end that a scan saw */
    HELD_UP_MS = 2000,   /* a scan that then hangs in a read is held up by that process */
    REPAIR_S = 60,       /* for so long a loss is looked after */
    AT_WORKERS_MAX = 24, /* scans of blocks; those who hold workers up hold up nobody else */
};

_Static_assert((int)AT_WORKERS_MAX > (int)WORKERS_MAX, "there is work for each worker");

/* ---- what was found ---- */

static int by_start(const void *a, const void *b)
{
    const struct process_facts *x = a, *y = b;
    if (x->stat.start_ticks != y->stat.start_ticks)
        return x->stat.start_ticks < y->stat.start_ticks ? -1 : 1;
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    /* It moved while it was looked: what was seen last counts. */
    return x->read_ns < y->read_ns ? -1 : x->read_ns > y->read_ns;
}

/* Where no place in the kernel tells: a known member stays where it is. */
static struct scope *remembered_scope(struct module *module, const struct tracker_op *op,
                                      const struct process_facts *facts)
{
    const struct process *process = registry_process(&module->registry, facts->pid);
    if (process && lives_same(process, facts->stat.start_ticks))
        return process->scope;
    return snapshot_scope(module, op, facts->place);
}

static struct scope *scope_of(struct module *module, struct block *block,
                              const struct tracker_op *op, const struct process_facts *facts)
{
    if (snapshot_is_needed(module))
        return remembered_scope(module, op, facts);
    char id[TRACKER_BLOCK_MAX + 1], name[TRACKER_SCOPE_MAX + 1];
    if (!facts->cgroup || !tracker_locate(module->tracker, facts->cgroup, id, name))
        return NULL;
    if (strcmp(id, block->id) != 0)
        return NULL; /* it was moved while we looked */
    return registry_scope_for(&module->registry, block, text_of(name));
}

/* Parents before children: within one clock tick, by who is whose parent. */
static void see(struct module *module, struct block *block, const struct tracker_op *op, size_t i)
{
    const struct facts_list *list = &op->facts;
    struct process_facts *facts = &list->items[i];
    if (facts->pid == 0)
        return;
    for (size_t k = i + 1;
         k < list->n && list->items[k].stat.start_ticks == facts->stat.start_ticks; k++)
        if (list->items[k].pid == facts->stat.ppid)
            see(module, block, op, k);
    struct scope *scope = scope_of(module, block, op, facts);
    if (scope)
        lives_seen(module, scope, facts, false, true);
    facts->pid = 0; /* done */
}

/* The pids of a block's members: telling the end of one may take others out of the list. */
static uint32_t *snapshot(struct module *module, const struct block *block, size_t *ret_n)
{
    const struct process *process;
    uint32_t *pids = calloc(block->n_processes + 1, sizeof *pids);
    *ret_n = 0;
    if (!pids) {
        module->counters.out_of_memory++;
        return NULL;
    }
    TAILQ_FOREACH (process, &block->processes, in_block)
        pids[(*ret_n)++] = process->pid;
    return pids;
}

static struct process *member(struct module *module, const struct block *block, uint32_t pid)
{
    struct process *process = registry_process(&module->registry, pid);
    return process && process->block == block ? process : NULL;
}

/* One that cannot be read now has not ended for that, nor one that is only on its way out. */
static bool is_alive(struct module *module, const struct process *process)
{
    struct proc_stat stat;
    int r = proc_stat_read(&stat, process->pid);
    if (r < 0 ? r != -ESRCH : proc_is_exiting(&stat))
        intake_scan_again(module, process->block);
    return r < 0 ? r != -ESRCH : !proc_has_ended(&stat) && lives_same(process, stat.start_ticks);
}

static void look_at_missed(struct module *module)
{
    const struct process *first = TAILQ_FIRST(&module->missed);
    if (!first)
        return;
    sd_event_source_set_time(module->missed_timer,
                             first->missed_ns / 1000 + TELL_MS * UINT64_C(1000) + 1);
    sd_event_source_set_enabled(module->missed_timer, SD_EVENT_ONESHOT);
}

/* A feed that tells of ends only when they are over may be about to tell of this one, and how it
 * ended, or has told and it is kept: it is looked at again a little later. */
static bool may_be_told(struct module *module, struct process *process)
{
    uint64_t now = monotonic_ns();
    if ((feed_traits(module->feed) & (FEED_TELLS_BIRTHS | FEED_TELLS_PLACES)) != FEED_TELLS_BIRTHS)
        return false;
    bool is_late = process->missed_ns != 0 && now - process->missed_ns >= TELL_MS * NS_PER_MS;
    if (is_late && !strangers_has(module, process->pid))
        return false;
    if (process->is_missed)
        return true;
    process->missed_ns = now;
    process->is_missed = true;
    TAILQ_INSERT_TAIL(&module->missed, process, in_missed);
    if (TAILQ_FIRST(&module->missed) == process)
        look_at_missed(module);
    return true;
}

void scan_forget_missed(struct module *module, struct process *process)
{
    if (process->is_missed)
        TAILQ_REMOVE(&module->missed, process, in_missed);
    process->is_missed = false;
}

static void miss(struct module *module, struct process *process)
{
    if (is_alive(module, process)) {
        scan_forget_missed(module, process);
        process->missed_ns = 0;
        /* Nobody leaves a tracker without places by being overlooked. */
        if (!snapshot_is_needed(module))
            lives_check(module, process);
    } else if (!may_be_told(module, process)) {
        lives_missed(module, process);
    }
}

int scan_on_missed_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    struct process *process;
    (void)source, (void)now_us;
    intake_drain_and_reap(module);
    uint64_t now = monotonic_ns();
    while ((process = TAILQ_FIRST(&module->missed)) &&
           process->missed_ns + TELL_MS * NS_PER_MS <= now) { /* or anew: then later than now */
        scan_forget_missed(module, process);
        if (!process->ended_ns)
            miss(module, process);
    }
    look_at_missed(module);
    return 0;
}

/* Members that the scan did not see and that were known before it began. */
static void miss_others(struct module *module, struct block *block, uint64_t began_ns)
{
    size_t n;
    _cleanup_free_ uint32_t *pids = snapshot(module, block, &n);
    for (size_t i = 0; i < n; i++) {
        struct process *process = member(module, block, pids[i]);
        if (process && process->scan_mark != module->scan_mark && process->changed_ns < began_ns &&
            !process->ended_ns)
            miss(module, process);
    }
}

/* The kernel says that nobody is in its block: whoever lives has left it, and where it is now is
 * read by a worker, for that can take long. The others ended. */
static void end_unseen(struct module *module, struct process *process)
{
    if (snapshot_is_needed(module))
        miss(module, process);
    else if (is_alive(module, process))
        lives_check(module, process);
    else
        lives_missed(module, process);
}

void scan_end_all(struct module *module, struct block *block)
{
    size_t n;
    _cleanup_free_ uint32_t *pids = snapshot(module, block, &n);
    for (size_t i = 0; i < n; i++) {
        struct process *process = member(module, block, pids[i]);
        if (process)
            end_unseen(module, process);
    }
}

/* Of those who were found where they are known to be, nothing was read. */
static void see_unmoved(struct module *module, const struct block *block,
                        const struct tracker_op *op)
{
    for (size_t i = 0; i < op->n_pids; i++) {
        struct process *process = member(module, block, op->pids[i]);
        if (process)
            process->scan_mark = module->scan_mark;
    }
}

static bool is_ending_member(const struct module *module, const struct proc_stat *stat)
{
    if (!proc_is_exiting(stat) && !proc_has_ended(stat))
        return false;
    return lives_is_member(module, stat->pid, stat->start_ticks);
}

/* The kernel lists one that ends for a moment longer than its end is told. So the end of a member
 * that was seen on its way out may be what was lost: only a scan that sees no such one has repaired
 * it. One that nobody reaps is on its way for long. */
static void repair_loss(struct module *module, struct block *block, const struct tracker_op *op)
{
    uint64_t *loss_ns = block ? &block->loss_ns : &module->loss_ns;
    bool is_exact = op->n_pids == 0; /* all were read */
    if (*loss_ns == 0 || op->began_ns < *loss_ns)
        return;
    for (size_t i = 0; is_exact && i < op->facts.n; i++)
        is_exact = !is_ending_member(module, &op->facts.items[i].stat);
    if (is_exact || op->began_ns - *loss_ns > REPAIR_S * NS_PER_SECOND)
        *loss_ns = 0;
    else
        intake_scan_again(module, block);
}

void scan_apply(struct module *module, struct block *block, const struct tracker_op *op)
{
    const struct facts_list list = op->facts;
    struct block *next;
    module->counters.scans++;
    if (++module->scan_mark == 0)
        module->scan_mark = 1; /* 0 stands for never */
    if (list.n)
        qsort(list.items, list.n, sizeof *list.items, by_start);
    for (size_t i = 0; i < list.n; i++)
        see(module, block, op, i);
    see_unmoved(module, block, op);
    repair_loss(module, block, op);
    if (!snapshot_is_needed(module)) {
        miss_others(module, block, op->began_ns);
        return;
    }
    HASH_ITER (by_id, module->registry.blocks, block, next)
        miss_others(module, block, op->began_ns);
}

/* ---- asking for it ---- */

static void go_on(struct module *module);
static void scan_whole(struct module *module);

/* `seen`: what it found was taken in. */
static void end_scan_of_all(struct module *module, bool seen)
{
    struct block *block, *next;
    module->scanning = false;
    HASH_ITER (by_id, module->registry.blocks, block, next)
        listing_scanned(module, block, module->scan, seen);
    if (module->scan_again && !module->stopping)
        scan_whole(module);
}

static void fail(struct module *module, struct block *block, const struct tracker_op *op)
{
    module_log(module, WPS_LOG_WARNING, "%s", op->error.message);
    intake_scan_again(module, block);
}

static void on_scan_of_all(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct block *block, *next;
    bool wanted = module->scanning && op->tag == module->scan; /* else it was given up */
    bool seen = op->result == 0;
    if (wanted && seen) {
        scan_apply(module, NULL, op);
        HASH_ITER (by_id, module->registry.blocks, block, next)
            lives_all_found(module, block, op->tag);
    } else if (wanted) {
        fail(module, NULL, op);
    }
    tracker_op_free(op);
    if (wanted)
        end_scan_of_all(module, seen);
}

/* Where one look serves all blocks. */
static void scan_whole(struct module *module)
{
    module->scan_again = module->scanning;
    if (module->scanning || registry_n_blocks(&module->registry) == 0)
        return;
    struct tracker_op *op = tracker_op_new(module->tracker, TRACKER_SCAN, on_scan_of_all, module);
    if (!op || snapshot_give(module, op) < 0) {
        tracker_op_free(op);
        module->counters.out_of_memory++;
        return;
    }
    module->scanning = true;
    module->scan_since_ns = monotonic_ns();
    module->scan_op = op;
    op->tag = ++module->scan;
    tracker_op_submit(module->workers, op);
}

static void end_scan(struct module *module, struct block *block, bool seen)
{
    block->scanning = false;
    TAILQ_REMOVE(&module->scans_running, block, in_scans);
    listing_scanned(module, block, block->scan, seen);
    if (block->scan_again && !module->stopping)
        scan_block(module, block);
}

static void on_scan(struct tracker_op *op, void *context)
{
    struct module *module = context;
    struct block *block = registry_block(&module->registry, text_of(op->block));
    bool wanted = block && block->life == op->life && block->scanning && op->tag == block->scan;
    bool seen = op->result == 0;
    if (wanted && seen) {
        scan_apply(module, block, op);
        lives_all_found(module, block, op->tag);
    } else if (wanted) {
        fail(module, block, op);
    }
    tracker_op_free(op);
    module->n_scans--;
    if (wanted)
        end_scan(module, block, seen);
    go_on(module);
}

static void begin(struct module *module, struct block *block)
{
    struct tracker_op *op = tracker_op_new(module->tracker, TRACKER_SCAN, on_scan, module);
    block->scan++;
    if (!op || (block->scan_for_moves && snapshot_give_block(block, op) < 0)) {
        tracker_op_free(op);
        module->counters.out_of_memory++;
        listing_scanned(module, block, block->scan, false);
        return;
    }
    strcpy(op->block, block->id);
    op->life = block->life;
    op->tag = block->scan;
    block->scanning = true;
    block->scan_since_ns = monotonic_ns();
    block->scan_op = op;
    TAILQ_INSERT_TAIL(&module->scans_running, block, in_scans);
    module->n_scans++;
    tracker_op_submit(module->workers, op);
}

static void stop_waiting(struct module *module, struct block *block)
{
    if (block->scan_waits)
        TAILQ_REMOVE(&module->scans_waiting, block, in_scans);
    block->scan_waits = false;
}

static void go_on(struct module *module)
{
    struct block *block;
    while (module->n_scans < AT_WORKERS_MAX && (block = TAILQ_FIRST(&module->scans_waiting))) {
        stop_waiting(module, block);
        begin(module, block);
    }
}

/* `first`: somebody may wait for it. */
static void scan_one(struct module *module, struct block *block, bool for_moves, bool first)
{
    if (block->state == BLOCK_MAKING || !(tracker_traits(module->tracker) & TRACKER_TRACKS))
        return;
    if (snapshot_is_needed(module)) {
        scan_whole(module);
        return;
    }
    block->scan_again = block->scanning;
    if (block->scanning)
        return;
    block->scan_for_moves = for_moves && (block->scan_for_moves || !block->scan_waits);
    if (block->scan_waits && first)
        stop_waiting(module, block);
    if (!block->scan_waits && first)
        TAILQ_INSERT_HEAD(&module->scans_waiting, block, in_scans);
    else if (!block->scan_waits)
        TAILQ_INSERT_TAIL(&module->scans_waiting, block, in_scans);
    block->scan_waits = true;
    go_on(module);
}

void scan_init(struct module *module)
{
    TAILQ_INIT(&module->scans_waiting);
    TAILQ_INIT(&module->scans_running);
    TAILQ_INIT(&module->missed);
    module->n_scans = 0;
}

void scan_forget(struct module *module, struct block *block)
{
    stop_waiting(module, block);
    if (block->scanning)
        TAILQ_REMOVE(&module->scans_running, block, in_scans);
    block->scanning = false;
}

bool scan_is_coming(const struct module *module, const struct block *block)
{
    return block->scanning || block->scan_waits || module->scanning;
}

void scan_block(struct module *module, struct block *block)
{
    scan_one(module, block, false, true);
}

/* One that a process does not hang has only no processor, or no worker yet: it is given its time
 * once more. */
static bool is_held_up(const struct tracker_op *op, uint64_t *since_ns, uint64_t now)
{
    if (tracker_op_hangs(op))
        return true;
    *since_ns = now;
    return false;
}

/* The next one leaves the process out that holds this one up. */
void scan_give_up_late(struct module *module)
{
    uint64_t now = monotonic_ns(), patience = HELD_UP_MS * NS_PER_MS;
    struct block *block;
    if (module->scanning && module->scan_since_ns + patience < now &&
        is_held_up(module->scan_op, &module->scan_since_ns, now)) {
        module->counters.scans_late++;
        module->scan_again = true;
        end_scan_of_all(module, false);
    }
    /* By that time. One that begins anew, or may go on, is behind all others, and not late. */
    while ((block = TAILQ_FIRST(&module->scans_running)) && block->scan_since_ns + patience < now) {
        if (is_held_up(block->scan_op, &block->scan_since_ns, now)) {
            module->counters.scans_late++;
            block->scan_again = true;
            end_scan(module, block, false);
        } else {
            TAILQ_REMOVE(&module->scans_running, block, in_scans);
            TAILQ_INSERT_TAIL(&module->scans_running, block, in_scans);
        }
    }
}

uint64_t scan_next(const struct module *module, const struct block *block)
{
    return (snapshot_is_needed(module) ? module->scan : block->scan) + 1;
}

/* Nobody is in it by the kernel's own count, and nobody waits for a scan to say so. Somebody else
 * may wait for that count to change, and would not be told of it any more. */
static bool is_vacant(const struct block *block)
{
    return block->n_processes == 0 && !block->partial && !block->watch && block->watch_fd >= 0 &&
           tracker_is_empty(block->watch_fd);
}

void scan_all(struct module *module)
{
    struct block *block, *next;
    if (snapshot_is_needed(module)) {
        scan_whole(module);
        return;
    }
    HASH_ITER (by_id, module->registry.blocks, block, next)
        if (!is_vacant(block))
            scan_one(module, block, false, false);
}

void scan_active(struct module *module)
{
    struct block *block, *next;
    module->any_active = false;
    if (snapshot_is_needed(module)) {
        scan_whole(module);
        return;
    }
    HASH_ITER (by_id, module->registry.blocks, block, next) {
        if (block->active)
            scan_one(module, block, block->n_processes >= MANY && block->loss_ns == 0, false);
        block->active = false;
    }
}

void scan_after_loss(struct module *module, const char *reason, uint64_t lost)
{
    struct block *block, *next;
    uint64_t now = boottime_ns();
    bool is_whole = snapshot_is_needed(module);
    module->loss_ns = is_whole ? now : 0;
    if (is_whole)
        lives_watch_all(module); /* one whose birth was told may have found no room to be watched */
    HASH_ITER (by_id, module->registry.blocks, block, next) {
        if (block->state == BLOCK_MAKING || block->is_gone)
            continue;
        /* One that was told so and of which nothing was told since needs to be scanned alone: many
         * losses in a storm are not many resyncs of every block. */
        if (block->resync_seq == 0 || block->resync_seq != block->seq) {
            module->counters.resyncs++;
            publish_block_resync(module, block, reason, lost);
        }
        block->loss_ns = is_whole ? 0 : now;
        scan_one(module, block, false, false);
    }
}
