/* SPDX-License-Identifier: Apache-2.0 */

/* Reading the facts of a process. */

#include "trackers/facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/held.h"

/* A process must not be known by its name alone for ever because it was in the middle of exec, or
 * because its leader left. */
static ssize_t look_closer(char argv[static PROC_ARGV_MAX], uint32_t pid, int directory,
                           bool *ret_cut)
{
    struct proc_stat stat;
    if (proc_stat_read_in(&stat, directory) < 0 || proc_has_ended(&stat) ||
        proc_is_kernel_thread(&stat))
        return 0;
    return stat.state == 'Z' ? proc_argv_read_by_threads(argv, pid, ret_cut)
                             : proc_argv_read_patiently(argv, PROC_ARGV_MAX, pid, ret_cut);
}

static int read_argv(struct process_facts *facts, int directory)
{
    char argv[PROC_ARGV_MAX];
    int read = held_begin(facts->pid);
    if (read < 0)
        return 0; /* it holds up another reader: it is known by its name */
    ssize_t size = proc_argv_read_in(argv, sizeof argv, directory, &facts->argv_cut);
    if (size == 0)
        size = look_closer(argv, facts->pid, directory, &facts->argv_cut);
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

/* True where one of its other threads told. */
static bool read_cgroup_by_threads(char **ret_path, uint32_t pid)
{
    bool told = false;
    _cleanup_closedir_ DIR *threads = proc_threads(pid);
    for (uint32_t tid; !told && (tid = proc_next_thread(threads));)
        told = tid != pid && proc_cgroup_read(ret_path, tid) == 0;
    return told;
}

int facts_place_read(char **ret_path, uint32_t pid)
{
    struct proc_stat stat;
    int r = proc_stat_read(&stat, pid);
    if (r < 0)
        return r;
    if (stat.state == 'Z' && read_cgroup_by_threads(ret_path, pid))
        return 0;
    return proc_cgroup_read(ret_path, pid);
}

static void correct_cgroup(struct process_facts *facts)
{
    char *path;
    if (facts->stat.state != 'Z' || !read_cgroup_by_threads(&path, facts->pid))
        return;
    free(facts->cgroup);
    facts->cgroup = path;
}

/* The stat is read last: its name is of the same program as the argv, or of a newer one, and that
 * it can be read shows that all of it was the same process. */
static int read_in(struct process_facts *facts, int directory, unsigned wanted)
{
    int r = wanted & FACTS_ARGV ? read_argv(facts, directory) : 0;
    if (r != -ENOMEM && (wanted & FACTS_CGROUP))
        r = proc_cgroup_read_in(&facts->cgroup, directory);
    if (r == -ENOMEM)
        return r;
    r = proc_stat_read_in(&facts->stat, directory);
    if (r == 0 && (wanted & FACTS_CGROUP))
        correct_cgroup(facts);
    facts->rss_bytes = facts->stat.rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return r;
}

int facts_read(struct process_facts *ret, uint32_t pid, unsigned wanted)
{
    struct process_facts facts = {.pid = pid, .read_ns = boottime_ns()};
    _cleanup_close_ int directory = proc_open(pid);
    int r = directory < 0 ? directory : read_in(&facts, directory, wanted);
    if (r < 0) {
        facts_clear(&facts);
        return r;
    }
    *ret = facts;
    return 0;
}

void facts_clear(struct process_facts *facts)
{
    free((char *)facts->argv.at);
    free(facts->cgroup);
    *facts = (struct process_facts){0};
}

/* ---- lists ---- */

enum { BLOCK_BYTES_MAX = 256 * 1024 }; /* so large that malloc gives it back when it is freed */

struct facts_block {
    struct facts_block *next; /* the one before it */
    size_t used, room;
    char bytes[];
};

/* The first is as large as it has to be, as most lists are of one process; each further one is
 * twice as large as the one before. */
static char *room_for(struct facts_list *list, size_t size)
{
    struct facts_block *block = list->blocks;
    if (!block || block->room - block->used < size) {
        size_t room = block ? MIN(block->room * 2, BLOCK_BYTES_MAX) : 0;
        block = malloc(sizeof *block + MAX(room, size));
        if (!block)
            return NULL;
        *block = (struct facts_block){.next = list->blocks, .room = MAX(room, size)};
        list->blocks = block;
    }
    char *bytes = block->bytes + block->used;
    block->used += size;
    return bytes;
}

/* What `facts` holds is where `bytes` are from now on. */
static void move_in(struct process_facts *facts, char *bytes, size_t cgroup_size)
{
    struct text argv = {facts->argv.size ? bytes : NULL, facts->argv.size};
    char *cgroup = cgroup_size ? bytes + argv.size : NULL;
    text_copy(bytes, facts->argv);
    if (cgroup)
        memcpy(cgroup, facts->cgroup, cgroup_size);
    free((char *)facts->argv.at);
    free(facts->cgroup);
    facts->argv = argv;
    facts->cgroup = cgroup;
}

static int make_room(struct facts_list *list)
{
    if (list->n < list->room)
        return 0;
    size_t room = list->room ? list->room * 2 : 1;
    struct process_facts *items = realloc(list->items, room * sizeof *items);
    if (!items)
        return -ENOMEM;
    list->items = items;
    list->room = room;
    return 0;
}

int facts_list_add(struct facts_list *list, struct process_facts *facts)
{
    size_t cgroup_size = facts->cgroup ? strlen(facts->cgroup) + 1 : 0;
    char *bytes = make_room(list) < 0 ? NULL : room_for(list, facts->argv.size + cgroup_size);
    if (!bytes) {
        facts_clear(facts);
        return -ENOMEM;
    }
    move_in(facts, bytes, cgroup_size);
    list->items[list->n++] = *facts;
    *facts = (struct process_facts){0};
    return 0;
}

void facts_list_clear(struct facts_list *list)
{
    for (struct facts_block *block = list->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(list->items);
    *list = (struct facts_list){0};
}
