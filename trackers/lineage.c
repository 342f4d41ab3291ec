/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tracker `lineage`: children of members are members. It has nothing in the kernel to ask, so
 * who is a member is for its owner to remember, who learns it from fork events and tells it here
 * (known.h). What is left for this file is to look: at descendants, by who is whose parent now, and
 * at strays, by the tag PROCTRACK_BLOCK (and PROCTRACK_SCOPE) in their environment.
 *
 * One look reads /proc from end to end and serves all blocks. It is not one moment: who forks and
 * ends while it goes on may be missed, and is found by the next one or by its tag.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/assignable.h"
#include "trackers/look.h"
#include "trackers/probe.h"
#include "trackers/tracker_impl.h"

enum {
    KILL_ROUNDS = 100, /* of a tree that forks faster than it is killed; then the owner goes on */
    KILL_WAIT_MS = 32, /* the longest of the waits for those that are killed to be gone */
};

/* ---- tags ---- */

/* The place that a tag names, of a block that is known: the sub-scope or the nearest above it that
 * there is, else where those are that name none. */
static uint32_t place_named(const struct known *known, struct text block, struct text scope)
{
    uint32_t best = LINEAGE_NOWHERE;
    size_t best_rank = 0;
    for (size_t i = 0; i < known->n_places; i++) {
        const struct known_place *place = &known->places[i];
        if (!text_is(block, place->block))
            continue;
        // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): an array, of one of n_places
        size_t rank = tracker_covers(place->scope, scope) ? 2 + strlen(place->scope)
                                                          : (place->base ? 2u : 1u);
        if (rank > best_rank) {
            best = (uint32_t)i;
            best_rank = rank;
        }
    }
    return best;
}

static uint32_t read_tag(const struct tracker_op *op, const struct lineage_row *row, char *buffer)
{
    struct look_tag tag = look_tag_read(op->tracker, row, buffer);
    return tag.block.at && tag.is_ours ? place_named(op->known, tag.block, tag.scope)
                                       : LINEAGE_NOWHERE;
}

/* Of processes that are no members by descent, and that the kernel lets us read: our own user's, or
 * all as root. It can hang as cmdline can. */
static int read_tags(const struct tracker_op *op, struct look *look)
{
    _cleanup_free_ char *buffer = malloc(PROC_ENVIRON_MAX);
    if (!buffer)
        return -ENOMEM;
    for (size_t i = 0; i < look->n; i++) {
        struct lineage_row *row = &look->rows[i];
        if (row->how == LINEAGE_NOT && !row->barred && !row->tag_void)
            row->tag = read_tag(op, row, buffer);
    }
    return 0;
}

/* One look: members by what is known and by descent, and strays where they are wanted. */
static int look_around(const struct tracker_op *op, const struct known_member *members,
                       size_t n_members, bool strays, struct look *look)
{
    if (!op->known)
        return -EINVAL;
    int r = look_read(look, op->tracker, NULL, NULL);
    if (r < 0)
        return r;
    lineage_find(look->rows, look->n, members, n_members);
    if (!strays)
        return 0;
    r = read_tags(op, look);
    if (r == 0)
        lineage_find_strays(look->rows, look->n);
    return r;
}

/* ---- scan ---- */

/* Its parent is no member of the same block: nobody but its tag tells of it. */
static bool is_stray(const struct tracker_op *op, struct look *look, const struct lineage_row *row)
{
    if (row->how != LINEAGE_BY_TAG)
        return false;
    const struct lineage_row *parent = lineage_row(look->rows, look->n, row->ppid);
    return !parent || parent->place == LINEAGE_NOWHERE ||
           strcmp(op->known->places[parent->place].block, op->known->places[row->place].block) != 0;
}

static int add_facts(struct tracker_op *op, struct look *look, const struct lineage_row *row)
{
    struct process_facts facts;
    int r = facts_read(&facts, row->pid, FACTS_ARGV);
    if (r < 0)
        return r == -ESRCH ? 0 : r;
    if (facts.stat.start_ticks != row->start_ticks) {
        facts_clear(&facts);
        return 0;
    }
    facts.place = row->place;
    facts.by_tag = is_stray(op, look, row);
    return facts_list_add(&op->facts, &facts);
}

static int scan(struct tracker_op *op)
{
    cleanup(look_clear) struct look look = {0};
    int r = look_around(op, op->known->members, op->known->n_members, true, &look);
    for (size_t i = 0; r == 0 && i < look.n; i++)
        if (look.rows[i].place != LINEAGE_NOWHERE)
            r = add_facts(op, &look, &look.rows[i]);
    return r < 0 ? wps_error_system(&op->error, r, "cannot look for members in /proc") : 0;
}

/* ---- kill ---- */

/* What is known while a kill goes on: who was found stays known, so that its children are found
 * though it is gone. */
struct members {
    struct known_member *items;
    size_t n, room;
};

static void cleanup_members(struct members *members)
{
    free(members->items);
}

