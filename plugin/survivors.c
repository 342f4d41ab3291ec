/* SPDX-License-Identifier: Apache-2.0 */

/* Naming survivors. */

#include "plugin/survivors.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "plugin/blocks.h"
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

void survivors_answer(struct module *module, struct block *block, struct ask *ask)
{
    size_t n = 0;
    struct process *process;
    (void)module;
    _cleanup_free_ struct survivor *survivors = calloc(block->n_told + 1, sizeof *survivors);
    if (!survivors) {
        control_refuse(ask, ERRORCODE_INTERNAL, "out of memory");
        return;
    }
    TAILQ_FOREACH (process, &block->processes, in_block)
        if (life_is_told(process->state))
            fill(&survivors[n++], process);
    remove_reply_pack(control_reply(ask), blocks_version(block), false, survivors, n);
    control_send(ask);
}
