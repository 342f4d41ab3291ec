/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack version. */

#include <stdio.h>

#include "cli/command.h"

int version_main(int argc, char **argv)
{
    if (argc > 1) {
        fprintf(stderr, "%s: takes no arguments\n", argv[0]);
        return CLI_USAGE;
    }
    puts("proctrack " PROCTRACK_VERSION);
    return CLI_OK;
}
