/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

/* The command line of a subcommand: what all of them take, and the kinds of values that they take.
 * Each value is checked here, so that a mistake is told before anybody is asked. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/broker.h"
#include "cli/command.h"

/* What every subcommand has. */
struct common {
    const char *name; /* "proctrack ls" */
    struct broker_options broker;
    bool json;
    char **words; /* what is no option */
    size_t n_words;
};

enum {
    OPTION_JSON = BROKER_OPTION_NEXT,
    OPTION_NEXT, /* a subcommand's own options without a letter begin here */
};

/* clang-format off */
#define COMMON_OPTIONS                                                                             \
    {"json", no_argument, NULL, OPTION_JSON},                                                      \
    {"help", no_argument, NULL, 'h'},                                                              \
    BROKER_OPTIONS,                                                                                \
    {0}
#define COMMON_OPTIONS_HELP(json)                                                                  \
    "      --json           " json "\n" BROKER_OPTIONS_HELP                                        \
    "  -h, --help           this\n"
/* clang-format on */

/* How a subcommand's command line is made. */
struct syntax {
    const char *help;
    const char *letters;          /* for getopt_long, with h */
    const struct option *options; /* with COMMON_OPTIONS at the end */
    size_t words_min, words_max;  /* how many words there may be */
    const char *words;            /* and what is said where there are others: "which block?" */
    /* Takes one of its own options. 0, or -EINVAL with a sentence. Null: it has none. */
    int (*take)(void *self, int option, const char *value, struct wps_error *error);
    /* Looks at all of it together, when `common` is read. Null: there is nothing to see. */
    int (*check)(void *self, const struct common *common, struct wps_error *error);
};

enum { CLI_GO_ON = -1 };

/* Reads it. CLI_GO_ON, or the exit status: --help was told, or what is wrong. */
int arguments_read(struct common *common, const struct syntax *syntax, void *self, int argc,
                   char **argv);

/* ---- values: -EINVAL with a sentence that begins with `where` ------------------------------- */

/* A number with a unit of ms, s, m, h or d, such as 500ms or 1.5h; none: seconds. From 1 ms to a
 * day. */
int argument_duration(uint64_t *ret_ms, const char *value, const char *where,
                      struct wps_error *error);

/* A signal: a number from 1 to 64, or a name with or without SIG: 9, KILL, SIGTERM, RTMIN+1. */
int argument_signal(uint64_t *ret, const char *value, const char *where, struct wps_error *error);

/* A number from `min` to `max`. */
int argument_number(uint64_t *ret, const char *value, uint64_t min, uint64_t max, const char *where,
                    struct wps_error *error);

/* Every word is a block id. */
int arguments_are_blocks(char *const *words, size_t n_words, struct wps_error *error);

/* "TERM", "RTMIN+1"; a number where it has no name. */
const char *signal_text(char buffer[static 16], int number);

#endif
