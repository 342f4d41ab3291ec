/* SPDX-License-Identifier: Apache-2.0 */

/* Processes that left their block alive. */

#include "plugin/escapees.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/lives.h"
#include "plugin/publish.h"

enum {
    WATCHED_MAX = 256, /* of them have a descriptor */
    LOOK_MS = 2000,    /* how often those are looked at that have none */
};

struct escapee {
    UT_hash_handle by_pid;
    TAILQ_ENTRY(escapee) in_block; /* in the order of their leaving */
    struct module *module;
    struct block *block;
    struct scope *scope; /* which it was in */
    uint32_t pid;
    uint64_t start_ticks;
    int pidfd; /* -1: none could be spared */
    sd_event_source *source;
};

/* ---- what its block says ---- */

static bool is_listed(const struct block *block)
{
    return block->state != BLOCK_MAKING && !block->is_gone;
}

static void tell(struct module *module, struct block *block)
{
    if (is_listed(block))
        publish_block_changed(module, block);
}

void escapees_doubt(const struct block *block, char reason[static ESCAPEES_REASON])
{
    const struct escapee *first = TAILQ_FIRST(&block->escapees);
    const struct process *process;
    *reason = '\0';
    if (block->escapees_left_out)
        snprintf(reason, ESCAPEES_REASON,
                 "more processes left it alive than are remembered (%d of all blocks), and may "
                 "run on outside",
                 ESCAPEES_MAX);
    else if (first && block->n_escapees == 1)
        snprintf(reason, ESCAPEES_REASON, "1 process left it and runs on outside, pid %u",
                 first->pid);
    else if (first)
        snprintf(reason, ESCAPEES_REASON,
                 "%u processes left it and run on outside, the first of them pid %u",
                 block->n_escapees, first->pid);
    else if (block->n_strays)
        TAILQ_FOREACH (process, &block->processes, in_block)
            if (process->stray) {
                snprintf(reason, ESCAPEES_REASON,
                         "%u of its members, the first of them pid %u, had left its lineage and "
                         "%s found by PROCTRACK_BLOCK alone",
                         block->n_strays, process->pid, block->n_strays == 1 ? "was" : "were");
                break;
            }
}

void escapees_count_stray(struct module *module, struct block *block, int change)
{
    block->n_strays += (unsigned)change;
    tell(module, block);
}

/* ---- coming and going ---- */

static struct escapee *find(const struct module *module, uint32_t pid)
{
    struct escapee *escapee;
    HASH_FIND(by_pid, module->escapees, &pid, sizeof pid, escapee);
    return escapee;
}

static void forget(struct escapee *escapee)
{
    struct module *module = escapee->module;
    HASH_DELETE(by_pid, module->escapees, escapee);
    TAILQ_REMOVE(&escapee->block->escapees, escapee, in_block);
    escapee->block->n_escapees--;
    sd_event_source_disable_unref(escapee->source);
    if (escapee->pidfd >= 0) {
        close(escapee->pidfd);
        module->escapees_watched--;
    }
    free(escapee);
}

static void end(struct escapee *escapee)
{
    struct module *module = escapee->module;
    struct block *block = escapee->block;
    forget(escapee);
    tell(module, block);
}

static int on_gone(sd_event_source *source, int fd, uint32_t events, void *context)
{
    (void)source, (void)fd, (void)events;
    end(context);
    return 0;
}

/* The last eighth of the descriptors is left to what is open for a moment. The kernel gives the
 * lowest number that is free, so a high one tells how many are in use. */
static bool can_be_spared(int fd)
{
    struct rlimit limit;
    rlim_t n = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
    return n > INT_MAX || (rlim_t)fd < n - n / 8;
}

/* Where that does not work the timer looks at it. */
static void watch(struct escapee *escapee, int *pidfd)
{
    struct module *module = escapee->module;
    if (module->escapees_watched >= WATCHED_MAX || *pidfd < 0 || !can_be_spared(*pidfd) ||
        sd_event_add_io(module->event, &escapee->source, *pidfd, EPOLLIN, on_gone, escapee) < 0)
        return;
    escapee->pidfd = take_fd(pidfd);
    module->escapees_watched++;
}

