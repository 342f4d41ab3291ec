/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_LIVES_IMPL_H
#define PLUGIN_LIVES_IMPL_H

/*
 * What the files behind lives.h share: lives.c takes steps, births.c brings processes in, events.c
 * reads the feed, found.c reads what was found. For them alone.
 */

#include "plugin/lives.h"

/* What came with an input of the life table, as far as it goes. */
struct life_news {
    enum life_input input;
    bool has_argv; /* LIFE_TAKE: what the command is made of; else the name alone */
    bool argv_cut;
    struct text argv, comm;
    uint64_t as_of_ns; /* CLOCK_BOOTTIME: what came is at least as new as this; 0: unknown */
    uint64_t rss_bytes;
    const char *reason; /* LIFE_ESCAPE */
    struct text where;
    bool is_owned; /* LIFE_ESCAPE: it is in another of our blocks now */
    bool by_scan;
};

/* ---- lives.c ---- */

/* Takes one step. Children that wait for this process are told by lives_drive or lives_tell_freed.
 */
void lives_step(struct module *module, struct process *process, const struct life_news *news);
void lives_tell_freed(struct module *module);
/* Both in one. The process may be freed. */
void lives_drive(struct module *module, struct process *process, const struct life_news *news);

/* It has settled, or is made to: it forked, say. A step. */
void lives_settle(struct module *module, struct process *process);

/* Takes it out of the registry. `told`: its `added` was published. */
void lives_forget(struct module *module, struct process *process, bool told);

/* The end of one that is not known, its birth was lost, say: a scan that has seen it alive is not
 * to bring it back, for it is told of before /proc shows it. A feed that knows no starts tells of
 * ends later than that. */
void lives_end_unknown(struct module *module, const struct feed_event *event);

/* lives_told_dead of one whose birth, or first event, is told only now. */
bool lives_is_over(const struct module *module, const struct feed_event *event);

bool lives_knows_command(const struct process *process);
void lives_take_command(struct module *module, struct process *process,
                        const struct life_news *news);
void lives_take_guess(struct module *module, struct process *process, struct text comm);
void lives_decide_started(struct process *process);

bool lives_knows_places(const struct module *module);
void lives_set_timer(sd_event_source *source, uint64_t due_ns);

/* ---- births.c ---- */

/* Parents outside of any block, whose other children may be members (CLONE_PARENT). */
bool lives_is_outsider(const struct module *module, uint32_t pid);
void lives_unset_outsider(struct module *module, const struct process *process);
/* Links a newborn to its parent in the block, or notes the parent outside. */
void lives_set_parent(struct module *module, struct process *process, struct process *parent);

/* Ends a life that is still known under a pid that a new one has. */
void lives_end_older(struct module *module, uint32_t pid);
/* Null: the broker itself, a limit, or out of memory; the latter two are counted. */
struct process *lives_make(struct module *module, struct scope *scope, uint32_t pid,
                           uint64_t start_ticks);
/* A process was forgotten: is there room for those that max-processes left out? */
void lives_take_in_left_out(struct module *module);
struct process *lives_make_from(struct module *module, struct scope *scope,
                                const struct feed_event *event);
struct process *lives_find_parent(struct module *module, const struct block *block, uint32_t parent,
                                  uint32_t creator);
/* The process that an event is about; null: it is not known, or another life had its pid. Where the
 * event does not tell the start, `fork_ns` is the time of a birth, or 0. */
struct process *lives_find(struct module *module, const struct feed_event *event, uint64_t fork_ns);
void lives_take_fork(struct module *module, const struct feed_event *event, struct scope *scope);
/* It came into the block by itself, or was put there. `known`: its command; null: to be read. */
void lives_join(struct module *module, const struct feed_event *event, struct scope *scope,
                struct command *known);

/* ---- found.c ---- */

/* The answer to a question (questions.h), which stays the caller's. */
void lives_answered(struct module *module, const struct tracker_op *op);

#endif
