/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack stop: lets processes end by themselves, and kills those that do not. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/act.h"
#include "cli/stop_started.h"

static const char help[] =
    "usage: proctrack stop [OPTIONS] BLOCK...\n"
    "       proctrack stop [OPTIONS] --all\n"
    "\n"
    "Sends SIGTERM to all processes of each block, all blocks at once, and after a while kills "
    "those\n"
    "that are left. Who is still there when the time is over is named. The blocks stay. On a "
    "terminal\n"
    "it asks first where something in a block listens on a TCP port.\n"
    "\n"
    "  -a, --all            all blocks there are\n"
    "      --started        only what the agent started by its tools, never a root: these are "
    "killed at\n"
    "                       once, and waited for\n" SCOPE_HELP
    "  -S, --signal=SIGNAL  in place of SIGTERM\n"
    "  -g, --grace=TIME     until the kill, such as 500ms, 10s or 2m (5s, or half of --timeout)\n"
    "  -t, --timeout=TIME   until it is given up (10s)\n"
    "      --include-escaped\n"
    "                       end those too that escaped from the block\n"
    "  -y, --yes            do not ask\n" COMMON_OPTIONS_HELP(
        ACT_JSON_HELP) "\n"
                       "Exit status: 0 all have ended; 1 somebody is left, or the answer was no; 2 "
                       "wrong arguments;\n"
                       "3 it could not be done; 4 there is no such block.\n"
                       "\n"
                       "Examples:\n"
                       "  proctrack stop demo\n"
                       "  proctrack stop --all --yes --grace 2s\n"
                       "  proctrack stop --started demo\n";

enum { OPTION_INCLUDE_ESCAPED = OPTION_NEXT, OPTION_STARTED };

struct stop {
    struct act act; /* first: `tell` gets it */
    bool all, yes, started;
    bool gentle;   /* an option was given that is not for --started */
    size_t n_left; /* blocks that have survivors */
};

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    struct stop *stop = self;
    struct control_request *request = &stop->act.request;
    stop->gentle = stop->gentle || strchr("sSg", option) || option == OPTION_INCLUDE_ESCAPED;
    switch (option) {
    case OPTION_STARTED:
        stop->started = true;
        return 0;
    case 'a':
        stop->all = true;
        return 0;
    case 'y':
        stop->yes = true;
        return 0;
    case 's':
        return act_take_scope(&stop->act, value, error);
    case 'S':
        return argument_signal(&request->signal, value, "--signal", error);
    case 'g':
        return argument_duration(&request->grace_ms, value, "--grace", error);
    case 't':
        return argument_duration(&request->timeout_ms, value, "--timeout", error);
    default:
        request->include_escaped = true;
        return 0;
    }
}

static int check(void *self, const struct common *common, struct wps_error *error)
{
    struct stop *stop = self;
    stop->act.wait_ms = (int64_t)stop->act.request.timeout_ms;
    if (stop->all != (common->n_words == 0))
        return wps_error_set(error, -EINVAL,
                             "which block? stop BLOCK or stop --all says so, and not both");
    if (stop->started && stop->gentle)
        return wps_error_set(error, -EINVAL,
                             "--started kills at once: leave out --scope, --signal, --grace and "
                             "--include-escaped");
    return arguments_are_blocks(common->words, common->n_words, error);
}

/* ---- asking first --------------------------------------------------------------------------- */

/* Names who listens in a block. Returns how many do. */
static size_t tell_listeners(struct stop *stop, struct broker *broker, const char *block)
{
    struct list_reply reply;
    const msgpack_object *data;
    const struct term term = term_of(STDOUT_FILENO);
    const struct control_request request = {
        CONTROL_REQUEST_DEFAULTS,      .command = CONTROL_LIST_BLOCK,
        .block_id = text_of(block),    .scope = text_of(stop->act.scope),
        .only_started = stop->started, .detail = true};
    size_t n = 0;
    if (broker_ask(broker, &request, &data, NULL, NULL) < 0 ||
        list_reply_read(&reply, data, NULL) < 0)
        return 0; /* what stops it says why */
    for (size_t i = 0; i < reply.head.n_processes; i++) {
        struct process_detail_view view;
        if (process_detail_read(&view, &reply.maps[i], "data", NULL) < 0)
            continue;
        if (view.n_ports > 0) {
            printf("%s: port %" PRIu64 " is served by %" PRIu32 " ", block, view.ports[0].port,
                   reply.processes[i].pid);
            term_put(stdout, &term, reply.processes[i].command);
            putchar('\n');
            n++;
        }
        free(view.ports);
    }
    free(reply.processes);
    return n;
}