static int copy_members(struct members *members, const struct known *known)
{
    members->room = known->n_members + 64;
    members->items = malloc(members->room * sizeof *members->items);
    if (!members->items)
        return -ENOMEM;
    memcpy(members->items, known->members, known->n_members * sizeof *members->items);
    members->n = known->n_members;
    return 0;
}

static int by_pid(const void *a, const void *b)
{
    const struct known_member *x = a, *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* Remembers those that were found. A known one whose pid another has now gives way to it. */
static int remember(struct members *members, const struct look *look)
{
    const size_t before = members->n;
    for (size_t i = 0; i < look->n; i++) {
        const struct lineage_row *row = &look->rows[i];
        if (row->how != LINEAGE_BY_PARENT && row->how != LINEAGE_BY_TAG)
            continue;
        const struct known_member found = {
            .pid = row->pid, .start_ticks = row->start_ticks, .place = row->place};
        struct known_member *older =
            (struct known_member *)known_member(members->items, before, row->pid);
        if (older) {
            *older = found;
            continue;
        }
        if (members->n == members->room) {
            size_t room = members->room * 2;
            struct known_member *items = realloc(members->items, room * sizeof *items);
            if (!items)
                return -ENOMEM;
            members->items = items;
            members->room = room;
        }
        members->items[members->n++] = found;
    }
    if (members->n > before)
        qsort(members->items, members->n, sizeof *members->items, by_pid);
    return 0;
}

static bool is_meant(const struct tracker_op *op, const struct lineage_row *row)
{
    if (row->place == LINEAGE_NOWHERE)
        return false;
    const struct known_place *place = &op->known->places[row->place];
    return strcmp(place->block, op->block) == 0 && tracker_covers(op->scope, text_of(place->scope));
}

/* The descriptor is taken first, then what it stands for is looked at, so that nobody else is
 * signalled. Who may not be signalled (a program of another user's) stays, and is counted as left.
 */
static void kill_one(const struct lineage_row *row)
{
    struct proc_stat stat;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, row->pid, 0);
    if (pidfd >= 0 && proc_stat_read(&stat, row->pid) == 0 && stat.start_ticks == row->start_ticks)
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

/* Returns how many there were; `*ret_new` of them were not known before. */
static size_t kill_round(const struct tracker_op *op, const struct look *look, size_t *ret_new)
{
    size_t n = 0;
    *ret_new = 0;
    for (size_t i = 0; i < look->n; i++) {
        const struct lineage_row *row = &look->rows[i];
        if (!is_meant(op, row))
            continue;
        kill_one(row);
        *ret_new += row->how != LINEAGE_KNOWN;
        n++;
    }
    return n;
}

/* Rounds until one finds nothing new; with strays also a while for them to be gone. Who is not by
 * then (in state D, say) is the owner's to wait for. */
static int kill_rounds(struct tracker_op *op, struct members *members)
{
    int wait_ms = 1;
    for (int round = 0; round < KILL_ROUNDS && wait_ms <= KILL_WAIT_MS; round++) {
        cleanup(look_clear) struct look look = {0};
        size_t n_new;
        int r = look_around(op, members->items, members->n, op->strays, &look);
        if (r < 0)
            return r;
        op->left = kill_round(op, &look, &n_new);
        r = remember(members, &look);
        if (r < 0)
            return r;
        if (n_new > 0)
            continue;
        if (op->left == 0 || !op->strays)
            return 0;
        poll(NULL, 0, wait_ms);
        wait_ms *= 2;
    }
    return 0;
}

static int kill_all(struct tracker_op *op)
{
    cleanup(cleanup_members) struct members members = {0};
    int r = copy_members(&members, op->known);
    r = r < 0 ? r : kill_rounds(op, &members);
    return r < 0
               ? wps_error_system(&op->error, r, "cannot kill the processes of block %s", op->block)
               : 0;
}

/* ---- signal ---- */

/* As in a kill: the descriptor first, then a look at what it stands for. */
static int signal_one(struct tracker_op *op, const struct lineage_row *row)
{
    struct proc_stat stat;
    if (tracker_has_pid(op, row->pid))
        return 0;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, row->pid, 0);
    if (pidfd < 0 || proc_stat_read(&stat, row->pid) < 0 || stat.start_ticks != row->start_ticks ||
        syscall(SYS_pidfd_send_signal, pidfd, op->signal, NULL, 0) < 0)
        return 0;
    return tracker_add_pid(op, row->pid);
}

/* Rounds until one finds nobody new: who is born of members meanwhile is one too. */
static int signal_rounds(struct tracker_op *op, struct members *members)
{
    for (int round = 0; round < KILL_ROUNDS; round++) {
        cleanup(look_clear) struct look look = {0};
        size_t before = op->n_pids;
        int r = look_around(op, members->items, members->n, false, &look);
        for (size_t i = 0; r == 0 && i < look.n; i++)
            if (is_meant(op, &look.rows[i]))
                r = signal_one(op, &look.rows[i]);
        r = r < 0 ? r : remember(members, &look);
        if (r < 0 || op->n_pids == before)
            return r;
    }
    return 0;
}

