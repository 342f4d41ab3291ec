/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_PLUGIN_TRACE_H
#define TEST_PLUGIN_TRACE_H

/* Reads the recorded traces of tests/traces (record.py there says what a line is). */

#include "test_plugin_proc.h"
#include "trackers/feed.h"

enum { TRACE_LINES = 512 };

/* The cgroup ids that stand for the places of a trace. */
enum {
    PLACE_ONE = 11,
    PLACE_ONE_MAIN = 12,
    PLACE_TWO = 21,
    PLACE_TWO_MAIN = 22,
    PLACE_ONE_BG = 31,
    PLACE_OTHER = 99,
};

enum trace_kind { TRACE_EVENT, TRACE_PROC, TRACE_GONE };

struct trace_line {
    enum trace_kind kind;
    struct feed_event event; /* TRACE_EVENT; its texts belong to the trace */
    struct fake fake;        /* TRACE_PROC; TRACE_GONE: its pid */
    uint64_t time_ns;        /* of the event; by when it was read */
};

struct trace {
    char feed[16];
    struct trace_line *lines;
    size_t n_lines;
    char *expected[TRACE_LINES]; /* "added block=one ..." */
    size_t n_expected;
    char *texts[3 * TRACE_LINES];
    size_t n_texts;
};

/* Reads one file; its times are moved so that it began at `begin_ns` (of CLOCK_BOOTTIME, at a clock
 * tick). Fails the test where it is not a trace. */
struct trace *trace_read(const char *path, uint64_t begin_ns);
void trace_free(struct trace **trace_p);

#endif
