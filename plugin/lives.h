/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_LIVES_H
#define PLUGIN_LIVES_H

/*
 * The way of an event into the registry: whose it is, what the life table makes of it, and what is
 * published then. Feeds, scans, timers and answered questions all come through here, so each life
 * is told once and in order, whoever saw it. Called from the loop's thread.
 */

#include "plugin/module.h"

/* One event of the feed. */
void lives_take(struct module *module, const struct feed_event *event);

/* What a scan or an assignment found: the process is a member of the sub-scope. `root` counts where
 * it was not known yet. `by_scan` events say that a scan saw them. */
void lives_seen(struct module *module, struct scope *scope, const struct process_facts *facts,
                bool root, bool by_scan);

/* One that came in by itself, by what was read of it: if it is in a block, it is told. All that
 * happened to it since is taken in afterwards by the caller. */
void lives_joined(struct module *module, const struct process_facts *facts);

/* The path of its cgroup (null: not known) says that a process is in one of our blocks; or that it
 * is in the root cgroup, where a child that is being born is until the very end of fork. */
bool lives_is_in_block(struct module *module, const char *cgroup);
bool lives_is_in_root(const struct process_facts *facts);

/* True where its end was told lately: /proc may show it as alive for a moment longer. */
bool lives_told_dead(const struct module *module, uint32_t pid, uint64_t start_ticks);

/* Somebody asked for it, or for an ancestor of it: it is where it belongs, however it was found. */
void lives_no_stray(struct module *module, struct process *process);

/* A scan did not find it, and it is no more. */
void lives_missed(struct module *module, struct process *process);

/* A scan did not find it, and it lives: a worker looks where it is. It may have changed its
 * sub-scope while the scan walked. */
void lives_check(struct module *module, const struct process *process);

/* It is alive and in its block no more. `where` is the cgroup's path, or empty. `is_owned`: it is
 * in another of our blocks now. */
void lives_left(struct module *module, struct process *process, const char *reason,
                struct text where, bool is_owned);

/* A scan of the block is over: where there was room for all that it found, readers are told so. */
void lives_all_found(struct module *module, struct block *block, uint64_t scan);

/* The feed is a new one: it is told of all members. */
void lives_watch_all(struct module *module);

/* A command named the block: what settles in it is told now. */
void lives_push_block(struct module *module, struct block *block);

/* True where a member's command, asked for by question number `ask` or earlier, is not there yet.
 */
bool lives_is_read(const struct module *module, const struct block *block, uint64_t ask);

/* Timers: of settling, and of questions that were not answered. */
int lives_on_settle_timer(sd_event_source *source, uint64_t now_us, void *module);
int lives_on_read_timer(sd_event_source *source, uint64_t now_us, void *module);

/* Frees what is kept of parents outside: at the end. */
void lives_clear(struct module *module);

/* True where a process with this start is the one that is meant. */
bool lives_same(const struct process *process, uint64_t start_ticks);

/* True where a member has this pid and this start. */
bool lives_is_member(const struct module *module, uint32_t pid, uint64_t start_ticks);

#endif
