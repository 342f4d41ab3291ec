/* SPDX-License-Identifier: Apache-2.0 */

/* Blocks on the real kernel for tests. */

#include "test_trackers_blocks.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "trackers/cgroupfs.h"

const char *ground;
struct tracker *tracker;
static struct workers *workers;
static struct odd *odds[16];
static size_t n_odds;

void begin_blocks(void)
{
    struct wps_error error;
    ground = ground_make();
    const struct tracker_options options = {.cgroup_root = ground, .instance = "a test"};
    cr_assert_eq(tracker_open("cgroup", &options, &tracker, &error), 0, "%s", error.message);
    cr_assert_eq(workers_new(&workers, &error), 0, "%s", error.message);
}

void end_blocks(void)
{
    while (n_odds)
        odd_free(&odds[--n_odds]);
    ground_clear();
    if (workers)
        workers_destroy(&workers, UINT64_MAX);
    tracker_close(&tracker);
}

/* ---- operations, by a worker ---- */

static void on_done(struct tracker_op *op, void *context)
{
    *(struct tracker_op **)context = op;
}

struct tracker_op *operate(enum tracker_op_kind kind, const char *block, const char *scope,
                           uint32_t pid, const struct tracker_op *more)
{
    struct tracker_op *done = NULL;
    struct tracker_op *op = tracker_op_new(tracker, kind, on_done, &done);
    cr_assert(op);
    strcpy(op->block, block);
    strcpy(op->scope, scope);
    op->pid = pid;
    if (more) {
        op->start_ticks = more->start_ticks;
        op->client_uid = more->client_uid;
        op->root = more->root;
        op->wants_roots = more->wants_roots;
        op->known = known_hold(more->known);
    }
    tracker_op_submit(workers, op);
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    while (!done) {
        struct pollfd pollfd = {.fd = workers_fd(workers), .events = POLLIN};
        cr_assert_lt(clock_ms(), deadline);
        poll(&pollfd, 1, 100);
        workers_reap(workers);
    }
    return done;
}

int result_of(enum tracker_op_kind kind, const char *block, const char *scope, uint32_t pid)
{
    struct tracker_op *op = operate(kind, block, scope, pid, NULL);
    int r = op->result;
    if (r < 0)
        cr_assert(*op->error.message, "a failure has a sentence");
    tracker_op_free(op);
    return r;
}

void create(const char *block, const char *scope)
{
    cr_assert_eq(result_of(TRACKER_CREATE, block, scope, 0), 0);
}

const char *directory_of(const char *block, const char *scope)
{
    static char path[TRACKER_PATH_MAX];
    cr_assert(tracker_procs_path(tracker, block, scope, path));
    *strrchr(path, '/') = '\0';
    return path;
}

struct odd *keep(struct odd *odd)
{
    return odds[n_odds++] = odd;
}

struct odd *hold_in(const char *block, const char *scope)
{
    struct odd *odd = keep(odd_start(directory_of(block, scope), "hold", NULL));
    odd_told(odd, "ready");
    return odd;
}

bool holds(const struct tracker_op *op, uint32_t pid)
{
    for (size_t i = 0; i < op->facts.n; i++)
        if (op->facts.items[i].pid == pid)
            return true;
    return false;
}

bool is_in(uint32_t pid, const char *block, const char *scope)
{
    char in_block[TRACKER_BLOCK_MAX + 1], in_scope[TRACKER_SCOPE_MAX + 1];
    _cleanup_free_ char *path = NULL;
    return proc_cgroup_read(&path, pid) == 0 && tracker_locate(tracker, path, in_block, in_scope) &&
           strcmp(in_block, block) == 0 && strcmp(in_scope, scope) == 0;
}

/* ---- killing ---- */

/* Waits until nobody is in the block any more. */
static bool is_block_empty(void *block)
{
    char path[TRACKER_PATH_MAX];
    snprintf(path, sizeof path, "%s/b-%s", tracker_root_path(tracker), (const char *)block);
    return cgroupfs_is_empty(path);
}

void kill_until_empty(const char *block)
{
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    while (!is_block_empty((void *)block)) {
        cr_assert_lt(clock_ms(), deadline, "somebody survives in %s", block);
        cr_assert_eq(result_of(TRACKER_KILL, block, "", 0), 0);
    }
}
