/* SPDX-License-Identifier: Apache-2.0 */

/* Reads that hang. */

#include "trackers/held.h"

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trackers/procfs.h"

static struct read {
    uint32_t pid; /* 0: free */
    uint32_t tid; /* who reads */
    uint64_t since_ns;
} reads[HELD_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool hangs(const struct read *read, uint64_t now_ns)
{
    return now_ns - read->since_ns > HELD_MS * UINT64_C(1000000) && !proc_is_runnable(read->tid);
}

/* A free place; -EBUSY: none, or the process holds up another reader. */
static int find_place(uint32_t pid, uint64_t now_ns)
{
    int place = -EBUSY;
    for (int i = 0; i < HELD_MAX; i++) {
        if (reads[i].pid == pid && hangs(&reads[i], now_ns))
            return -EBUSY;
        if (reads[i].pid == 0)
            place = i;
    }
    return place;
}

int held_begin(uint32_t pid)
{
    uint64_t now_ns = boottime_ns();
    pthread_mutex_lock(&lock);
    int place = find_place(pid, now_ns);
    if (place >= 0)
        reads[place] = (struct read){pid, (uint32_t)syscall(SYS_gettid), now_ns};
    pthread_mutex_unlock(&lock);
    return place;
}

bool held_hangs(uint32_t tid)
{
    uint64_t now_ns = boottime_ns();
    bool any = false;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < HELD_MAX; i++)
        any |= reads[i].pid && reads[i].tid == tid && hangs(&reads[i], now_ns);
    pthread_mutex_unlock(&lock);
    return any;
}

void held_end(int number)
{
    pthread_mutex_lock(&lock);
    reads[number].pid = 0;
    pthread_mutex_unlock(&lock);
}
