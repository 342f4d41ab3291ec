/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_OUTSIDE_HITS_H
#define PLUGIN_OUTSIDE_HITS_H

/*
 * Those who were sent the signal of a search outside of a block (outside.h), and how many of them
 * are gone. One that becomes a member meanwhile can end before the look that found it is over; each
 * end is counted once all the same, here or by whoever counts those of members.
 *
 * A value, the search's; the loop's thread only. Zeroed it is empty.
 */

#include "plugin/module.h"
#include "trackers/outside.h"

struct counted_end;

struct outside_hits {
    struct outside_life *lives; /* whose ends are not counted yet, by pid */
    size_t n;
    struct counted_end *counted;
    uint64_t exited, killed;
};

/* Frees what it holds. */
void outside_hits_clear(struct outside_hits *hits);

/* A look found these, and no more: who is not among them is gone, or a member now. `kills`: those
 * who are gone were killed. True: somebody has got the signal who had not, or may have (no memory).
 */
bool outside_hits_look(struct outside_hits *hits, struct module *module,
                       const struct outside_found *found, size_t n_found, bool kills);

/* A member has ended. True: it is one of these, and is counted here. False: it is the caller's to
 * count, and is not counted here, though the look that is under way may have found it before. */
bool outside_hits_take_end(struct outside_hits *hits, struct module *module, uint32_t pid,
                           uint64_t start_ticks);

/* Adds how many are gone. Those that ended since the last look are counted too, unless they are
 * very many. */
void outside_hits_count(const struct outside_hits *hits, bool kills, uint64_t *exited,
                        uint64_t *killed);

#endif