static int signal_all(struct tracker_op *op)
{
    cleanup(cleanup_members) struct members members = {0};
    int r = copy_members(&members, op->known);
    r = r < 0 ? r : signal_rounds(op, &members);
    return r < 0 ? wps_error_system(&op->error, r, "cannot signal the processes of block %s",
                                    op->block)
                 : 0;
}

/* ---- assign ---- */

/* Nobody is moved: the owner remembers who came back. */
static int assign(struct tracker_op *op)
{
    struct process_facts facts;
    _cleanup_free_ uint32_t *pids = NULL;
    size_t n = 0;
    int r = assignable_check(op->tracker, op->pid, op->start_ticks, op->client_uid, &op->error);
    if (r < 0)
        return r;
    r = facts_read(&facts, op->pid, FACTS_ARGV);
    if (r < 0)
        return wps_error_system(&op->error, r, "data.pid: cannot read process %u", op->pid);
    facts.moved = true;
    r = facts_list_add(&op->facts, &facts);
    r = r < 0 ? r : assignable_descendants(op->tracker, op->pid, &pids, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = facts_read(&facts, pids[i], FACTS_ARGV);
        if (r == -ESRCH) {
            r = 0;
            continue;
        }
        facts.moved = r == 0;
        if (r == 0 && proc_has_ended(&facts.stat))
            facts_clear(&facts);
        else if (r == 0)
            r = facts_list_add(&op->facts, &facts);
    }
    return r < 0 ? wps_error_system(&op->error, r, "cannot read the descendants of process %u",
                                    op->pid)
                 : 0;
}

static int lineage_run(struct tracker *tracker, struct tracker_op *op)
{
    (void)tracker;
    switch (op->kind) {
    case TRACKER_ASSIGN:
        return assign(op);
    case TRACKER_SCAN:
        return scan(op);
    case TRACKER_KILL:
        return kill_all(op);
    case TRACKER_SIGNAL:
        return signal_all(op);
    case TRACKER_FREEZE:
    case TRACKER_THAW:
        return wps_error_set(&op->error, -ENOTSUP,
                             "freezing needs the tracker cgroup, and this is lineage");
    case TRACKER_WATCH:  /* its owner knows who is left */
    case TRACKER_CREATE: /* blocks and sub-scopes are the owner's alone */
    case TRACKER_REMOVE:
    case TRACKER_LIST: /* and gone with it */
    case TRACKER_FACTS:
        return 0;
    }
    return -ENOTSUP;
}

/* ---- opening ---- */

/* As every member is ended: through a descriptor that is opened by its number. */
static int end_by_number(uint32_t pid, struct wps_error *error)
{
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return wps_error_system(error, -errno,
                                "cannot open a pidfd, and without one nobody can be ended for "
                                "certain (Linux 5.3 and later can; a seccomp filter may refuse "
                                "pidfd_open)");
    if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
        return wps_error_system(error, -errno,
                                "cannot signal through a pidfd (Linux 5.1 and later can)");
    return 0;
}

/* A child is seen in /proc, found as our child, and ended through a descriptor. */
static int try_child(struct wps_error *error)
{
    struct probe probe = {0};
    struct proc_stat stat;
    int r = probe_start(&probe, -1, NULL, error);
    if (r < 0)
        return r;
    r = proc_stat_read(&stat, (uint32_t)probe.pid);
    if (r < 0)
        wps_error_system(error, r, "cannot read a trial child in /proc");
    else if (stat.ppid != (uint32_t)getpid())
        r = wps_error_set(error, -EBADMSG, "/proc does not tell our child's parent right");
    r = r < 0 ? r : end_by_number((uint32_t)probe.pid, error);
    int status = 0;
    if (r == 0)
        while (waitpid(probe.pid, &status, __WALL | WNOHANG) == 0)
            poll(&(struct pollfd){.fd = probe.pidfd, .events = POLLIN}, 1, 1000);
    if (r < 0) {
        probe_end(&probe);
        return r;
    }
    close(probe.go);
    close(probe.pidfd);
    if (!WIFSIGNALED(status))
        return wps_error_set(error, -EBADMSG, "a trial child was not ended by its signal");
    return 0;
}

static void lineage_close(struct tracker *tracker)
{
    free(tracker);
}

static int lineage_open(const struct tracker_options *options, struct tracker **ret,
                        struct wps_error *error)
{
    (void)options;
    int r = try_child(error);
    if (r < 0)
        return r;
    struct tracker *tracker = calloc(1, sizeof *tracker);
    if (!tracker)
        return wps_error_set(error, -ENOMEM, "out of memory");
    tracker->class = &tracker_lineage;
    tracker->root_fd = -1;
    *ret = tracker;
    return 0;
}

const struct tracker_class tracker_lineage = {
    .name = "lineage",
    .traits = TRACKER_TRACKS,
    .open = lineage_open,
    .close = lineage_close,
    .run = lineage_run,
};
