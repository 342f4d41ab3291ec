/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

/* What `proctrack doctor` finds out: a list of findings, each with what it is about, how it is,
 * why, and what would mend it. */

#include <stdbool.h>
#include <stddef.h>

#include "cli/broker.h"

enum finding_state {
    FINDING_OK,
    FINDING_NOTE, /* good to know; nothing is wrong */
    FINDING_NO,   /* missing, or does not work */
};

struct finding {
    const char *section; /* "broker", "machine", "trial"; constant */
    char what[64];
    enum finding_state state;
    char why[512];
    char mend[512]; /* one command or unit setting; "": nothing to mend */
};

struct findings {
    struct finding *items; /* owned */
    size_t n, room;
    bool failed; /* out of memory: some are missing */
};

/* Adds one; `why` is a format. Where it cannot, `failed` is set. The item lives until the next one
 * is added; the caller may set its `mend`. Never null. */
struct finding *findings_add(struct findings *findings, const char *section, const char *what,
                             enum finding_state state, const char *why, ...)
    __attribute__((format(printf, 5, 6)));

/* What would mend a system call that a filter refuses; its name behind it. */
#define MEND_SECCOMP                                                                               \
    "docker run --security-opt seccomp=unconfined, or a profile with %s (in a unit: "              \
    "SystemCallFilter=)"

void findings_clear(struct findings *findings);

/* How the broker is that these options name: its directory, its socket, what it says of itself.
 * `wpsd` and `module` are what could be started; null: not found. */
void doctor_look_at_broker(struct findings *findings, const struct broker_options *options,
                           const char *wpsd, const char *module);

/* What the kernel and this user's rights allow, each tried where trying is harmless. `wpsd` is the
 * program that rights would be given to; null: not found. */
void doctor_look_at_machine(struct findings *findings, const char *wpsd);

/* Starts brokers of its own in a directory of its own, for each tracker and each feed until all
 * were tried, and ends them. Ctrl-C ends them too, and leaves nothing. Null: not found. */
void doctor_try(struct findings *findings, const char *wpsd, const char *module);

#endif