static void arm(struct module *module)
{
    int enabled = SD_EVENT_OFF;
    sd_event_source_get_enabled(module->escape_timer, &enabled);
    if (enabled != SD_EVENT_OFF || escapees_count(module) == module->escapees_watched)
        return;
    sd_event_source_set_time(module->escape_timer,
                             monotonic_ns() / 1000 + LOOK_MS * UINT64_C(1000));
    sd_event_source_set_enabled(module->escape_timer, SD_EVENT_ONESHOT);
}

static bool is_alive(uint32_t pid, uint64_t start_ticks)
{
    struct proc_stat stat;
    int r = proc_stat_read(&stat, pid);
    if (r < 0)
        return r != -ESRCH; /* one that cannot be read now has not ended for that */
    return !proc_has_ended(&stat) && stat.start_ticks == start_ticks;
}

int escapees_on_timer(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    struct escapee *escapee, *next;
    (void)source, (void)now_us;
    HASH_ITER (by_pid, module->escapees, escapee, next) {
        if (escapee->pidfd >= 0)
            continue;
        _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, escapee->pid, 0);
        if (is_alive(escapee->pid, escapee->start_ticks))
            watch(escapee, &pidfd);
        else
            end(escapee);
    }
    arm(module);
    return 0;
}

static void leave_out(struct module *module, struct block *block)
{
    module->counters.escapees_left_out++;
    if (block->escapees_left_out)
        return;
    block->escapees_left_out = true;
    tell(module, block);
}

static struct escapee *make(struct module *module, const struct process *process)
{
    struct escapee *escapee = calloc(1, sizeof *escapee);
    if (!escapee)
        return NULL;
    *escapee = (struct escapee){
        .module = module,
        .block = process->block,
        .scope = process->scope,
        .pid = process->pid,
        .pidfd = -1,
    };
    HASH_ADD(by_pid, module->escapees, pid, sizeof escapee->pid, escapee);
    if (!escapee->by_pid.tbl) {
        free(escapee);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&process->block->escapees, escapee, in_block);
    process->block->n_escapees++;
    return escapee;
}

void escapees_add(struct module *module, const struct process *process)
{
    struct proc_stat stat;
    /* The descriptor first, then a look at what it stands for. */
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if ((pidfd < 0 && errno == ESRCH) || proc_stat_read(&stat, process->pid) < 0 ||
        proc_has_ended(&stat) || !lives_same(process, stat.start_ticks))
        return; /* it ended since */
    escapees_take_back(module, process->pid);
    struct escapee *escapee = escapees_count(module) < ESCAPEES_MAX ? make(module, process) : NULL;
    if (!escapee) {
        leave_out(module, process->block);
        return;
    }
    escapee->start_ticks = stat.start_ticks;
    watch(escapee, &pidfd);
    arm(module);
    tell(module, process->block);
}

void escapees_take_back(struct module *module, uint32_t pid)
{
    struct escapee *escapee = find(module, pid);
    if (escapee)
        end(escapee);
}

void escapees_forget_block(struct module *module, struct block *block)
{
    struct escapee *escapee;
    (void)module;
    while ((escapee = TAILQ_FIRST(&block->escapees)))
        forget(escapee);
}

int escapees_copy(const struct block *block, struct outside_known **ret, size_t *ret_n)
{
    const struct escapee *escapee;
    struct outside_known *known = calloc(block->n_escapees + 1, sizeof *known);
    size_t n = 0;
    if (!known)
        return -ENOMEM;
    TAILQ_FOREACH (escapee, &block->escapees, in_block) {
        known[n].pid = escapee->pid;
        known[n].start_ticks = escapee->start_ticks;
        strcpy(known[n++].scope, escapee->scope->name);
    }
    *ret = known;
    *ret_n = n;
    return 0;
}

unsigned escapees_count(const struct module *module)
{
    return HASH_CNT(by_pid, module->escapees);
}

void escapees_clear(struct module *module)
{
    struct escapee *escapee, *next;
    HASH_ITER (by_pid, module->escapees, escapee, next)
        forget(escapee);
}
