/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack exporter: becomes proctrack-exporter, which is a program of its own so that the HTTP
 * library and all that it brings are not loaded by each `proctrack`. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/programs.h"

#define PROGRAM "proctrack-exporter"

int exporter_main(int argc, char **argv)
{
    (void)argc;
    char *program = program_beside_us(PROGRAM);
    if (!program)
        program = program_beside_us(PROCTRACK_PLUGIN_FROM_BIN "/" PROGRAM);
    if (!program) {
        fputs("proctrack exporter: there is no " PROGRAM " beside proctrack, nor where plugins "
              "are installed\n",
              stderr);
        return CLI_FAILED;
    }
    execv(program, argv);
    fprintf(stderr, "proctrack exporter: cannot run %s: %s\n", program, strerror(errno));
    return CLI_FAILED;
}
