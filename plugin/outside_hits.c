/* SPDX-License-Identifier: Apache-2.0 */

/* Who was sent a signal outside of a block, and whose end is counted. */

#include "plugin/outside_hits.h"

#include <errno.h>
#include <stdlib.h>

#include "plugin/lives.h"
#include "trackers/procfs.h"

enum { HITS_MAX = 65536 }; /* that are counted */

struct counted_end {
    UT_hash_handle hh; /* by pid */
    uint32_t pid;
    uint64_t start_ticks;
};

/* ---- ends that were counted ---- */

static bool is_counted(const struct outside_hits *hits, uint32_t pid, uint64_t start_ticks)
{
    const struct counted_end *end;
    HASH_FIND(hh, hits->counted, &pid, sizeof pid, end);
    return end && end->start_ticks == start_ticks;
}

static struct counted_end *add_counted(struct outside_hits *hits, uint32_t pid)
{
    struct counted_end *end = calloc(1, sizeof *end);
    if (!end)
        return NULL;
    end->pid = pid;
    HASH_ADD(hh, hits->counted, pid, sizeof end->pid, end);
    if (end->hh.tbl)
        return end;
    free(end);
    return NULL;
}

static void note_counted(struct outside_hits *hits, struct module *module, uint32_t pid,
                         uint64_t start_ticks)
{
    struct counted_end *end;
    HASH_FIND(hh, hits->counted, &pid, sizeof pid, end);
    if (!end)
        end = add_counted(hits, pid);
    if (end)
        end->start_ticks = start_ticks;
    else
        module->counters.out_of_memory++;
}

void outside_hits_clear(struct outside_hits *hits)
{
    struct counted_end *end, *next;
    HASH_ITER (hh, hits->counted, end, next) {
        HASH_DEL(hits->counted, end);
        free(end);
    }
    free(hits->lives);
    *hits = (struct outside_hits){0};
}

/* ---- looks ---- */

static void count_gone(struct outside_hits *hits, struct module *module,
                       const struct outside_found *found, size_t n_found, bool kills)
{
    size_t left = 0;
    for (size_t i = 0; i < hits->n; i++) {
        const struct outside_life hit = hits->lives[i];
        if (outside_found_has(found, n_found, hit.pid, hit.start_ticks)) {
            hits->lives[left++] = hit;
        } else if (!lives_is_member(module, hit.pid, hit.start_ticks)) { /* nor put into a block */
            *(kills ? &hits->killed : &hits->exited) += 1;
            note_counted(hits, module, hit.pid, hit.start_ticks);
        }
    }
    hits->n = left;
}

static bool add(struct outside_hits *hits, struct module *module, const struct outside_found *found,
                size_t n_found)
{
    const size_t before = hits->n;
    struct outside_life *lives = realloc(hits->lives, (before + n_found + 1) * sizeof *lives);
    if (!lives) {
        module->counters.out_of_memory++;
        return true;
    }
    hits->lives = lives;
    for (size_t i = 0; i < n_found && hits->n < HITS_MAX; i++) {
        const struct process_facts *facts = &found[i].facts;
        const struct outside_life life = {facts->pid, facts->stat.start_ticks};
        if (found[i].signalled == 1 && !outside_has(lives, before, life.pid, life.start_ticks) &&
            !is_counted(hits, life.pid, life.start_ticks))
            lives[hits->n++] = life;
    }
    bool added = hits->n > before;
    outside_sort(lives, hits->n);
    return added;
}

bool outside_hits_look(struct outside_hits *hits, struct module *module,
                       const struct outside_found *found, size_t n_found, bool kills)
{
    count_gone(hits, module, found, n_found, kills);
    return add(hits, module, found, n_found);
}

bool outside_hits_take_end(struct outside_hits *hits, struct module *module, uint32_t pid,
                           uint64_t start_ticks)
{
    if (outside_has(hits->lives, hits->n, pid, start_ticks) || is_counted(hits, pid, start_ticks))
        return true;
    note_counted(hits, module, pid, start_ticks);
    return false;
}

/* ---- counts ---- */

static bool is_gone(const struct outside_life *life)
{
    struct proc_stat stat;
    int r = proc_stat_read(&stat, life->pid);
    if (r < 0)
        return r == -ESRCH; /* one that cannot be read now has not ended for that */
    return stat.start_ticks != life->start_ticks || proc_has_ended(&stat);
}

void outside_hits_count(const struct outside_hits *hits, bool kills, uint64_t *exited,
                        uint64_t *killed)
{
    uint64_t *now = kills ? killed : exited;
    *exited += hits->exited;
    *killed += hits->killed;
    for (size_t i = 0; i < hits->n && i < OUTSIDE_TOLD_MAX; i++)
        *now += is_gone(&hits->lives[i]);
}
