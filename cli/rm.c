/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack rm: ends what is in a block, and takes the block away. */

#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/act.h"

static const char help[] =
    "usage: proctrack rm [OPTIONS] BLOCK...\n"
    "\n"
    "Kills all processes of each block, waits until they are gone, and takes the block away. Who "
    "is\n"
    "left when the time is over is named; the removal goes on.\n"
    "\n"
    "  -t, --timeout=TIME   how long at most, such as 500ms, 10s or 2m (10s)\n"
    "      --include-escaped\n"
    "                       end those too that escaped from the block\n" COMMON_OPTIONS_HELP(
        ACT_JSON_HELP) "\n"
                       "Exit status: 0 all are gone; 1 somebody is left; 2 wrong arguments; 3 it "
                       "could not be done;\n"
                       "4 there is no such block.\n"
                       "\n"
                       "Examples:\n"
                       "  proctrack rm demo\n"
                       "  proctrack rm --timeout 1m build-1 build-2\n";

enum { OPTION_INCLUDE_ESCAPED = OPTION_NEXT };

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    struct act *act = self;
    if (option == 't')
        return argument_duration(&act->request.timeout_ms, value, "--timeout", error);
    act->request.include_escaped = true;
    return 0;
}

static int check(void *self, const struct common *common, struct wps_error *error)
{
    struct act *act = self;
    act->wait_ms = (int64_t)act->request.timeout_ms;
    return arguments_are_blocks(common->words, common->n_words, error);
}

static int not_there(struct act *act, const char *block)
{
    char sentence[BLOCK_ID_MAX + 64];
    snprintf(sentence, sizeof sentence, "%s: there is no such block: proctrack ls lists them",
             block);
    act_fail(&act->common, sentence);
    return CLI_ABSENT;
}

static int tell(struct act *act, const char *block, const msgpack_object *data)
{
    struct wps_error error;
    struct remove_reply reply;
    if (remove_reply_read(&reply, data, &error) < 0)
        return act_fail(&act->common, error.message);
    _cleanup_free_ struct survivor *survivors = reply.survivors;
    if (!reply.ok && reply.n_survivors == 0)
        return not_there(act, block);
    if (!act->common.json)
        act_tell_survivors(act, block, survivors, reply.n_survivors);
    if (!act->common.json && reply.n_survivors == 0)
        printf("%s: removed\n", block);
    return reply.n_survivors == 0 ? CLI_OK : CLI_NO;
}

int rm_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"timeout", required_argument, NULL, 't'},
        {"include-escaped", no_argument, NULL, OPTION_INCLUDE_ESCAPED},
        COMMON_OPTIONS};
    const struct syntax syntax = {
        help, "ht:", options, 1, SIZE_MAX, "which block? rm BLOCK says so", take, check};
    struct act act = {.request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_REMOVE},
                      .tell = tell,
                      .progress = true,
                      .doing = "removing"};
    int status = arguments_read(&act.common, &syntax, &act, argc, argv);
    return status == CLI_GO_ON ? act_on_words(&act) : status;
}
