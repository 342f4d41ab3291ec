/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_TRACKERS_BLOCKS_H
#define TEST_TRACKERS_BLOCKS_H

/* Blocks on the real kernel for tests: a tracker `cgroup` on ground of its own, its operations
 * through real workers, and odd programs in its blocks. */

#include <criterion/criterion.h>

#include "test_trackers_tools.h"
#include "trackers/tracker.h"

extern const char *ground;
extern struct tracker *tracker;

void begin_blocks(void);
void end_blocks(void);

/* ---- operations, by a worker ---- */

/* `more` (may be null): start_ticks, client_uid and root of an ASSIGN,
 * wants_roots of a CREATE. To be freed. */
struct tracker_op *operate(enum tracker_op_kind kind, const char *block, const char *scope,
                           uint32_t pid, const struct tracker_op *more);
/* The same where only the result counts; a failure has a sentence. */
int result_of(enum tracker_op_kind kind, const char *block, const char *scope, uint32_t pid);
void create(const char *block, const char *scope);
/* A kill is repeated by its owner while somebody is there. */
void kill_until_empty(const char *block);

/* The directory of a block or sub-scope; until the next call. */
const char *directory_of(const char *block, const char *scope);

/* ---- members ---- */

/* It ends with the test. */
struct odd *keep(struct odd *odd);
/* One that holds. */
struct odd *hold_in(const char *block, const char *scope);
/* True where it is there now. */
bool is_in(uint32_t pid, const char *block, const char *scope);
/* True where the operation found it. */
bool holds(const struct tracker_op *op, uint32_t pid);

#endif
