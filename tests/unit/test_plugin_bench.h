/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_PLUGIN_BENCH_H
#define TEST_PLUGIN_BENCH_H

/*
 * The module on a bench: its real registry, lives, publish, scan and loop's drain, with a feed that
 * says what a test says, a tracker whose members are those of test_plugin_proc.h, and a host that
 * keeps what is published and holds it against PROTOCOL.md, section 3.1, as it comes. No thread of
 * its own but the workers; timers and answers come when the test says so.
 */

#include "plugin/module.h"
#include "test_plugin_fakes.h"
#include "test_plugin_proc.h"
#include "test_plugin_told.h"

struct member; /* what a reader would know */

struct bench {
    struct module module;
    struct told *told;
    size_t n_told, told_room, n_read; /* as far as bench_story went */
    const char *label;                /* what is tried, for sentences */
    int host_answer;                  /* of publish: 0, -EAGAIN, ... */
    struct member *members;
    uint64_t time_ns; /* of the next event made by a test */
};

/* A module with a feed of these traits, under the name "bpf", "netlink" or "poll". Its settle time
 * never ends by itself. Fails the test where it cannot be made. */
struct bench *bench_new(const char *feed);
/* Looks a last time that the reader's picture is the registry's, and takes all of it down. */
void bench_free(struct bench **bench_p);

/* A block that lives, with its sub-scope `main`; place and place + 1 are their cgroup ids. */
struct block *bench_block(struct bench *bench, const char *id, uint64_t place);
struct scope *bench_scope(struct bench *bench, struct block *block, const char *name,
                          uint64_t place);

/* The feed says this, and the module takes it in. Texts need to live only for the call. */
void bench_event(struct bench *bench, const struct feed_event *event);
/* The feed lost so many before what it says next. */
void bench_lose(struct bench *bench, unsigned n);
/* The module looks at its feed. */
void bench_drain(struct bench *bench);

/* All questions to workers are answered. */
void bench_answer(struct bench *bench);
/* The settle time of all is over; the time for answers is. */
void bench_settle(struct bench *bench);
void bench_run_late(struct bench *bench);
/* The loop itself runs until the condition holds; false: it did not in `ms`. */
bool bench_run(struct bench *bench, bool (*condition)(struct bench *bench), unsigned ms);

struct process *bench_process(struct bench *bench, uint32_t pid);

/* The reader's picture is the registry's: pid, start, command, root, started and scope. */
void bench_check(struct bench *bench);

/* What was told since the last call, in short: "added 1 a b; exec 1 c; exited 1 0x300": pids less
 * PROC_FIRST, commands, statuses in hexadecimal; what is of another block than "one", of another
 * sub-scope than "main" or told by a scan says so. Lives until the next call. */
const char *bench_story(struct bench *bench);
/* How many are told in all. */
size_t bench_count(const struct bench *bench, const char *name);
const struct told *bench_last(const struct bench *bench, const char *name);

#define assert_story(bench, expected)                                                              \
    do {                                                                                           \
        const char *seen_ = bench_story(bench);                                                    \
        cr_assert_str_eq(seen_, expected, "told was \"%s\"\nand not         \"%s\"", seen_,        \
                         expected);                                                                \
    } while (0)

/* So much time goes by that a feed has told of every end that a scan saw. */
void bench_lets_pass(struct bench *bench);

#endif
