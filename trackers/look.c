/* SPDX-License-Identifier: Apache-2.0 */

/* A look at all processes. */

#include "trackers/look.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/held.h"
#include "trackers/procfs.h"
#include "trackers/tracker_impl.h"

#define TAG_BLOCK    "PROCTRACK_BLOCK"
#define TAG_SCOPE    "PROCTRACK_SCOPE"
#define TAG_INSTANCE "WPS_RUNTIME_DIR"

static bool is_left_out(const struct look_without *without, uint32_t pid)
{
    return without && without->n &&
           bsearch(&pid, without->pids, without->n, sizeof pid, proc_by_number);
}

static void add_row(struct look *look, const struct tracker *tracker, uint32_t pid,
                    const struct proc_stat *stat)
{
    look->rows[look->n++] = (struct lineage_row){
        .pid = pid,
        .ppid = stat->ppid,
        .start_ticks = stat->start_ticks,
        .leader_left = stat->state == 'Z',
        .barred = pid <= 1 || tracker_spares(tracker, pid) || proc_is_kernel_thread(stat),
        .tag = LINEAGE_NOWHERE,
    };
}

/* Those above us that were left out: lineage_bar goes up by them. */
static void add_those_above(struct look *look, size_t room, const struct tracker *tracker,
                            const struct look_without *without)
{
    struct proc_stat stat;
    uint32_t pid = (uint32_t)getpid();
    for (size_t i = 0; i < room && pid > 1; i++, pid = stat.ppid) {
        if (proc_stat_read(&stat, pid) < 0)
            return;
        if (look->n < room && is_left_out(without, pid))
            add_row(look, tracker, pid, &stat);
    }
}

int look_read(struct look *ret, const struct tracker *tracker, const struct look_without *without,
              unsigned *progress)
{
    _cleanup_free_ uint32_t *pids = NULL;
    size_t n_pids;
    int r = proc_list(&pids, &n_pids);
    if (r < 0)
        return r;
    struct look look = {.rows = calloc(n_pids + 1, sizeof *look.rows)};
    if (!look.rows)
        return -ENOMEM;
    for (size_t i = 0; i < n_pids; i++) {
        struct proc_stat stat;
        if (is_left_out(without, pids[i]))
            continue;
        if (progress)
            __atomic_add_fetch(progress, 1, __ATOMIC_RELAXED);
        if (proc_stat_read(&stat, pids[i]) == 0 && !proc_has_ended(&stat))
            add_row(&look, tracker, pids[i], &stat);
    }
    if (without)
        add_those_above(&look, n_pids + 1, tracker, without);
    lineage_sort(look.rows, look.n);
    lineage_bar(look.rows, look.n, (uint32_t)getpid());
    *ret = look;
    return 0;
}

void look_clear(struct look *look)
{
    free(look->rows);
    *look = (struct look){0};
}

/* Several brokers may have a block of that name: where the environment says which one it is for,
 * that has to be ours. */
static bool is_ours(const struct tracker *tracker, struct text environment)
{
    struct text instance = proc_environ_value(environment, TAG_INSTANCE);
    while (instance.size > 1 && instance.at[instance.size - 1] == '/')
        instance.size--;
    return !instance.at || text_is(instance, tracker->instance);
}

struct look_tag look_tag_read(const struct tracker *tracker, const struct lineage_row *row,
                              char *buffer)
{
    int read = held_begin(row->pid);
    if (read < 0)
        return (struct look_tag){0};
    ssize_t size = row->leader_left
                       ? proc_environ_read_by_threads(buffer, PROC_ENVIRON_MAX, row->pid)
                       : proc_environ_read(buffer, PROC_ENVIRON_MAX, row->pid);
    held_end(read);
    if (size <= 0)
        return (struct look_tag){0};
    const struct text environment = {buffer, (size_t)size};
    return (struct look_tag){
        .block = proc_environ_value(environment, TAG_BLOCK),
        .scope = proc_environ_value(environment, TAG_SCOPE),
        .is_ours = is_ours(tracker, environment),
    };
}
