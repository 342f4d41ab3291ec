/* SPDX-License-Identifier: Apache-2.0 */

/* Blocks and processes as they are told, and sums over them that are kept right with each step. */

#include "cli/top/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOTAL_STEP_MS = 1000,
    BLOCK_STEP_MS = 5000,
    FREEZE_MS = 1000, /* what runs may do so a little longer after the answer */
};

/* ---- rates ---------------------------------------------------------------------------------- */

static void count(struct model_rate *rate, int64_t now_ms)
{
    int64_t second = now_ms / 1000;
    if (second != rate->second)
        *rate = (struct model_rate){second, 0, second == rate->second + 1 ? rate->now : 0};
    rate->now++;
}

uint32_t model_rate_of(const struct model_rate *rate, int64_t now_ms)
{
    int64_t second = now_ms / 1000;
    return second == rate->second ? rate->last : second == rate->second + 1 ? rate->now : 0;
}

/* ---- sums ----------------------------------------------------------------------------------- */

uint64_t model_cpu_of(const struct model_block *block)
{
    return block->cpu_living + block->cpu_gone;
}

static void set_rss(struct model *self, struct model_process *process, uint64_t bytes)
{
    self->rss_bytes += bytes - process->rss_bytes;
    process->block->rss_bytes += bytes - process->rss_bytes;
    process->rss_bytes = bytes;
}

static void set_cpu(struct model *self, struct model_process *process, uint32_t cpu)
{
    self->cpu += cpu - (uint64_t)process->cpu;
    process->block->cpu_living += cpu - (uint64_t)process->cpu;
    process->cpu = cpu;
}

static void set_cpu_gone(struct model *self, struct model_block *block, uint64_t cpu)
{
    self->cpu += cpu - block->cpu_gone;
    block->cpu_gone = cpu;
}

static void put_totals(struct model *self)
{
    history_put(&self->processes, self->now_ms, self->known ? self->n_live : HISTORY_UNKNOWN);
    history_put(&self->memory, self->now_ms, self->known ? self->rss_bytes : HISTORY_UNKNOWN);
}

static void note(struct model *self, struct model_block *block)
{
    self->changed = true;
    block->changed = true;
    put_totals(self);
    history_put(&block->history, self->now_ms, block->n_live);
}

/* ---- its life ------------------------------------------------------------------------------- */

int model_init(struct model *self)
{
    *self = (struct model){0};
    if (history_init(&self->processes, MODEL_MINUTES_MS / TOTAL_STEP_MS, TOTAL_STEP_MS) < 0 ||
        history_init(&self->memory, MODEL_MINUTES_MS / TOTAL_STEP_MS, TOTAL_STEP_MS) < 0) {
        model_destroy(self);
        return -ENOMEM;
    }
    return 0;
}

static void free_process(struct model_process *process)
{
    free(process->command);
    free(process->scope);
    free(process->shown);
    free(process);
}

static void free_block(struct model_block *block)
{
    for (size_t i = 0; i < block->n; i++)
        free_process(block->processes[i]);
    history_destroy(&block->history);
    free(block->processes);
    free(block->rows);
    free(block->why);
    free(block);
}

void model_destroy(struct model *self)
{
    struct model_block *block, *next;
    HASH_ITER (hh, self->blocks, block, next) {
        HASH_DEL(self->blocks, block);
        free_block(block);
    }
    history_destroy(&self->processes);
    history_destroy(&self->memory);
    *self = (struct model){0};
}

void model_set_known(struct model *self, bool known)
{
    self->known = known;
    self->changed = true;
    put_totals(self);
}

/* ---- processes ------------------------------------------------------------------------------ */

static int replace(char **string, const char *by)
{
    char *copy = strdup(by ? by : "");
    if (!copy)
        return -ENOMEM;
    free(*string);
    *string = copy;
    return 0;
}

/* Takes over what a record says, but what is sampled. */
static int take(struct model_process *process, const struct proctrack_process *record)
{
    if (!process->command || strcmp(process->command, record->command) != 0) {
        if (replace(&process->command, record->command) < 0)
            return -ENOMEM;
        free(process->shown);
        process->shown = NULL;
    }
    if (replace(&process->scope, record->scope) < 0)
        return -ENOMEM;
    process->root = record->root;
    process->started = record->started;
    process->detail = record->detail;
    return 0;
}

