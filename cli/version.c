/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack version. */

#include <stdio.h>

#include "cli/arguments.h"
#include "cli/json.h"

static const char help[] =
    "usage: proctrack version [OPTIONS]\n"
    "\n"
    "Says which version this command has. (That of the module: proctrack doctor.)\n"
    "\n" COMMON_OPTIONS_HELP(
        "one JSON object: name and version") "\n"
                                             "Exit status: 0 done; 2 wrong arguments.\n"
                                             "\n"
                                             "Examples:\n"
                                             "  proctrack version\n";

int version_main(int argc, char **argv)
{
    static const struct option options[] = {COMMON_OPTIONS};
    const struct syntax syntax = {help, "h", options, 0, 0, "", NULL, NULL};
    struct common common = {0};
    int status = arguments_read(&common, &syntax, NULL, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    if (common.json)
        return json_line(
                   json_pack("{s:s, s:s}", "name", "proctrack", "version", PROCTRACK_VERSION)) < 0
                   ? CLI_FAILED
                   : CLI_OK;
    puts("proctrack " PROCTRACK_VERSION);
    return CLI_OK;
}
