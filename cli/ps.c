/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack ps: the processes of blocks, each as a tree. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/act.h"
#include "cli/json.h"
#include "cli/tree.h"

static const char help[] =
    "usage: proctrack ps [OPTIONS] [BLOCK]...\n"
    "\n"
    "Shows the processes of the blocks (of all where none is named) as trees: pid, resident "
    "memory,\n"
    "processor time, age, sub-scope, the TCP ports that it listens on, and the command. What is "
    "not\n"
    "known of a process is left out.\n"
    "\n" SCOPE_HELP "      --started        only what the agent started by its tools\n"
    "  -d, --detail         also its user, state, threads and working directory, and the addresses "
    "of\n"
    "                       its ports\n" COMMON_OPTIONS_HELP(
        "one JSON object: {\"blocks\": [...]}, each the reply to list_block with\n"
        "                       detail, and block_id") "\n"
                                                       "Exit status: 0 done; 2 wrong arguments; 3 "
                                                       "it could not be done; 4 there is no such "
                                                       "block.\n"
                                                       "\n"
                                                       "Examples:\n"
                                                       "  proctrack ps\n"
                                                       "  proctrack ps --started --detail demo\n";

enum { OPTION_STARTED = OPTION_NEXT };

struct ps {
    struct common common;
    const char *scope;
    bool started, detail;
    bool named; /* the blocks were */
    struct term term;
    json_t *list;  /* with --json */
    size_t n_told; /* blocks */
};

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    struct ps *ps = self;
    switch (option) {
    case 's':
        ps->scope = value;
        return subscope_check(text_of(value), "--scope", error);
    case 'd':
        ps->detail = true;
        return 0;
    default:
        ps->started = true;
        return 0;
    }
}

static int check(void *self, const struct common *common, struct wps_error *error)
{
    ((struct ps *)self)->named = common->n_words > 0;
    return arguments_are_blocks(common->words, common->n_words, error);
}

/* ---- one block ------------------------------------------------------------------------------ */

static void print_title(const struct ps *ps, const char *block, const struct list_reply_head *head)
{
    printf("%s%s: %zu process%s, confidence ", ps->n_told ? "\n" : "", block, head->n_processes,
           head->n_processes == 1 ? "" : "es");
    term_put(stdout, &ps->term, head->confidence.confidence);
    if (!text_is(head->confidence.confidence, "high")) {
        fputs(" (", stdout);
        term_put(stdout, &ps->term, head->confidence.confidence_reason);
        putchar(')');
    }
    putchar('\n');
}

static int tell(struct ps *ps, const char *block, const struct list_reply *reply,
                const msgpack_object *data)
{
    if (ps->list)
        return json_array_append_new(ps->list, json_of_block(block, data)) < 0
                   ? act_fail(&ps->common, "out of memory")
                   : CLI_OK;
    print_title(ps, block, &reply->head);
    ps->n_told++;
    if (reply->head.n_processes > 0 && tree_print(reply, &ps->term, ps->detail) < 0)
        return act_fail(&ps->common, "out of memory");
    return CLI_OK;
}

/* A block that ended since it was listed is passed over; one that was named is missing. */
static int show(struct ps *ps, struct broker *broker, const char *block)
{
    struct wps_error error;
    struct list_reply reply;
    const msgpack_object *data;
    const struct control_request request = {
        CONTROL_REQUEST_DEFAULTS,    .command = CONTROL_LIST_BLOCK, .block_id = text_of(block),
        .scope = text_of(ps->scope), .only_started = ps->started,   .detail = true};
    if (broker_ask(broker, &request, &data, NULL, &error) < 0 ||
        list_reply_read(&reply, data, &error) < 0)
        return act_fail(&ps->common, error.message);
    int status = CLI_OK;
    if (reply.head.tracked) {
        status = tell(ps, block, &reply, data);
    } else if (ps->named) {
        char sentence[BLOCK_ID_MAX + 64];
        snprintf(sentence, sizeof sentence, "%s: there is no such block: proctrack ls lists them",
                 block);
        act_fail(&ps->common, sentence);
        status = CLI_ABSENT;
    }
    free(reply.processes);
    return status;
}

/* ---- all of them ---------------------------------------------------------------------------- */

static int show_all(struct ps *ps, struct broker *broker)
{
    struct wps_error error;
    struct act_blocks blocks;
    int status = CLI_OK;
    if (act_list_blocks(&blocks, broker, &error) < 0)
        return act_fail(&ps->common, error.message);
    for (size_t i = 0; i < blocks.n && status == CLI_OK; i++)
        status = show(ps, broker, blocks.ids[i]);
    act_free_blocks(&blocks);
    return status;
}

static int show_wanted(struct ps *ps, struct broker *broker)
{
    int status = CLI_OK;
    if (!ps->named)
        return show_all(ps, broker);
    for (size_t i = 0; i < ps->common.n_words && status != CLI_FAILED; i++)
        status = act_worse(status, show(ps, broker, ps->common.words[i]));
    return status;
}

int ps_main(int argc, char **argv)
{
    static const struct option options[] = {{"scope", required_argument, NULL, 's'},
                                            {"started", no_argument, NULL, OPTION_STARTED},
                                            {"detail", no_argument, NULL, 'd'},
                                            COMMON_OPTIONS};
    const struct syntax syntax = {help, "hs:d", options, 0, SIZE_MAX, "", take, check};
    struct ps ps = {.term = term_of(STDOUT_FILENO)};
    struct broker broker;
    struct wps_error error;
    int status = arguments_read(&ps.common, &syntax, &ps, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    if (broker_open(&broker, &ps.common.broker, &error) < 0)
        return act_fail(&ps.common, error.message);
    ps.list = ps.common.json ? json_array() : NULL;
    status = show_wanted(&ps, &broker);
    broker_close(&broker);
    if (ps.common.json && json_line(json_pack("{s:o}", "blocks", ps.list)) < 0)
        status = act_fail(&ps.common, "out of memory");
    return status;
}
