/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_FACTS_H
#define TRACKERS_FACTS_H

/* What can be read of one process from outside, in one value that a worker thread sends back. */

#include "base/error.h"
#include "base/text.h"
#include "trackers/procfs.h"

struct process_facts {
    uint32_t pid;
    uint64_t read_ns; /* CLOCK_BOOTTIME before the first read: all of it is newer than this */
    struct proc_stat stat;
    uint64_t rss_bytes;
    struct text argv; /* owned */
    bool argv_cut;
    bool moved;   /* ASSIGN: it was put there just now */
    char *cgroup; /* path in the unified hierarchy, owned; null where it was not asked for */
    /* SCAN of a tracker without places: index into what is known (known.h), and whether nothing but
     * its tag says so. */
    uint32_t place;
    bool by_tag;
};

enum facts_wanted {
    FACTS_ARGV = 1 << 0,
    FACTS_CGROUP = 1 << 1,
};

/* Reads them; can take long: in a worker's thread. One that holds up another reader (held.h) has no
 * argv. A zombie has its stat and nothing else. -ESRCH:
 * it is gone. -ENOMEM. On success the caller owns what they hold. */
int facts_read(struct process_facts *ret, uint32_t pid, unsigned wanted);

/* The cgroup that a process is in: that of its leader, or where this one left, of a thread that
 * runs on. The kernel moves no thread that has ended. As proc_cgroup_read; in a worker's thread. */
int facts_place_read(char **ret_path, uint32_t pid);

/* Frees what they hold. Zeroed ones are fine. */
void facts_clear(struct process_facts *facts);

/* A growing list of them. What they hold lies together, in few large blocks: ten thousand small
 * ones would stay with malloc when they are freed, among what is kept. */
struct facts_list {
    struct process_facts *items; /* own nothing by themselves */
    size_t n, room;
    struct facts_block *blocks;
};

/* Takes what `facts` holds over, also where it fails (-ENOMEM). */
int facts_list_add(struct facts_list *list, struct process_facts *facts);
void facts_list_clear(struct facts_list *list);

#endif
