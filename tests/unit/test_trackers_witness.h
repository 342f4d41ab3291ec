/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_TRACKERS_WITNESS_H
#define TEST_TRACKERS_WITNESS_H

/* A feed on the real kernel and what it told of each process, to be held against what odd programs
 * tell of themselves. One feed at a time, on ground of the test's own. */

#include <criterion/criterion.h>
#include <uthash.h>

#include "test_trackers_tools.h"
#include "trackers/feed.h"

enum { POLL_MS = 50, ATTEMPTS = 20 };

/* What a feed told of one process. */
struct seen {
    UT_hash_handle hh;
    uint32_t pid, parent, creator;
    unsigned births, execs, ends, moves, threads;
    bool has_status;
    int status;
    uint64_t start_ns, born_ns, end_ns, place[FEED_PLACES], max_rss_bytes;
    char command[256], path[256];
};

extern const char *ground; /* null: we may not make cgroups */
extern int ground_fd;      /* -1: the same */
extern struct feed *feed;
extern struct seen *seen; /* by pid: the newest life of each */
extern unsigned n_scans_due;
extern struct odd *odd;

/* ---- begin and end ---- */

/* Each test once for each feed. */
#define FOR_FEED(feed_name, test)                                                                  \
    Test(feed_##feed_name, test, .fini = close_all, .timeout = 240)                                \
    {                                                                                              \
        test(#feed_name);                                                                          \
    }
#define FOR_EACH_FEED(test)                                                                        \
    static void test(const char *name);                                                            \
    FOR_FEED(bpf, test)                                                                            \
    FOR_FEED(netlink, test)                                                                        \
    FOR_FEED(poll, test)                                                                           \
    static void test(const char *name)
#define FOR_FEEDS_THAT_SEE_BIRTHS(test)                                                            \
    static void test(const char *name);                                                            \
    FOR_FEED(bpf, test)                                                                            \
    FOR_FEED(netlink, test)                                                                        \
    static void test(const char *name)

/* Opens it on fresh ground; the test is skipped where it does not work here. `ring_kib` of 0: its
 * own default. */
void open_feed(const char *name, unsigned ring_kib);
/* bpf without a cgroup to watch. */
void open_by_lineage(void);
/* Only the ground. */
void find_ground(void);
/* The end of each of these tests. */
void close_all(void);
/* The end of a test that cannot run here. */
void skip(const char *why);

/* ---- what is seen ---- */

/* Null: nothing was told of it. */
struct seen *find(uint32_t pid);

/* Takes what there is, or waits so long for something. */
void drain(int ms);
/* For soon: what there is is taken until the process has ended; a uint32_t. */
bool has_ended(void *pid);

/* Asks to be told of a process that lives. */
void watch(uint32_t pid);

/* ---- odd programs ---- */

/* A cgroup on our ground; null where there is none. */
const char *block_directory(void);

/* Runs it to its end, and until the feed told of that end and its status. */
void watch_odd(struct odd *started);

/* What the program told of itself is what the feed told. */
void compare_truths(void);

/* A process lives and dies on each processor, so that each of them has something to tell; `between`
 * (may be null) is called behind each. */
void live_on_every_processor(void (*between)(void));

uint64_t inode_of(const char *path);

#endif
