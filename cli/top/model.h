/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_MODEL_H
#define CLI_TOP_MODEL_H

/*
 * What `proctrack top` shows: the blocks and their processes, what they use, who was just born, who
 * just died, and how it went in the last minutes.
 *
 * It is told what happens and what time it is, and knows neither a broker nor a terminal. Who died
 * stays for a moment (MODEL_FLASH_MS), so that it can be seen. Processor time of those who died
 * counts for their block, so that a build of a thousand short-lived compilers is seen to be at
 * work.
 *
 * Times are CLOCK_MONOTONIC in milliseconds, and never go back. One thread at a time.
 */

#include <stdbool.h>

#include "cli/top/history.h"
#include "client/mirror.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum {
    MODEL_FLASH_MS = 1200,
    MODEL_GHOSTS = 6, /* dead ones that a block shows at a time; the oldest make room */
    MODEL_MINUTES_MS = 5 * 60 * 1000,
    MODEL_ID_MAX = 128,
};

/* What is used of the processor is in thousandths of one. */
enum { MODEL_ONE_CPU = 1000 };

/* One who is there, or was a moment ago. */
struct model_process {
    struct model_block *block;
    size_t at; /* its place in the block's array */
    uint32_t pid, parent_pid;
    uint64_t started_at_ms; /* since the Unix epoch */
    uint64_t order;         /* in which they became known */
    char *command, *scope;  /* as they came: text of others */
    char *shown;            /* the command made fit for a terminal; null: not yet. The view's */
    bool root, started;
    uint64_t rss_bytes;
    bool has_cpu;
    uint64_t cpu_ms;
    uint32_t cpu;                          /* of late */
    const struct proctrack_detail *detail; /* null: never sampled, or gone */
    uint64_t sampled_at_ms;
    int64_t flash_until_ms; /* birth or death: it is news until then; 0: it never was */
    bool folded;            /* what is below it is not shown */
    bool is_gone;
    enum proctrack_gone_how how;
    int exit_code, signal; /* as in struct proctrack_gone */
};

/* How many there were, in whole seconds. */
struct model_rate {
    int64_t second;
    uint32_t now, last;
};

struct model_block {
    UT_hash_handle hh;
    char id[MODEL_ID_MAX + 1];
    bool is_sure; /* its confidence is "high" */
    char *why;    /* the reason of its confidence; text of others */
    struct model_process **processes;
    size_t n, room;
    size_t n_live;
    struct model_process *gone[MODEL_GHOSTS]; /* in the order of their ends */
    size_t n_gone;                            /* with n_live together n */
    uint64_t rss_bytes;                       /* of the living; and so is the next */
    uint64_t cpu_living, cpu_gone;
    uint64_t gone_cpu_ms;                      /* used by those who died since it was sampled */
    uint64_t sampled_at_ms, sampled_before_ms; /* 0: never */
    struct model_rate births, deaths;
    struct history history; /* of the number of processes */
    bool folded;
    int64_t frozen_ms; /* when we had it frozen, and nothing ran since; 0: not, as far as we know */
    bool changed;      /* who is in it, or how they are sorted */
    int64_t asked_at_ms; /* for a sample. The feed's */
    void *rows;          /* the rows', freed with free(3) */
    size_t n_rows;
};

struct model {
    struct model_block *blocks; /* a hash by id */
    size_t n_blocks, n_live;
    uint64_t rss_bytes, cpu;
    struct model_rate births, deaths;
    struct history processes, memory;
    uint64_t next_order;
    int64_t flash_until_ms; /* the last of all */
    int64_t now_ms;
    uint64_t wall_ms; /* CLOCK_REALTIME now */
    bool known;
    bool changed;       /* something that is shown, since the view cleared it */
    bool out_of_memory; /* something is not shown for want of it */
};

/* -ENOMEM. */
int model_init(struct model *self);
void model_destroy(struct model *self);

/* What time it is, before anything else is told: flashes end, dead ones go, histories go on. */
void model_tick(struct model *self, int64_t now_ms, uint64_t wall_ms);

/* True while somebody's birth or death is news. */
bool model_is_flashing(const struct model *self);

/* What is shown is how it is; false: only how it was, and histories have a gap from here on. At
 * first nothing is known. */
void model_set_known(struct model *self, bool known);

/* What happens, as the calls of a mirror tell it. Strings are copied; `detail` is kept until the
 * process is gone. Null: out of memory; then it is not shown. */
struct model_block *model_add_block(struct model *self, const struct proctrack_block *block);
void model_change_block(struct model *self, struct model_block *block,
                        const struct proctrack_block *now);
void model_remove_block(struct model *self, struct model_block *block);
/* `news`: it was born just now, rather than found in a list. */
struct model_process *model_add(struct model *self, struct model_block *block,
                                const struct proctrack_process *process, bool news);
void model_change(struct model *self, struct model_process *process,
                  const struct proctrack_process *now, unsigned changes);
void model_gone(struct model *self, struct model_process *process,
                const struct proctrack_gone *how);

struct model_block *model_find(struct model *self, const char *block_id);

/* A whole block, in thousandths of a processor. */
uint64_t model_cpu_of(const struct model_block *block);

/* In the last whole second. */
uint32_t model_rate_of(const struct model_rate *rate, int64_t now_ms);

#endif
