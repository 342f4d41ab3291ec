/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack kill: SIGKILL to a whole block, to one process of it, or to what the agent started. */

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/act.h"

static const char help[] =
    "usage: proctrack kill [OPTIONS] BLOCK [PID]\n"
    "\n"
    "Kills all processes of a block at once, by SIGKILL; with PID only that one, if it is in the\n"
    "block. It does not wait for their ends (proctrack wait does), and the block stays. To let "
    "them\n"
    "end by themselves first: proctrack stop.\n"
    "\n"
    "  -s, --scope=SCOPE    only this sub-scope and what is below it, such as bg/7\n"
    "      --started        only what the agent started by its tools; with PID: of that, what is "
    "in\n"
    "                       that process's subtree\n" COMMON_OPTIONS_HELP(
        "one JSON object: the reply, and block_id") "\n"
                                                    "Exit status: 0 done; 1 there was nobody to "
                                                    "kill; 2 wrong arguments; 3 it could not be "
                                                    "done;\n"
                                                    "4 there is no such block, or PID is not in "
                                                    "it.\n"
                                                    "\n"
                                                    "Examples:\n"
                                                    "  proctrack kill demo\n"
                                                    "  proctrack kill demo 4711\n"
                                                    "  proctrack kill --started demo\n";

enum { OPTION_STARTED = OPTION_NEXT };

struct kill {
    struct act act;
    bool started;
};

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    struct kill *kill = self;
    if (option == 's')
        return act_take_scope(&kill->act, value, error);
    kill->started = true;
    return 0;
}

static int check(void *self, const struct common *common, struct wps_error *error)
{
    struct kill *kill = self;
    struct control_request *request = &kill->act.request;
    bool one = common->n_words == 2;
    int result = arguments_are_blocks(common->words, 1, error);
    if (result == 0 && one)
        result = argument_number(&request->pid, common->words[1], 1, INT32_MAX, "PID", error);
    if (result == 0 && kill->act.scope && (one || kill->started))
        result = wps_error_set(error, -EINVAL,
                               "--scope is for the whole tree: leave out PID and --started");
    request->command = kill->started ? CONTROL_KILL_STARTED
                       : one         ? CONTROL_KILL_PID
                                     : CONTROL_KILL_TREE;
    return result;
}

/* ok: false. The reply of a block that is not there has no epoch. */
static int not_there(struct act *act, const char *block, struct block_version version)
{
    char sentence[BLOCK_ID_MAX + SUBSCOPE_MAX + 128];
    if (version.epoch.size == 0)
        snprintf(sentence, sizeof sentence, "%s: there is no such block: proctrack ls lists them",
                 block);
    else if (act->request.command == CONTROL_KILL_PID)
        snprintf(sentence, sizeof sentence,
                 "%s: pid %" PRIu64 " is not in it, and was left alone: proctrack ps %s lists them",
                 block, act->request.pid, block);
    else
        snprintf(sentence, sizeof sentence, "%s: it has no scope %s: nothing was killed", block,
                 act->scope ? act->scope : "");
    act_fail(&act->common, sentence);
    return CLI_ABSENT;
}

static int tell_started(struct act *act, const char *block, const msgpack_object *data)
{
    struct wps_error error;
    struct block_version version;
    _cleanup_free_ uint32_t *pids = NULL;
    size_t n;
    if (pids_reply_read(&version, &pids, &n, "killed", data, &error) < 0)
        return act_fail(&act->common, error.message);
    if (!act->common.json)
        printf("%s: killed %zu started process%s\n", block, n, n == 1 ? "" : "es");
    return n > 0 ? CLI_OK : CLI_NO;
}

static int tell(struct act *act, const char *block, const msgpack_object *data)
{
    struct wps_error error;
    struct block_version version;
    bool ok;
    if (act->request.command == CONTROL_KILL_STARTED)
        return tell_started(act, block, data);
    if (ok_reply_read(&version, &ok, data, &error) < 0)
        return act_fail(&act->common, error.message);
    if (!ok)
        return not_there(act, block, version);
    if (!act->common.json && act->request.command == CONTROL_KILL_PID)
        printf("%s: killed %" PRIu64 "\n", block, act->request.pid);
    else if (!act->common.json)
        printf("%s: killed\n", block);
    return CLI_OK;
}

int kill_main(int argc, char **argv)
{
    static const struct option options[] = {{"scope", required_argument, NULL, 's'},
                                            {"started", no_argument, NULL, OPTION_STARTED},
                                            COMMON_OPTIONS};
    const struct syntax syntax = {help, "hs:", options, 1, 2, "which block? kill BLOCK says so",
                                  take, check};
    struct kill kill = {.act = {.request = {CONTROL_REQUEST_DEFAULTS}, .tell = tell}};
    int status = arguments_read(&kill.act.common, &syntax, &kill, argc, argv);
    kill.act.common.n_words = status == CLI_GO_ON ? 1 : 0;
    return status == CLI_GO_ON ? act_on_words(&kill.act) : status;
}
