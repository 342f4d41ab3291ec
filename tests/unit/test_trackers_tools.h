/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_TRACKERS_TOOLS_H
#define TEST_TRACKERS_TOOLS_H

/*
 * Real processes and real cgroups for tests: odd programs (tests/programs) that tell what they do,
 * and a piece of ground in the cgroup tree that is cleared behind each test, whatever became of it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { PATIENCE_MS = 60000, TRUTHS = 8192 };

/* ---- time ---- */

/* True as soon as the condition holds, looked at every millisecond; false after PATIENCE_MS. For
 * what the kernel tells nobody of. */
bool soon(bool (*condition)(void *context), void *context);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t clock_ms(void);

/* ---- odd programs ---- */

/* One line that an odd program told. Numbers that it lacks are 0, texts "". */
struct truth {
    char what[16];
    uint32_t pid, ppid;
    int status;
    char command[256];
};

struct odd {
    pid_t pid;
    int in, out; /* its standard input and output */
    struct truth *truths;
    size_t n_truths;
    char line[4400]; /* the beginning of the next line */
    size_t line_size;
    bool ended;
    int status;
};

/* Starts `odd ARGUMENT...` (null at the end), in a cgroup directory or, where that is null, here.
 * It is there before it is odd. Fails the test where it cannot. */
struct odd *odd_start(const char *cgroup, const char *argument, ...) __attribute__((sentinel));
/* The same of any program. */
struct odd *program_start(const char *cgroup, char *const argv[]);

/* Waits until it told this; the newest line of that kind. Fails the test after PATIENCE_MS. */
const struct truth *odd_told(struct odd *odd, const char *what);
/* The same until `n` such lines came. */
void odd_told_times(struct odd *odd, const char *what, size_t n);
/* Waits for all that it and its children will ever tell: until all of them have closed their
 * output. */
void odd_told_all(struct odd *odd);

/* Sends it a line. */
void odd_say(struct odd *odd);
/* Ends its standard input: then it stops holding. */
void odd_release(struct odd *odd);
/* Waits for its end and returns the wait status. */
int odd_end(struct odd *odd);
/* Ends it by force if need be, reaps it, frees it. */
void odd_free(struct odd **odd_p);

/* ---- ground ---- */

/* A cgroup directory of our own, below the cgroup we are in; skips the test where there is no
 * cgroup v2 that we may write to. What tests killed before us left is removed, too. */
const char *ground_make(void);
/* The same, and null where it cannot be: then `why` says it. */
const char *ground_try(struct wps_error *why);
/* A directory below it, made; the string lives until ground_clear. */
const char *ground_directory(const char *name);
/* Ends all processes on it and removes it. Fine where there is none. */
void ground_clear(void);

bool is_process(uint32_t pid);
bool is_gone(void *pid); /* for soon: a uint32_t */

#endif
