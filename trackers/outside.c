/* SPDX-License-Identifier: Apache-2.0 */

/* Looking for what belongs to a block and is not in it. */

#include "trackers/outside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/look.h"
#include "trackers/procfs.h"
#include "trackers/tracker_impl.h"

#define SCOPE_DEFAULT "main"

/* Where one that is outside belongs: the places that tags name, numbered as rows hold them. */
struct place {
    char block[TRACKER_BLOCK_MAX + 1];
    char scope[TRACKER_SCOPE_MAX + 1];
};

struct hunt {
    struct outside_search *search;
    struct look look;
    struct place *places;
    size_t n_places, room;
};

static void cleanup_hunt(struct hunt *hunt)
{
    look_clear(&hunt->look);
    free(hunt->places);
}

static bool is_given_up(const struct outside_search *search)
{
    return __atomic_load_n(&search->given_up, __ATOMIC_ACQUIRE);
}

static void make_progress(struct outside_search *search)
{
    __atomic_add_fetch(&search->progress, 1, __ATOMIC_RELAXED);
}

/* ---- lives ---- */

static int by_pid(const void *a, const void *b)
{
    const struct outside_life *x = a, *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void outside_sort(struct outside_life *lives, size_t n)
{
    if (n)
        qsort(lives, n, sizeof *lives, by_pid);
}

bool outside_has(const struct outside_life *lives, size_t n, uint32_t pid, uint64_t start_ticks)
{
    const struct outside_life key = {.pid = pid};
    const struct outside_life *life = n ? bsearch(&key, lives, n, sizeof *lives, by_pid) : NULL;
    return life && life->start_ticks == start_ticks;
}

bool outside_found_has(const struct outside_found *found, size_t n, uint32_t pid,
                       uint64_t start_ticks)
{
    for (size_t low = 0, high = n; low < high;) {
        size_t middle = low + (high - low) / 2;
        const struct process_facts *facts = &found[middle].facts;
        if (facts->pid == pid)
            return facts->stat.start_ticks == start_ticks;
        if (facts->pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* ---- whose one is ---- */

/* The number of a place; LINEAGE_NOWHERE: out of memory. */
static uint32_t number_of(struct hunt *hunt, struct text block, struct text scope)
{
    for (size_t i = 0; i < hunt->n_places; i++)
        if (text_is(block, hunt->places[i].block) && text_is(scope, hunt->places[i].scope))
            return (uint32_t)i;
    if (hunt->n_places == hunt->room) {
        size_t room = hunt->room ? hunt->room * 2 : 8;
        struct place *places = realloc(hunt->places, room * sizeof *places);
        if (!places)
            return LINEAGE_NOWHERE;
        hunt->places = places;
        hunt->room = room;
    }
    hunt->places[hunt->n_places] = (struct place){.block = ""};
    text_copy(hunt->places[hunt->n_places].block, block);
    text_copy(hunt->places[hunt->n_places].scope, scope);
    return (uint32_t)hunt->n_places++;
}

static bool is_wished(const struct hunt *hunt, struct text block)
{
    for (size_t i = 0; i < hunt->search->n_wishes; i++)
        if (text_is(block, hunt->search->wishes[i].block))
            return true;
    return false;
}

/* One that is remembered is its block's whatever its environment says. */
static uint32_t place_remembered(struct hunt *hunt, const struct lineage_row *row)
{
    for (size_t i = 0; i < hunt->search->n_wishes; i++) {
        const struct outside_wish *wish = &hunt->search->wishes[i];
        for (size_t k = 0; k < wish->n_known; k++)
            if (wish->known[k].pid == row->pid && wish->known[k].start_ticks == row->start_ticks)
                return number_of(hunt, text_of(wish->block), text_of(wish->known[k].scope));
    }
    return LINEAGE_NOWHERE;
}

/* Whose environment names another block is that one's, with all below it. */
static void read_row(struct hunt *hunt, struct lineage_row *row, char *buffer)
{
    row->tag = place_remembered(hunt, row);
    if (row->tag != LINEAGE_NOWHERE)
        return;
    struct look_tag tag = look_tag_read(hunt->search->tracker, row, buffer);
    make_progress(hunt->search);
    if (!tag.block.at)
        return;
    if (!tag.is_ours || !is_wished(hunt, tag.block)) {
        row->barred = true;
        return;
    }
    if (tag.scope.size == 0 || tag.scope.size > TRACKER_SCOPE_MAX)
        tag.scope = text_of(SCOPE_DEFAULT);
    row->tag = number_of(hunt, tag.block, tag.scope);
}

static int read_rows(struct hunt *hunt)
{
    _cleanup_free_ char *buffer = malloc(PROC_ENVIRON_MAX);
    if (!buffer)
        return -ENOMEM;
    for (size_t i = 0; i < hunt->look.n; i++) {
        struct lineage_row *row = &hunt->look.rows[i];
        if (row->how == LINEAGE_NOT && !row->barred)
            read_row(hunt, row, buffer);
        if (is_given_up(hunt->search))
            return -ECANCELED;
    }
    return 0;
}

/* ---- who is in a block ---- */

static bool has_places(const struct hunt *hunt)
{
    return tracker_traits(hunt->search->tracker) & TRACKER_HAS_PLACES;
}

/* One that is gone meanwhile is nowhere. */
static bool is_in_block(const struct hunt *hunt, uint32_t pid)
{
    char block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1];
    _cleanup_free_ char *path = NULL;
    return facts_place_read(&path, pid) == 0 &&
           tracker_locate(hunt->search->tracker, path, block, scope);
}

/* A child that is being born is in the root cgroup until the very end of fork: it will be where its
 * parent is. */
static bool is_being_born_in_block(const struct hunt *hunt, const struct lineage_row *row)
{
    _cleanup_free_ char *path = NULL;
    return proc_cgroup_read(&path, row->pid) == 0 &&
           (strcmp(path, "/") == 0 || strncmp(path, "/..", 3) == 0) && is_in_block(hunt, row->ppid);
}

/* Bars those of the found ones that are in a block. True: there were some, so who was found through
 * them has to be decided again. */
static bool bar_members(struct hunt *hunt, bool *checked)
{
    bool barred = false;
    for (size_t i = 0; i < hunt->look.n; i++) {
        struct lineage_row *row = &hunt->look.rows[i];
        if (row->place == LINEAGE_NOWHERE || checked[i])
            continue;
        checked[i] = true;
        make_progress(hunt->search);
        if (is_in_block(hunt, row->pid) || is_being_born_in_block(hunt, row))
            row->barred = barred = true;
    }
    return barred;
}

static void forget_places(struct look *look)
{
    for (size_t i = 0; i < look->n; i++) {
        look->rows[i].how = LINEAGE_NOT;
        look->rows[i].place = LINEAGE_NOWHERE;
    }
}

/* Each round decides about one more level of descent at least. */
static int find_outside_of_places(struct hunt *hunt)
{
    _cleanup_free_ bool *checked = calloc(hunt->look.n + 1, sizeof *checked);
    if (!checked)
        return -ENOMEM;
    do {
        forget_places(&hunt->look);
        lineage_find_strays(hunt->look.rows, hunt->look.n);
    } while (bar_members(hunt, checked));
    return 0;
}

/* Without places members are who is known, and their descendants. */
static void forget_members(struct look *look)
{
    for (size_t i = 0; i < look->n; i++)
        if (look->rows[i].how == LINEAGE_KNOWN || look->rows[i].how == LINEAGE_BY_PARENT) {
            look->rows[i].barred = true;
            look->rows[i].how = LINEAGE_NOT;
            look->rows[i].place = LINEAGE_NOWHERE;
        }
}

/* Who is in a block is neither found nor is anybody through it: where the kernel has a list of
 * them, each one that need not be read by itself is several times as fast, and none of them can
 * hold this up. Without the list they are read, and barred behind that. */
static int look_outside(struct hunt *hunt)
{
    struct outside_search *search = hunt->search;
    struct look_without members = {0};
    if (tracker_threads(search->tracker, &search->progress, &members.pids, &members.n) < 0)
        members = (struct look_without){0};
    int r = look_read(&hunt->look, search->tracker, &members, &search->progress);
    free(members.pids);
    return r;
}

static int find(struct hunt *hunt)
{
    const struct known *known = hunt->search->known;
    int r = look_outside(hunt);
    if (r < 0)
        return r;
    lineage_find(hunt->look.rows, hunt->look.n, known ? known->members : NULL,
                 known ? known->n_members : 0);
    forget_members(&hunt->look);
    r = read_rows(hunt);
    if (r < 0)
        return r;
    if (has_places(hunt))
        return find_outside_of_places(hunt);
    lineage_find_strays(hunt->look.rows, hunt->look.n);
    return 0;
}

/* ---- what is done to them ---- */

static bool may_be_signalled(const struct outside_wish *wish, uint32_t pid)
{
    uid_t uid;
    return wish->client_uid == 0 || (proc_uid_read(&uid, pid) == 0 && uid == wish->client_uid);
}

/* The descriptor is taken first, then what it stands for is looked at: that it is this life, and
 * nobody has put it into a block meanwhile. */
static int signal_one(const struct hunt *hunt, const struct outside_wish *wish,
                      const struct lineage_row *row)
{
    struct proc_stat stat;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, row->pid, 0);
    if (pidfd < 0)
        return -errno;
    if (is_given_up(hunt->search))
        return -ECANCELED;
    if (proc_stat_read(&stat, row->pid) < 0 || stat.start_ticks != row->start_ticks ||
        (has_places(hunt) && is_in_block(hunt, row->pid)))
        return -ESRCH;
    if (!may_be_signalled(wish, row->pid))
        return -EPERM;
    return syscall(SYS_pidfd_send_signal, pidfd, wish->signal, NULL, 0) < 0 ? -errno : 1;
}

static int add_found(struct outside_wish *wish, const struct lineage_row *row, int signalled)
{
    if (wish->n_found == wish->room) {
        size_t room = wish->room ? wish->room * 2 : 16;
        struct outside_found *found = realloc(wish->found, room * sizeof *found);
        if (!found)
            return -ENOMEM;
        wish->found = found;
        wish->room = room;
    }
    struct outside_found found = {.signalled = signalled};
    int r = facts_read(&found.facts, row->pid, wish->n_found < OUTSIDE_TOLD_MAX ? FACTS_ARGV : 0);
    if (r < 0 && r != -ENOMEM) /* it is gone by now: who counts ends counts it */
        found.facts = (struct process_facts){.pid = row->pid};
    else if (r < 0)
        return r;
    found.facts.stat.start_ticks = row->start_ticks;
    wish->found[wish->n_found++] = found;
    return 0;
}

static int take(struct hunt *hunt, struct outside_wish *wish, const struct lineage_row *row)
{
    int signalled = 0;
    if (wish->n_found == OUTSIDE_FOUND_MAX)
        return 0;
    if (has_places(hunt) && is_in_block(hunt, row->pid))
        return 0; /* since it was looked at first */
    if (wish->signal && !outside_has(wish->done, wish->n_done, row->pid, row->start_ticks))
        signalled = signal_one(hunt, wish, row);
    make_progress(hunt->search);
    return signalled == -ESRCH ? 0 : add_found(wish, row, signalled);
}

/* Who is found by several wishes is told to each. */
static int take_row(struct hunt *hunt, const struct lineage_row *row)
{
    const struct place *place = &hunt->places[row->place];
    int r = 0;
    for (size_t i = 0; r == 0 && i < hunt->search->n_wishes; i++) {
        struct outside_wish *wish = &hunt->search->wishes[i];
        if (strcmp(wish->block, place->block) == 0 &&
            tracker_covers(wish->scope, text_of(place->scope)))
            r = take(hunt, wish, row);
    }
    return r;
}

void outside_run(struct outside_search *search)
{
    cleanup(cleanup_hunt) struct hunt hunt = {.search = search};
    __atomic_store_n(&search->tid, (uint32_t)syscall(SYS_gettid), __ATOMIC_RELAXED);
    int r = find(&hunt);
    for (size_t i = 0; r == 0 && i < hunt.look.n; i++)
        if (hunt.look.rows[i].place != LINEAGE_NOWHERE)
            r = take_row(&hunt, &hunt.look.rows[i]);
    search->result = r;
    __atomic_store_n(&search->tid, 0, __ATOMIC_RELAXED);
}

void outside_clear(struct outside_search *search)
{
    for (size_t i = 0; i < search->n_wishes; i++) {
        struct outside_wish *wish = &search->wishes[i];
        for (size_t k = 0; k < wish->n_found; k++)
            facts_clear(&wish->found[k].facts);
        free(wish->found);
        free(wish->known);
        free(wish->done);
    }
    free(search->wishes);
    known_drop(&search->known);
    *search = (struct outside_search){0};
}