/* True where it is to be done. */
static bool confirmed(struct stop *stop, struct broker *broker, char *const *blocks, size_t n)
{
    size_t listeners = 0, room = 0;
    _cleanup_free_ char *answer = NULL;
    if (stop->yes || stop->act.common.json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return true;
    for (size_t i = 0; i < n; i++)
        listeners += tell_listeners(stop, broker, blocks[i]);
    if (listeners == 0)
        return true;
    fputs("Stop it? [y/N] ", stdout);
    fflush(stdout);
    return getline(&answer, &room, stdin) > 0 &&
           (strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0);
}

/* ---- what came of it ------------------------------------------------------------------------ */

static int tell(struct act *act, const char *block, const msgpack_object *data)
{
    struct wps_error error;
    struct stop_reply reply;
    char took[TERM_NUMBER];
    if (stop_reply_read(&reply, data, &error) < 0)
        return act_fail(&act->common, error.message);
    _cleanup_free_ struct survivor *survivors = reply.survivors;
    if (!act->common.json) {
        printf("%s: %" PRIu64 " ended, %" PRIu64 " killed, %s\n", block, reply.exited, reply.killed,
               term_cpu(took, reply.elapsed_ms));
        act_tell_survivors(act, block, survivors, reply.n_survivors);
    }
    ((struct stop *)act)->n_left += reply.n_survivors > 0;
    return reply.n_survivors > 0 ? CLI_NO : CLI_OK;
}

static int stop_blocks(struct stop *stop, struct broker *broker, char *const *blocks, size_t n)
{
    if (!confirmed(stop, broker, blocks, n)) {
        act_fail(&stop->act.common, "nothing was stopped");
        return CLI_NO;
    }
    if (stop->started)
        return stop_started(&stop->act, broker, blocks, n, stop->act.request.timeout_ms);
    int status = act_run(&stop->act, broker, blocks, n);
    if (!stop->act.common.json && n > 1)
        printf("%zu blocks: %zu stopped, %zu with processes left, %zu failed\n", n,
               n - stop->n_left - stop->act.n_failed, stop->n_left, stop->act.n_failed);
    return status;
}

int stop_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'},
        {"started", no_argument, NULL, OPTION_STARTED},
        {"scope", required_argument, NULL, 's'},
        {"signal", required_argument, NULL, 'S'},
        {"grace", required_argument, NULL, 'g'},
        {"timeout", required_argument, NULL, 't'},
        {"include-escaped", no_argument, NULL, OPTION_INCLUDE_ESCAPED},
        {"yes", no_argument, NULL, 'y'},
        COMMON_OPTIONS};
    const struct syntax syntax = {help, "has:S:g:t:y", options, 0, SIZE_MAX, "", take, check};
    struct stop stop = {.act = {.request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_STOP_TREE},
                                .tell = tell,
                                .progress = true,
                                .doing = "stopping"}};
    struct common *common = &stop.act.common;
    struct act_blocks blocks = {0};
    struct broker broker;
    struct wps_error error;
    int status = arguments_read(common, &syntax, &stop, argc, argv);
    if (status != CLI_GO_ON || (status = act_open_broker(&broker, common)) != CLI_OK)
        return status;
    if (!stop.all)
        status = stop_blocks(&stop, &broker, common->words, common->n_words);
    else if (act_list_blocks(&blocks, &broker, &error) < 0)
        status = act_fail(common, error.message);
    else
        status = stop_blocks(&stop, &broker, blocks.ids, blocks.n);
    act_free_blocks(&blocks);
    broker_close(&broker);
    return status;
}
