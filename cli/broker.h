/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BROKER_H
#define CLI_BROKER_H

/* The broker that a subcommand talks to: the options that say which, the same in all of them, and
 * the way to it. */

#include <getopt.h>

#include "client/control_client.h"

/* ---- options -------------------------------------------------------------------------------- */

enum {
    BROKER_TIMEOUT_MS = 10000,
    BROKER_OPTION_ENDPOINT = 0x100, /* beyond what a short option can be */
    BROKER_OPTION_RUNTIME_DIR,
    BROKER_OPTION_TIMEOUT_MS,
    BROKER_OPTION_CURVE_SECRET,
    BROKER_OPTION_CURVE_SERVER,
    BROKER_OPTION_NEXT, /* a subcommand's own options without a letter begin here */
};

/* Rows for getopt_long, and their text in --help. */
/* clang-format off */
#define BROKER_OPTIONS                                                                             \
    {"endpoint", required_argument, NULL, BROKER_OPTION_ENDPOINT},                                 \
    {"runtime-dir", required_argument, NULL, BROKER_OPTION_RUNTIME_DIR},                           \
    {"timeout-ms", required_argument, NULL, BROKER_OPTION_TIMEOUT_MS},                             \
    {"curve-secret", required_argument, NULL, BROKER_OPTION_CURVE_SECRET},                         \
    {"curve-server", required_argument, NULL, BROKER_OPTION_CURVE_SERVER}
#define BROKER_OPTIONS_HELP                                                                        \
    "  --endpoint=ENDPOINT  control socket of the broker (ipc://<runtime>/control)\n"              \
    "  --runtime-dir=DIR    runtime directory of the broker ($WPS_RUNTIME_DIR, else /run/wps for\n" \
    "                       root, else $XDG_RUNTIME_DIR/wps)\n"                                    \
    "  --timeout-ms=N       how long it may take to answer (10000)\n"                              \
    "  --curve-secret=FILE  our secret certificate, for a broker on tcp\n"                         \
    "  --curve-server=FILE  the public certificate of that broker\n"
/* clang-format on */

struct broker_options {
    const char *endpoint, *runtime_dir;      /* null: not given */
    const char *curve_secret, *curve_server; /* the same */
    int timeout_ms;
};

#define BROKER_OPTIONS_DEFAULT ((struct broker_options){.timeout_ms = BROKER_TIMEOUT_MS})

/* Takes what getopt_long returned. 1: it was one of these; 0: it was not; -EINVAL with a sentence:
 * it was, with a value that makes no sense. */
int broker_option(struct broker_options *options, int option, const char *value,
                  struct wps_error *error);

/* ---- the way to it -------------------------------------------------------------------------- */

struct broker {
    void *context; /* ZeroMQ's */
    struct control_client *client;
    char *endpoint;
    char *runtime; /* its runtime directory; null: not known, for the endpoint was given */
    int timeout_ms;
    const char *curve_secret, *curve_server; /* files, as they were given */
    struct client_keys keys;                 /* that are in them */
};

/* Finds out where it is; connects to nothing yet. -ENOENT: nothing says where; -EINVAL, -ENOMEM and
 * so on, with a sentence. */
int broker_open(struct broker *ret, const struct broker_options *options, struct wps_error *error);

/* The endpoint of another of its sockets, "events" or "rpc", beside the control socket; to be
 * freed. Null: it cannot be known (over tcp), or out of memory. */
char *broker_beside(const struct broker *self, const char *name);

/* Asks it: control_client_ask with the time-out of the options. */
int broker_ask(struct broker *self, const struct control_request *request,
               const msgpack_object **ret_data, enum errorcode *ret_refusal,
               struct wps_error *error);

/* Closes all of it, ZeroMQ's threads and descriptors too. A zeroed one is fine. */
void broker_close(struct broker *self);

#endif