static void flash(struct model *self, struct model_process *process)
{
    process->flash_until_ms = self->flash_until_ms = self->now_ms + MODEL_FLASH_MS;
}

bool model_is_flashing(const struct model *self)
{
    return self->flash_until_ms > self->now_ms;
}

static int make_room(struct model_block *block)
{
    if (block->n < block->room)
        return 0;
    size_t room = block->room ? 2 * block->room : 8;
    void *processes = realloc(block->processes, room * sizeof(*block->processes));
    if (!processes)
        return -ENOMEM;
    block->processes = processes;
    block->room = room;
    return 0;
}

struct model_process *model_add(struct model *self, struct model_block *block,
                                const struct proctrack_process *record, bool news)
{
    struct model_process *process = block ? calloc(1, sizeof *process) : NULL;
    if (!process || make_room(block) < 0 || take(process, record) < 0) {
        if (process)
            free_process(process);
        self->out_of_memory = true;
        return NULL;
    }
    process->block = block;
    process->pid = record->pid;
    process->parent_pid = record->parent_pid;
    process->started_at_ms = record->started_at_ms;
    process->order = self->next_order++;
    process->at = block->n;
    block->processes[block->n++] = process;
    block->n_live++;
    self->n_live++;
    set_rss(self, process, record->rss_bytes);
    if (news) {
        flash(self, process);
        count(&self->births, self->now_ms);
        count(&block->births, self->now_ms);
    }
    note(self, block);
    return process;
}

static void forget(struct model *self, struct model_process *process)
{
    struct model_block *block = process->block;
    struct model_process *last = block->processes[--block->n];
    block->processes[process->at] = last;
    last->at = process->at;
    block->changed = true;
    self->changed = true;
    free_process(process);
}

static void forget_oldest(struct model *self, struct model_block *block)
{
    struct model_process *oldest = block->gone[0];
    memmove(block->gone, block->gone + 1, --block->n_gone * sizeof *block->gone);
    forget(self, oldest);
}

/* Who was not there before this sample brings all its processor time with it. */
static uint64_t cpu_since(const struct model_process *process, uint64_t cpu_ms, uint64_t wall_ms)
{
    const struct model_block *block = process->block;
    if (process->has_cpu)
        return cpu_ms > process->cpu_ms ? cpu_ms - process->cpu_ms : 0;
    uint64_t age = wall_ms > process->started_at_ms ? wall_ms - process->started_at_ms : 0;
    bool is_new =
        block->sampled_before_ms > 0 && age <= block->sampled_at_ms - block->sampled_before_ms;
    return is_new ? cpu_ms : 0;
}

void model_gone(struct model *self, struct model_process *process, const struct proctrack_gone *how)
{
    struct model_block *block = process->block;
    if (how->cpu_ms > process->cpu_ms && (process->has_cpu || block->sampled_at_ms))
        block->gone_cpu_ms += how->cpu_ms - process->cpu_ms;
    set_rss(self, process, 0);
    set_cpu_gone(self, block,
                 block->cpu_gone + process->cpu); /* until the next sample knows better */
    set_cpu(self, process, 0);
    block->n_live--;
    self->n_live--;
    process->detail = NULL;
    process->is_gone = true;
    process->how = how->how;
    process->exit_code = how->exit_code;
    process->signal = how->signal;
    flash(self, process);
    if (how->how == PROCTRACK_GONE_EXITED) {
        count(&self->deaths, self->now_ms);
        count(&block->deaths, self->now_ms);
    }
    note(self, block);
    if (block->n_gone == MODEL_GHOSTS)
        forget_oldest(self, block);
    block->gone[block->n_gone++] = process;
}

/* ---- samples -------------------------------------------------------------------------------- */

static uint32_t rate(uint64_t cpu_ms, uint64_t elapsed_ms)
{
    uint64_t cpu = elapsed_ms ? cpu_ms * MODEL_ONE_CPU / elapsed_ms : 0;
    return cpu > UINT32_MAX ? UINT32_MAX : (uint32_t)cpu;
}

/* The first record of a new sample of a block: what the dead ones used until now is told. */
static void begin_sample(struct model *self, struct model_block *block, uint64_t at_ms)
{
    if (block->sampled_at_ms)
        set_cpu_gone(self, block, rate(block->gone_cpu_ms, at_ms - block->sampled_at_ms));
    block->gone_cpu_ms = 0;
    block->sampled_before_ms = block->sampled_at_ms;
    block->sampled_at_ms = at_ms;
}

