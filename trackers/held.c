/* SPDX-License-Identifier: Apache-2.0 */

/* Reads that hang. */

#include "trackers/held.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "trackers/procfs.h"

static struct {
    uint32_t pid; /* 0: free */
    uint64_t since_ns;
} reads[HELD_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A free place; -EBUSY: none, or the process holds up another reader. */
static int find_place(uint32_t pid, uint64_t now_ns)
{
    int place = -EBUSY;
    for (int i = 0; i < HELD_MAX; i++) {
        if (reads[i].pid == pid && now_ns - reads[i].since_ns > HELD_MS * UINT64_C(1000000))
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
    if (place >= 0) {
        reads[place].pid = pid;
        reads[place].since_ns = now_ns;
    }
    pthread_mutex_unlock(&lock);
    return place;
}

void held_end(int number)
{
    pthread_mutex_lock(&lock);
    reads[number].pid = 0;
    pthread_mutex_unlock(&lock);
}
