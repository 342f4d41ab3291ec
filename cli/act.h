/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_ACT_H
#define CLI_ACT_H

/*
 * What kill, stop, signal, freeze, thaw, wait and rm share: one request for each block that is
 * named, all at once; one line, or one JSON object, for each as its answer comes; and the worst of
 * them is the exit status.
 */

#include "cli/arguments.h"
#include "cli/asks.h"
#include "cli/term.h"

struct act {
    struct common common;
    struct control_request request; /* for each block; its block_id is filled in */
    const char *scope;              /* null: the whole block */
    struct term out;                /* of stdout */

    /* Tells what came of one block, and returns the exit status for it. With `json` it says
     * nothing, for the object was written already. */
    int (*tell)(struct act *act, const char *block, const msgpack_object *data);
    int64_t wait_ms; /* beyond what the broker may take to answer; -1: for ever */

    /* Set by act_run, for `tell`. */
    char *const *blocks;
    size_t n_blocks;
    bool *done; /* each */
    int status; /* so far */
    size_t n_failed, n_survivors;

    bool progress;      /* in: show who is left while it takes time */
    const char *doing;  /* "stopping": for that line */
    int64_t started_ms; /* CLOCK_MONOTONIC */
    bool line_shown;
};

/* Asks for all of `blocks`, and tells. Returns the exit status. A signal ends the process, in
 * order. `broker` is open and answers. */
int act_run(struct act *act, struct broker *broker, char *const *blocks, size_t n_blocks);

/* The whole of a subcommand whose words are blocks: opens the broker, asks, closes it. */
int act_on_words(struct act *act);

/* Names those who are left in a block, a line each, behind a line that says how many. */
void act_tell_survivors(struct act *act, const char *block, const struct survivor *survivors,
                        size_t n);

/* The worse of two exit statuses. */
int act_worse(int a, int b);

/* Opens the broker and sees that it answers. On failure the sentence was told; the exit status. */
int act_open_broker(struct broker *broker, const struct common *common);

/* The ids of all blocks there are. */
struct act_blocks {
    char **ids; /* each owned */
    size_t n;
};
int act_list_blocks(struct act_blocks *ret, struct broker *broker, struct wps_error *error);
void act_free_blocks(struct act_blocks *blocks);

/* One sentence on stderr, behind the name of the subcommand. Returns CLI_FAILED. */
int act_fail(const struct common *common, const char *sentence);

/* For syntax: --scope, into `act`. */
int act_take_scope(struct act *act, const char *value, struct wps_error *error);

/* clang-format off */
#define SCOPE_HELP                                                                                 \
    "  -s, --scope=SCOPE    only this sub-scope and what is below it, such as bg/7\n"
#define ACT_JSON_HELP "one JSON object for each block, a line each"
/* clang-format on */

#endif