static void sample(struct model *self, struct model_process *process,
                   const struct proctrack_process *now)
{
    const struct proctrack_detail *detail = now->detail;
    struct model_block *block = process->block;
    if (!detail)
        return;
    if (detail->sampled_at_ms > block->sampled_at_ms)
        begin_sample(self, block, detail->sampled_at_ms);
    uint64_t since = process->sampled_at_ms ? process->sampled_at_ms : block->sampled_before_ms;
    if (detail->has_cpu) {
        uint64_t used = cpu_since(process, detail->cpu_ms, self->wall_ms);
        set_cpu(self, process, since ? rate(used, detail->sampled_at_ms - since) : 0);
        process->cpu_ms = detail->cpu_ms;
        process->has_cpu = true;
        if (used > 0 && (int64_t)since >= block->frozen_ms + FREEZE_MS)
            block->frozen_ms = 0;
    }
    process->sampled_at_ms = detail->sampled_at_ms;
    process->detail = detail;
}

void model_change(struct model *self, struct model_process *process,
                  const struct proctrack_process *now, unsigned changes)
{
    if (take(process, now) < 0)
        self->out_of_memory = true;
    if (changes & PROCTRACK_CHANGED_DETAIL) {
        sample(self, process, now);
        set_rss(self, process, now->rss_bytes);
    }
    note(self, process->block);
}

/* ---- blocks --------------------------------------------------------------------------------- */

struct model_block *model_find(struct model *self, const char *block_id)
{
    struct model_block *block = NULL;
    HASH_FIND_STR(self->blocks, block_id, block);
    return block;
}

void model_change_block(struct model *self, struct model_block *block,
                        const struct proctrack_block *now)
{
    block->is_sure = strcmp(now->confidence, "high") == 0;
    if (replace(&block->why, now->confidence_reason) < 0)
        self->out_of_memory = true;
    self->changed = true;
}

static void drop_block(struct model *self, struct model_block *block)
{
    free_block(block);
    self->out_of_memory = true;
}

struct model_block *model_add_block(struct model *self, const struct proctrack_block *now)
{
    struct model_block *block = calloc(1, sizeof *block);
    if (!block || strlen(now->block_id) > MODEL_ID_MAX ||
        history_init(&block->history, MODEL_MINUTES_MS / BLOCK_STEP_MS, BLOCK_STEP_MS) < 0) {
        self->out_of_memory = true;
        free(block);
        return NULL;
    }
    strcpy(block->id, now->block_id);
    HASH_ADD_STR(self->blocks, id, block);
    if (!block->hh.tbl) {
        drop_block(self, block);
        return NULL;
    }
    self->n_blocks++;
    model_change_block(self, block, now);
    note(self, block);
    return block;
}

void model_remove_block(struct model *self, struct model_block *block)
{
    set_cpu_gone(self, block, 0);
    for (size_t i = 0; i < block->n; i++) {
        set_rss(self, block->processes[i], 0);
        set_cpu(self, block->processes[i], 0);
    }
    self->n_live -= block->n_live;
    self->n_blocks--;
    note(self, block);
    HASH_DEL(self->blocks, block);
    free_block(block);
}

/* ---- time ----------------------------------------------------------------------------------- */

/* Where nobody is left, no sample will tell that nothing is used any more. */
static void calm(struct model *self, struct model_block *block)
{
    if (block->n_live > 0 || block->cpu_gone + block->gone_cpu_ms == 0 ||
        self->now_ms - (int64_t)block->sampled_at_ms < MODEL_FLASH_MS)
        return;
    begin_sample(self, block, (uint64_t)self->now_ms);
    self->changed = true;
}

void model_tick(struct model *self, int64_t now_ms, uint64_t wall_ms)
{
    struct model_block *block, *next;
    self->now_ms = now_ms;
    self->wall_ms = wall_ms;
    HASH_ITER (hh, self->blocks, block, next) {
        while (block->n_gone > 0 && block->gone[0]->flash_until_ms <= now_ms)
            forget_oldest(self, block);
        calm(self, block);
        history_put(&block->history, now_ms, block->n_live);
    }
    put_totals(self);
}
