/* SPDX-License-Identifier: Apache-2.0 */

/* Reading the facts of a process. */

#include "trackers/facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trackers/held.h"

/* A process must not be known by its name alone for ever because it was in the middle of exec, or
 * because its leader left. */
static ssize_t find_argv(struct process_facts *facts, char argv[static PROC_ARGV_MAX])
{
    bool has_ended = proc_has_ended(&facts->stat), is_zombie = facts->stat.state == 'Z';
    if (!has_ended && !is_zombie && !proc_is_kernel_thread(&facts->stat))
        return proc_argv_read_patiently(argv, PROC_ARGV_MAX, facts->pid, &facts->argv_cut);
    ssize_t size = proc_argv_read(argv, PROC_ARGV_MAX, facts->pid, &facts->argv_cut);
    if (size == 0 && is_zombie && !has_ended)
        size = proc_argv_read_by_threads(argv, facts->pid, &facts->argv_cut);
    return size;
}

static int read_argv(struct process_facts *facts)
{
    char argv[PROC_ARGV_MAX];
    int read = held_begin(facts->pid);
    if (read < 0)
        return 0; /* it holds up another reader: it is known by its name */
    ssize_t size = find_argv(facts, argv);
    held_end(read);
    if (size <= 0)
        return (int)size;
    char *copy = malloc((size_t)size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, argv, (size_t)size);
    facts->argv = (struct text){copy, (size_t)size};
    return 0;
}

int facts_read(struct process_facts *ret, uint32_t pid, unsigned wanted)
{
    struct proc_stat again;
    struct process_facts facts = {.pid = pid, .read_ns = boottime_ns()};
    int r = proc_stat_read(&facts.stat, pid);
    if (r < 0)
        return r;
    facts.rss_bytes = facts.stat.rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    if (wanted & FACTS_ARGV)
        r = read_argv(&facts);
    if ((r == 0 || r == -ESRCH) && (wanted & FACTS_CGROUP))
        r = proc_cgroup_read(&facts.cgroup, pid);
    if (r == -ENOMEM) {
        facts_clear(&facts);
        return r;
    }
    /* Another process may have got the pid between two reads. */
    if (proc_stat_read(&again, pid) < 0 || again.start_ticks != facts.stat.start_ticks) {
        facts_clear(&facts);
        return -ESRCH;
    }
    memcpy(facts.stat.comm, again.comm, sizeof again.comm);
    *ret = facts;
    return 0;
}

void facts_clear(struct process_facts *facts)
{
    free((char *)facts->argv.at);
    free(facts->cgroup);
    *facts = (struct process_facts){0};
}

int facts_list_add(struct facts_list *list, struct process_facts *facts)
{
    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 16;
        struct process_facts *items = realloc(list->items, room * sizeof *items);
        if (!items) {
            facts_clear(facts);
            return -ENOMEM;
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->n++] = *facts;
    *facts = (struct process_facts){0};
    return 0;
}

void facts_list_clear(struct facts_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        facts_clear(&list->items[i]);
    free(list->items);
    *list = (struct facts_list){0};
}
