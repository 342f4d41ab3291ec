/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ending blocks in rounds: first all of them are killed, then each is given a moment to become
 * empty. Who is left then is killed again, one by one, and waited for longer in the next round. So
 * one that does not end (in state D, say) holds up the others for a moment only.
 */

#include "keeper/end.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "trackers/cgroupfs.h"
#include "trackers/procfs.h"
#include "trackers/tracker.h"

enum {
    PATH_ROOM = 4300,
    ROUND_MS = 8, /* each block in the first round; twice as long in the next */
    ROUND_MAX_MS = 500,
    REMOVE_MS = 50, /* for the kernel to put away who just ended */
};

static uint64_t now_ms(void)
{
    return monotonic_ns() / NS_PER_MS;
}

/* Anybody who may write there can put us into a block: out of it, beside the root. */
static void step_aside(const char *root)
{
    char parent[PATH_ROOM];
    _cleanup_free_ char *own = NULL;
    const char *name = strrchr(root, '/');
    if (!name || name == root || proc_cgroup_read(&own, (uint32_t)getpid()) < 0)
        return;
    const char *at = strstr(own, name);
    if (!at || (at[strlen(name)] != '/' && at[strlen(name)] != '\0'))
        return;
    snprintf(parent, sizeof parent, "%.*s", (int)(name - root), root);
    cgroupfs_move(parent, (uint32_t)getpid());
}

/* Waits until nobody is in it: the kernel tells by POLLPRI. */
static bool becomes_empty(const char *directory, unsigned patience_ms)
{
    char path[PATH_ROOM + 16];
    uint64_t until = now_ms() + patience_ms, now;
    snprintf(path, sizeof path, "%s/cgroup.events", directory);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cgroupfs_is_empty(directory);
    bool empty;
    while (!(empty = tracker_is_empty(fd)) && (now = now_ms()) < until)
        poll(&(struct pollfd){.fd = fd, .events = POLLPRI}, 1, (int)(until - now));
    return empty;
}

static void kill_all(const char *root, const struct kept *kept)
{
    char directory[PATH_ROOM];
    for (const struct kept *one = kept; one; one = one->by_name.next) {
        snprintf(directory, sizeof directory, "%s/%s", root, one->name);
        cgroupfs_kill(directory);
    }
}

void end_blocks(const char *root, struct kept **kept, unsigned patience_ms)
{
    char directory[PATH_ROOM];
    struct kept *one, *next;
    uint64_t until = now_ms() + patience_ms;
    step_aside(root);
    kill_all(root, *kept);
    for (unsigned round_ms = ROUND_MS; *kept;
         round_ms = round_ms * 2 < ROUND_MAX_MS ? round_ms * 2 : ROUND_MAX_MS) {
        HASH_ITER (by_name, *kept, one, next) {
            if (now_ms() >= until)
                return;
            snprintf(directory, sizeof directory, "%s/%s", root, one->name);
            if (!becomes_empty(directory, round_ms)) {
                step_aside(root);
                cgroupfs_kill_each(directory);
            } else if (cgroupfs_remove(directory, REMOVE_MS) == 0) {
                kept_drop(kept, one);
            }
        }
    }
}
