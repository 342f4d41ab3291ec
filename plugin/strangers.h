/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_STRANGERS_H
#define PLUGIN_STRANGERS_H

/*
 * Processes that may have come into a block by themselves, under a feed that knows no places: when
 * one that nobody knows execs, a worker looks where it is. Until the answer is there, what happens
 * to it and to its descendants is kept and taken in afterwards, in order, so that nothing of theirs
 * is missed if they are members; where descriptors or memory are short it is asked again until
 * there is one. While events come at thousands a second it is asked when those that are there are
 * taken in: of one that has ended and was reaped by then nobody can say where it was.
 *
 * So many can be known at a time; when there are more, scans find members among them, for they may
 * be all of a busy machine's processes. Called from the loop's thread.
 */

#include "plugin/module.h"

void strangers_init(struct module *module);

/* Asks where it is. `born`: it was born just now, and is in no cgroup of its own yet for a moment.
 */
void strangers_ask(struct module *module, uint32_t pid, bool born);

/* Events were taken in: those who wait are asked about, as far as there is room. */
void strangers_go_on(struct module *module);

/* The same for one that is being assigned: what happens to it and its descendants is kept from now
 * on, until strangers_end with the number that this returns takes it in. 0: out of memory. */
uint64_t strangers_begin(struct module *module, uint32_t pid);
void strangers_end(struct module *module, uint64_t number);

/* True where what the feed tells of it is kept for now. */
bool strangers_has(const struct module *module, uint32_t pid);

/* True where the event is about one that is being asked about, or a descendant of one: it is kept.
 */
bool strangers_keep(struct module *module, const struct feed_event *event);

/* Forgets all of them; answers that come later are nobody's. */
void strangers_clear(struct module *module);

#endif
