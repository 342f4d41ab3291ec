/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PROGRAMS_BENCH_H
#define BENCH_PROGRAMS_BENCH_H

/* What the benchmark's programs share: how they speak with the driver (a line on stdout, a line or
 * the end of stdin back), and a buffer for what is written to a file at the end. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* CLOCK_BOOTTIME in nanoseconds: the clock of all time stamps here. */
static inline uint64_t bench_now(void);

/* Ends the program with a sentence on what failed, and the system's text for errno. */
_Noreturn void bench_fail(const char *what);

/* One line to the driver, at once. */
void bench_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Waits for a line of the driver. False: its end. */
bool bench_wait_line(void);

uint64_t bench_number(const char *text);

/* Bytes that grow, kept until they are written in one go. */
struct bench_bytes {
    char *data;
    size_t size, room;
};

void bench_append(struct bench_bytes *bytes, const void *data, size_t size);
void bench_write(const struct bench_bytes *bytes, const char *path);

/* The message of the bare way (bare.c): as much as an event of a block is on the wire. */
enum bench_kind { BENCH_EXEC = 1, BENCH_EXIT = 2 };

struct bench_message {
    uint32_t kind;
    uint32_t pid;
    uint64_t time_ns;
    char rest[256 - 16];
};

#include <time.h>

static inline uint64_t bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

#endif
