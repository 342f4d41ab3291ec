/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack: the table of subcommands. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

static const struct command commands[] = {
    {"ls", "list the blocks and what they use", ls_main},
    {"ps", "show the processes of blocks as trees", ps_main},
    {"top", "show blocks and processes on the whole screen, as they change", top_main},
    {"watch", "show events as they come", watch_main},
    {"run", "run a command as a member of a block, from its first instruction on", run_main},
    {"stop", "let the processes of blocks end, and kill those that do not", stop_main},
    {"kill", "kill a block, or one process of it", kill_main},
    {"signal", "send a signal to all processes of a block", signal_main},
    {"freeze", "let blocks have no processor", freeze_main},
    {"thaw", "let frozen blocks go on", thaw_main},
    {"wait", "wait until blocks are empty", wait_main},
    {"rm", "end blocks and take them away", rm_main},
    {"stats", "say what the module counted", stats_main},
    {"exporter", "serve what is counted to Prometheus, over HTTP", exporter_main},
    {"doctor", "say what works here, what is missing, and what would mend it", doctor_main},
    {"version", "say which version this is", version_main},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static int help(FILE *to)
{
    fputs(
        "usage: proctrack COMMAND [OPTIONS] [ARGS]\n"
        "       proctrack COMMAND --help\n"
        "       proctrack --help | --version\n"
        "\n"
        "Every process of every block: seen, listed, ended. It talks to a broker (wpsd) that has\n"
        "the module proctrack.so.\n"
        "\n",
        to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("\n"
          "The broker is found by --endpoint, else in the runtime directory: --runtime-dir, else\n"
          "$WPS_RUNTIME_DIR, else /run/wps for root, else $XDG_RUNTIME_DIR/wps.\n"
          "\n"
          "Exit status: 0 done; 1 the answer is no; 2 wrong arguments; 3 it could not be done;\n"
          "4 there is no such block or process.\n"
          "`run` has others: see proctrack run --help.\n",
          to);
    return to == stdout ? CLI_OK : CLI_USAGE;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    char name[32];
    snprintf(name, sizeof name, "proctrack %s", command->name);
    argv[0] = name;
    optind = 0; /* begin anew (getopt(3), Notes) */
    return command->main(argc, argv);
}

static int dispatch(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "+hV", options, NULL)) != -1;) {
        if (c == 'h')
            return help(stdout);
        if (c == 'V')
            return run_command(find("version"), 1, argv);
        fputs("Try 'proctrack --help'.\n", stderr);
        return CLI_USAGE;
    }
    if (optind == argc)
        return help(stderr);
    if (strcmp(argv[optind], "help") == 0)
        return help(stdout);
    const struct command *command = find(argv[optind]);
    if (!command) {
        fprintf(stderr, "proctrack: '%s' is no command of it: see proctrack --help\n",
                argv[optind]);
        return CLI_USAGE;
    }
    return run_command(command, argc - optind, argv + optind);
}

/* Where a standard descriptor is closed, the next file or socket would take its place and get what
 * is written there. The filling is gone with exec, so a command that is run finds it closed too. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", (fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) | O_CLOEXEC) != fd)
            return;
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    setlocale(LC_CTYPE, ""); /* which characters a terminal can show */
    int status = dispatch(argc, argv);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno == EPIPE) /* whoever read it has enough */
            return status;
        fprintf(stderr, "proctrack: cannot write the output: %s\n", strerror(errno));
        return status == CLI_OK ? CLI_FAILED : status;
    }
    return status;
}
