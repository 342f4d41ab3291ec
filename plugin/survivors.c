/* SPDX-License-Identifier: Apache-2.0 */

/* Naming survivors. */

#include "plugin/survivors.h"

#include <errno.h>
#include <stdlib.h>

#include "plugin/lives.h"

static void fill(struct survivor *survivor, const struct process *process)
{
    struct proc_stat stat;
    const struct command *command = process->command;
    *survivor = (struct survivor){
        .pid = process->pid,
        .started_at_ms = process->started_at_ms,
        .command = command ? (struct text){command->text, command->size} : text_of("[unknown]"),
    };
    if (proc_stat_read(&stat, process->pid) == 0 && lives_same(process, stat.start_ticks))
        survivor->state = stat.state;
}

int survivors_find(const struct block *block, struct text scope, struct survivor **ret,
                   size_t *ret_n)
{
    const struct process *process;
    size_t n = 0;
    struct survivor *survivors = calloc(block->n_told + 1, sizeof *survivors);
    if (!survivors)
        return -ENOMEM;
    TAILQ_FOREACH (process, &block->processes, in_block)
        if (life_is_told(process->state) &&
            (!scope.size || subscope_covers(scope, text_of(process->scope->name))))
            fill(&survivors[n++], process);
    *ret = survivors;
    *ret_n = n;
    return 0;
}
