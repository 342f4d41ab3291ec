/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack freeze and thaw: processes that get no processor, and do not notice. */

#include "cli/act.h"

static const char help_freeze[] =
    "usage: proctrack freeze [OPTIONS] BLOCK...\n"
    "\n"
    "Freezes all processes of each block: they get no processor until proctrack thaw, and do not\n"
    "notice. Needs the tracker cgroup.\n"
    "\n" SCOPE_HELP COMMON_OPTIONS_HELP(
        ACT_JSON_HELP) "\n"
                       "Exit status: 0 done; 2 wrong arguments; 3 it could not be done; 4 there is "
                       "no such block.\n"
                       "\n"
                       "Examples:\n"
                       "  proctrack freeze demo\n"
                       "  proctrack freeze --scope bg demo\n";

static const char help_thaw[] =
    "usage: proctrack thaw [OPTIONS] BLOCK...\n"
    "\n"
    "Lets the processes of each block go on that proctrack freeze has frozen.\n"
    "\n" SCOPE_HELP COMMON_OPTIONS_HELP(
        ACT_JSON_HELP) "\n"
                       "Exit status: 0 done; 2 wrong arguments; 3 it could not be done; 4 there is "
                       "no such block.\n"
                       "\n"
                       "Examples:\n"
                       "  proctrack thaw demo\n"
                       "  proctrack thaw --scope bg demo\n";

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    (void)option;
    return act_take_scope(self, value, error);
}

static int check(void *self, const struct common *common, struct wps_error *error)
{
    (void)self;
    return arguments_are_blocks(common->words, common->n_words, error);
}

static int tell(struct act *act, const char *block, const msgpack_object *data)
{
    struct wps_error error;
    struct block_version version;
    bool ok;
    if (ok_reply_read(&version, &ok, data, &error) < 0)
        return act_fail(&act->common, error.message);
    if (ok && !act->common.json)
        printf("%s: %s\n", block, act->request.command == CONTROL_FREEZE ? "frozen" : "thawed");
    return ok ? CLI_OK : CLI_ABSENT;
}

static int run(int argc, char **argv, const char *help, enum control_command command)
{
    static const struct option options[] = {{"scope", required_argument, NULL, 's'},
                                            COMMON_OPTIONS};
    const struct syntax syntax = {help, "hs:",    options,
                                  1,    SIZE_MAX, "which block? BLOCK behind the options says so",
                                  take, check};
    struct act act = {.request = {CONTROL_REQUEST_DEFAULTS, .command = command}, .tell = tell};
    int status = arguments_read(&act.common, &syntax, &act, argc, argv);
    return status == CLI_GO_ON ? act_on_words(&act) : status;
}

int freeze_main(int argc, char **argv)
{
    return run(argc, argv, help_freeze, CONTROL_FREEZE);
}

int thaw_main(int argc, char **argv)
{
    return run(argc, argv, help_thaw, CONTROL_THAW);
}
