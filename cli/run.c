/* SPDX-License-Identifier: Apache-2.0 */

/*
 * proctrack run: becomes a command that is a member of a block from its first instruction on. This
 * process asks the broker to be put into the block, waits for the answer, and replaces its own
 * program: no child, no terminal of its own, nothing to pass signals on to. It works where the
 * caller may not write cgroups, for the broker does that.
 *
 * Nothing here is changed that exec would not undo: no signal is caught or blocked, ZeroMQ's
 * threads and descriptors are gone before.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/broker.h"
#include "cli/command.h"

static const char help[] =
    "usage: proctrack run --block=ID [OPTIONS] [--] COMMAND [ARGS]\n"
    "\n"
    "Runs COMMAND as a member of a block: it, and all that it starts, from its first instruction\n"
    "on. It has the pid, the terminal and the descriptors of this command, and PROCTRACK_BLOCK,\n"
    "PROCTRACK_SCOPE and WPS_RUNTIME_DIR in its environment. If it cannot join, COMMAND does not\n"
    "run.\n"
    "\n"
    "  -b, --block=ID       the block\n"
    "  -s, --scope=SCOPE    the sub-scope in it, such as bg/7 (main)\n"
    "  -c, --create         make the block if it is not there\n"
    "      --or-untracked   run COMMAND also where it cannot join, with a "
    "warning\n" BROKER_OPTIONS_HELP "  -h, --help           this\n"
    "\n"
    "Exit status: that of COMMAND; or 125 it could not join or an option is wrong, 126 COMMAND\n"
    "cannot be executed, 127 there is no such COMMAND.\n"
    "\n"
    "Examples:\n"
    "  proctrack run --block demo --create -- npm run dev\n"
    "  proctrack run --block \"$PROCTRACK_BLOCK\" --scope bg/7 -- make watch\n";

enum { OPTION_OR_UNTRACKED = BROKER_OPTION_NEXT };

struct run {
    const char *name; /* "proctrack run" */
    const char *block, *scope;
    bool create, or_untracked;
    struct broker_options broker;
    char **command; /* null at its end */
};

/* ---- options -------------------------------------------------------------------------------- */

/* 1: go on; 0: help was told; -EINVAL: told why. */
static int take_option(struct run *run, int c, struct wps_error *error)
{
    switch (c) {
    case 'b':
        run->block = optarg;
        return 1;
    case 's':
        run->scope = optarg;
        return 1;
    case 'c':
        run->create = true;
        return 1;
    case OPTION_OR_UNTRACKED:
        run->or_untracked = true;
        return 1;
    case 'h':
        fputs(help, stdout);
        return 0;
    case '?': /* getopt has said what */
        return wps_error_set(error, -EINVAL, "see proctrack run --help");
    default:
        return broker_option(&run->broker, c, optarg, error);
    }
}

static int check(const struct run *run, struct wps_error *error)
{
    if (!run->block)
        return wps_error_set(error, -EINVAL, "which block? --block ID says so");
    int result = block_id_check(text_of(run->block), "--block", error);
    if (result == 0)
        result = subscope_check(text_of(run->scope), "--scope", error);
    if (result == 0 && !run->command[0])
        result = wps_error_set(error, -EINVAL, "which command? It goes behind the options");
    return result;
}

/* 1: go on; 0: help was told; -EINVAL. The command's own options are left alone. */
static int read_options(struct run *run, int argc, char **argv, struct wps_error *error)
{
    static const struct option options[] = {
        {"block", required_argument, NULL, 'b'},
        {"scope", required_argument, NULL, 's'},
        {"create", no_argument, NULL, 'c'},
        {"or-untracked", no_argument, NULL, OPTION_OR_UNTRACKED},
        {"help", no_argument, NULL, 'h'},
        BROKER_OPTIONS,
        {0}};
    for (int c; (c = getopt_long(argc, argv, "+b:s:ch", options, NULL)) != -1;) {
        int result = take_option(run, c, error);
        if (result <= 0)
            return result;
    }
    run->command = argv + optind;
    int result = check(run, error);
    return result < 0 ? result : 1;
}

/* ---- joining -------------------------------------------------------------------------------- */

static int ensure(struct broker *broker, const struct run *run, struct wps_error *error)
{
    const msgpack_object *data;
    const struct control_request request = {
        CONTROL_REQUEST_DEFAULTS, .command = CONTROL_ENSURE_TRACKER,
        .block_id = text_of(run->block), .scope = text_of(run->scope)};
    return broker_ask(broker, &request, &data, NULL, error);
}

static int assign(struct broker *broker, const struct run *run, struct wps_error *error)
{
    struct wps_error why;
    const msgpack_object *data;
    enum errorcode refusal;
    const struct control_request request = {
        CONTROL_REQUEST_DEFAULTS, .command = CONTROL_ASSIGN_PROCESS,
        .block_id = text_of(run->block), .scope = text_of(run->scope), .pid = (uint64_t)getpid()};
    int result = broker_ask(broker, &request, &data, &refusal, &why);
    if (result == -EREMOTEIO && refusal == ERRORCODE_NO_SUCH_BLOCK && !run->create)
        return wps_error_set(error, result, "there is no such block: --create makes it");
    return result < 0 ? wps_error_set(error, result, "%s", why.message) : 0;
}

/* The tag that the tracker lineage finds strays by (docs/lineage.md): it counts for the broker that
 * has this runtime directory, or for any where there is none in the environment. */
static int tag(const struct broker *broker, const struct run *run, struct wps_error *error)
{
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): errors are negative
    if (setenv("PROCTRACK_BLOCK", run->block, 1) < 0 ||
        // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): the same
        setenv("PROCTRACK_SCOPE", run->scope, 1) < 0 ||
        (broker->runtime ? setenv("WPS_RUNTIME_DIR", broker->runtime, 1)
                         : unsetenv("WPS_RUNTIME_DIR")) < 0)
        return wps_error_system(error, -errno, "cannot set the environment");
    return 0;
}

static int join(const struct run *run, struct wps_error *error)
{
    struct broker broker;
    int result = broker_open(&broker, &run->broker, error);
    if (result < 0)
        return result;
    result = control_client_check_pids(broker.client, error);
    if (result == 0 && run->create)
        result = ensure(&broker, run, error);
    if (result == 0)
        result = assign(&broker, run, error);
    if (result == 0)
        result = tag(&broker, run, error);
    broker_close(&broker);
    return result;
}

/* ---- becoming it ---------------------------------------------------------------------------- */

static int become(const struct run *run)
{
    execvp(run->command[0], run->command);
    int code = errno;
    fprintf(stderr, "%s: cannot run %s: %s\n", run->name, run->command[0], strerror(code));
    return code == ENOENT ? CLI_RUN_MISSING : CLI_RUN_CANNOT;
}

int run_main(int argc, char **argv)
{
    struct wps_error error;
    struct run run = {.name = argv[0], .scope = SUBSCOPE_DEFAULT, .broker = BROKER_OPTIONS_DEFAULT};
    int result = read_options(&run, argc, argv, &error);
    if (result == 0)
        return CLI_OK;
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", run.name, error.message);
        return CLI_RUN_FAILED;
    }
    if (join(&run, &error) < 0) {
        fprintf(stderr, "%s: %scannot join block %s: %s; %s %s\n", run.name,
                run.or_untracked ? "warning: " : "", run.block, error.message, run.command[0],
                run.or_untracked ? "runs untracked" : "was not run");
        if (!run.or_untracked)
            return CLI_RUN_FAILED;
    }
    return become(&run);
}
