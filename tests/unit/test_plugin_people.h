/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_PLUGIN_PEOPLE_H
#define TEST_PLUGIN_PEOPLE_H

/* What processes do, in one line each, for tests of the module on its bench. Processes go by small
 * numbers; there are two blocks, "one" with the sub-scopes `main` and `bg`, and "two". */

#include "base/clock.h"
#include "test_plugin_bench.h"

enum {
    ONE = 11,
    ONE_MAIN = 12,
    TWO = 21,
    TWO_MAIN = 22,
    ONE_BG = 31,
    OUTSIDE = 0, /* the number of who is in no block */
    PEOPLE = 200,
};

extern struct bench *bench;
extern struct block *one, *two;
extern uint64_t starts[PEOPLE]; /* ns of CLOCK_BOOTTIME, by number */

/* Begin and end of a test: under a feed that tells places ("bpf"), one that tells threads
 * ("netlink"), and one that tells ends alone ("poll"). */
void begin_bpf(void);
void begin_netlink(void);
void begin_poll(void);
void end_bench(void);

uint32_t pid_of(unsigned number);

/* A moment later than any before it. */
uint64_t now(void);

/* ---- what the feed says ---- */

/* An event of a process, with what the feed in use tells of every one. */
struct feed_event event_of(enum feed_event_kind kind, unsigned number, uint64_t block,
                           uint64_t scope);

void born_in(unsigned number, unsigned parent, uint64_t block, uint64_t scope);
void born(unsigned number, unsigned parent);

/* "a b c": its argument vector; feeds that know none leave it out. */
void execs(unsigned number, const char *words);
/* A program change whose argv the feed could not read. */
void execs_blind(unsigned number);

void exits(unsigned number, int status);
void moves(unsigned number, uint64_t block, uint64_t scope, const char *path);

/* ---- what /proc says from now on ---- */

/* It runs this in a cgroup; "": no arguments can be read. */
void shows_in(unsigned number, unsigned parent, const char *words, const char *cgroup);
/* The same in the block "one". */
void shows(unsigned number, unsigned parent, const char *words);
/* It is a zombie; or its first thread is, if there are more. */
void shows_zombie(unsigned number, unsigned parent, unsigned threads);
/* It is in the middle of its exit: no zombie yet, and its end was told. */
void shows_exiting(unsigned number, unsigned parent);
void shows_nothing(unsigned number);

/* All blocks are scanned, and the answers are there. */
void scan(void);

#endif
