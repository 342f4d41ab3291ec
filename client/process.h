/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCTRACK_PROCESS_H
#define PROCTRACK_PROCESS_H

/* What is known of a process: the same record in a mirror and in a list.
 *
 * Growing: structs that the library gives out grow at their tail in later versions, so never make
 * an array of them, and do not depend on their size. (What it gives out in arrays does not grow.)
 *
 * Source: PROTOCOL.md, section 3.2. */

#include <stdbool.h>

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A listening TCP port. */
struct proctrack_port {
    const char *address; /* as inet_ntop(3) writes it */
    const char *family;  /* "inet", "inet6" */
    uint16_t port;
};

/* What is dear to read, and there only where it was asked for: by proctrack_mirror_sample, or in a
 * list with `detail`. */
struct proctrack_detail {
    uint64_t sampled_at_ms; /* CLOCK_MONOTONIC here, when the answer came */
    bool has_cpu, has_uid;  /* false: not known */
    uint64_t cpu_ms;        /* user and system time since its birth */
    uint32_t uid;
    char state;       /* letter of /proc; 0: not known */
    uint64_t threads; /* 0: not known */
    const char *exe;  /* null: not known */
    const char *cwd;  /* null: not known */
    bool ports_known; /* false: there may be some */
    const struct proctrack_port *ports;
    size_t n_ports;
    const char *const *argv; /* null: not known */
    size_t n_argv;
    bool argv_truncated; /* it is longer */
};

/* A process of a block. Strings come from the process itself: UTF-8 without NUL, but with whatever
 * else, newlines and escape sequences of terminals too. */
struct proctrack_process {
    uint32_t pid;           /* in the broker's pid namespace */
    uint32_t parent_pid;    /* at its birth, never rewritten; 0: not known */
    uint64_t started_at_ms; /* since the Unix epoch; pid and this name one life */
    uint64_t rss_bytes;     /* when it was last read; 0: not known */
    const char *command;    /* argv joined by spaces, or [name] */
    const char *scope;      /* its sub-scope: "main", "bg/7" */
    bool command_truncated;
    bool root;                             /* it was assigned, rather than born in the block */
    bool started;                          /* an agent started it through its tools */
    const struct proctrack_detail *detail; /* null: never asked for */
    void *user; /* of a mirror: the caller's, null at first: proctrack_process_set_user */
};

#ifdef __cplusplus
}
#endif

#endif
