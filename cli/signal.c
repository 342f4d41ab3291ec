/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack signal: a signal to every process of a block. */

#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/act.h"

static const char help[] =
    "usage: proctrack signal [OPTIONS] BLOCK SIGNAL\n"
    "\n"
    "Sends SIGNAL, a number or a name such as HUP, to every process of a block.\n"
    "\n" SCOPE_HELP COMMON_OPTIONS_HELP(
        "one JSON object: the reply, and block_id") "\n"
                                                    "Exit status: 0 done; 1 there was nobody to "
                                                    "signal; 2 wrong arguments; 3 it could not be "
                                                    "done;\n"
                                                    "4 there is no such block.\n"
                                                    "\n"
                                                    "Examples:\n"
                                                    "  proctrack signal demo HUP\n"
                                                    "  proctrack signal --scope bg demo 15\n";

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    (void)option;
    return act_take_scope(self, value, error);
}

static int check(void *self, const struct common *common, struct wps_error *error)
{
    struct act *act = self;
    int result = arguments_are_blocks(common->words, 1, error);
    return result < 0 ? result
                      : argument_signal(&act->request.signal, common->words[1], "SIGNAL", error);
}

static int tell(struct act *act, const char *block, const msgpack_object *data)
{
    char name[16];
    struct wps_error error;
    struct block_version version;
    _cleanup_free_ uint32_t *pids = NULL;
    size_t n;
    if (pids_reply_read(&version, &pids, &n, "signalled", data, &error) < 0)
        return act_fail(&act->common, error.message);
    if (!act->common.json)
        printf("%s: sent %s to %zu process%s\n", block, signal_text(name, (int)act->request.signal),
               n, n == 1 ? "" : "es");
    return n > 0 ? CLI_OK : CLI_NO;
}

int signal_main(int argc, char **argv)
{
    static const struct option options[] = {{"scope", required_argument, NULL, 's'},
                                            COMMON_OPTIONS};
    const struct syntax syntax = {
        help, "hs:", options, 2, 2, "which block and which signal? signal BLOCK SIGNAL says so",
        take, check};
    struct act act = {.request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_SIGNAL_TREE},
                      .tell = tell};
    int status = arguments_read(&act.common, &syntax, &act, argc, argv);
    act.common.n_words = status == CLI_GO_ON ? 1 : 0;
    return status == CLI_GO_ON ? act_on_words(&act) : status;
}
