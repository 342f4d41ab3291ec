/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack wait: until a block is empty. */

#include <inttypes.h>

#include "cli/act.h"

static const char help[] =
    "usage: proctrack wait [OPTIONS] BLOCK...\n"
    "\n"
    "Waits until none of the blocks has a process any more. It ends nothing itself. A block that "
    "is\n"
    "taken away meanwhile is empty too.\n"
    "\n"
    "  -t, --timeout=TIME   how long at most, such as 500ms, 10s or 2m (a day)\n" SCOPE_HELP
        COMMON_OPTIONS_HELP(
            ACT_JSON_HELP) "\n"
                           "Exit status: 0 all are empty; 1 the time is over and one is not; 2 "
                           "wrong arguments; 3 it could\n"
                           "not be done; 4 there is no such block.\n"
                           "\n"
                           "Examples:\n"
                           "  proctrack wait demo\n"
                           "  proctrack wait --timeout 30s demo || proctrack kill demo\n";

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    struct act *act = self;
    if (option == 's')
        return act_take_scope(act, value, error);
    return argument_duration(&act->request.timeout_ms, value, "--timeout", error);
}

static int check(void *self, const struct common *common, struct wps_error *error)
{
    struct act *act = self;
    act->wait_ms = (int64_t)act->request.timeout_ms;
    return arguments_are_blocks(common->words, common->n_words, error);
}

static int tell(struct act *act, const char *block, const msgpack_object *data)
{
    struct wps_error error;
    struct block_version version;
    bool empty;
    uint64_t remaining;
    if (wait_reply_read(&version, &empty, &remaining, data, &error) < 0)
        return act_fail(&act->common, error.message);
    if (!act->common.json && empty)
        printf("%s: empty\n", block);
    else if (!act->common.json)
        printf("%s: %" PRIu64 " process%s left\n", block, remaining,
               remaining == 1 ? " is" : "es are");
    return empty ? CLI_OK : CLI_NO;
}

int wait_main(int argc, char **argv)
{
    static const struct option options[] = {{"scope", required_argument, NULL, 's'},
                                            {"timeout", required_argument, NULL, 't'},
                                            COMMON_OPTIONS};
    const struct syntax syntax = {
        help, "hs:t:", options, 1, SIZE_MAX, "which block? wait BLOCK says so", take, check};
    struct act act = {.request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_WAIT_EMPTY},
                      .tell = tell};
    act.request.timeout_ms = CONTROL_TIMEOUT_MS_MAX;
    int status = arguments_read(&act.common, &syntax, &act, argc, argv);
    return status == CLI_GO_ON ? act_on_words(&act) : status;
}
