/* SPDX-License-Identifier: Apache-2.0 */

/* The /proc that tests write. */

#include "test_plugin_proc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { RSS = 1024 * 1024 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static struct fake fakes[PROC_FAKES];
static size_t n_fakes;
static bool is_shut;

static struct fake *find(uint32_t pid)
{
    for (size_t i = 0; i < n_fakes; i++)
        if (fakes[i].pid == pid)
            return &fakes[i];
    return NULL;
}

void proc_put(const struct fake *fake)
{
    pthread_mutex_lock(&mutex);
    struct fake *place = find(fake->pid);
    if (!place && n_fakes == PROC_FAKES)
        abort();
    if (!place)
        place = &fakes[n_fakes++];
    *place = *fake;
    pthread_mutex_unlock(&mutex);
}

void proc_refuse(uint32_t pid, int refusal)
{
    pthread_mutex_lock(&mutex);
    struct fake *place = find(pid);
    if (place)
        place->refusal = refusal;
    pthread_mutex_unlock(&mutex);
}

void proc_take(uint32_t pid)
{
    pthread_mutex_lock(&mutex);
    struct fake *place = find(pid);
    if (place)
        *place = fakes[--n_fakes];
    pthread_mutex_unlock(&mutex);
}

void proc_take_all(void)
{
    pthread_mutex_lock(&mutex);
    n_fakes = 0;
    pthread_mutex_unlock(&mutex);
}

void proc_shut(bool shut)
{
    pthread_mutex_lock(&mutex);
    is_shut = shut;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&mutex);
}

static bool is_below(const char *path, const char *directory)
{
    size_t size = strlen(directory);
    return strncmp(path, directory, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

size_t proc_members(const char *cgroup, uint32_t pids[static PROC_FAKES])
{
    size_t n = 0;
    pthread_mutex_lock(&mutex);
    while (is_shut)
        pthread_cond_wait(&opened, &mutex);
    for (size_t i = 0; i < n_fakes; i++)
        if (is_below(fakes[i].cgroup, cgroup) && (fakes[i].state != 'Z' || fakes[i].threads > 1))
            pids[n++] = fakes[i].pid;
    pthread_mutex_unlock(&mutex);
    qsort(pids, n, sizeof *pids, compare);
    return n;
}

/* ---- in the place of the real ones ---- */

static bool read_fake(struct fake *ret, uint32_t pid, bool waits)
{
    pthread_mutex_lock(&mutex);
    while (waits && is_shut)
        pthread_cond_wait(&opened, &mutex);
    struct fake *fake = find(pid);
    if (fake)
        *ret = *fake;
    pthread_mutex_unlock(&mutex);
    return fake;
}

static struct proc_stat stat_of(const struct fake *fake)
{
    struct proc_stat stat = {
        .pid = fake->pid,
        .state = fake->state == 'E' ? 'R' : fake->state,
        .flags = fake->state == 'E' ? 4 : 0, /* PF_EXITING */
        .ppid = fake->parent,
        .threads = fake->threads,
        .start_ticks = fake->ticks,
    };
    strcpy(stat.comm, fake->comm);
    return stat;
}

int __wrap_proc_stat_read(struct proc_stat *ret, uint32_t pid)
{
    struct fake fake;
    if (pid < PROC_FIRST)
        return __real_proc_stat_read(ret, pid);
    if (!read_fake(&fake, pid, false))
        return -ESRCH;
    *ret = stat_of(&fake);
    return 0;
}

uint64_t __wrap_proc_rss_bytes(uint32_t pid)
{
    struct fake fake;
    if (pid < PROC_FIRST)
        return __real_proc_rss_bytes(pid);
    return read_fake(&fake, pid, false) ? RSS : 0;
}

int __wrap_facts_read(struct process_facts *ret, uint32_t pid, unsigned wanted)
{
    struct fake fake;
    if (pid < PROC_FIRST)
        return __real_facts_read(ret, pid, wanted);
    if (!read_fake(&fake, pid, true))
        return -ESRCH;
    if (fake.refusal < 0)
        return fake.refusal;
    struct process_facts facts = {.pid = pid,
                                  .read_ns = fake.read_ns ? fake.read_ns : boottime_ns(),
                                  .stat = stat_of(&fake),
                                  .rss_bytes = RSS};
    if (wanted & FACTS_ARGV && fake.argv_size && fake.state != 'Z') {
        size_t size = fake.argv_size < PROC_ARGV_MAX ? fake.argv_size : PROC_ARGV_MAX;
        char *argv = malloc(size);
        if (!argv)
            return -ENOMEM;
        memcpy(argv, fake.argv, size);
        facts.argv = (struct text){argv, size};
        facts.argv_cut = size < fake.argv_size;
    }
    if (wanted & FACTS_CGROUP && *fake.cgroup && !(facts.cgroup = strdup(fake.cgroup))) {
        facts_clear(&facts);
        return -ENOMEM;
    }
    *ret = facts;
    return 0;
}
