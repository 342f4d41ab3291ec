/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

/* What a subcommand is: a row of the table in main.c and a function in a file of its own. */

/* Exit statuses. `run` has those of env(1) and nohup(1), so that they stay out of the way of what
 * the command itself ends with; all others have the first four. */
enum {
    CLI_OK = 0,
    CLI_NO = 1,     /* the answer is no: something is missing, or not so */
    CLI_USAGE = 2,  /* the command line makes no sense */
    CLI_FAILED = 3, /* it could not be done: no broker, no permission */
    CLI_ABSENT = 4, /* there is no such block, or no such process in it */

    CLI_RUN_FAILED = 125,  /* run: could not join, so the command was not run; or a wrong option */
    CLI_RUN_CANNOT = 126,  /* run: the command was found and could not be executed */
    CLI_RUN_MISSING = 127, /* run: there is no such command */
};

struct command {
    const char *name;
    const char *summary; /* one line of `proctrack --help` */
    /* argv[0] is "proctrack NAME", for getopt's own messages. Returns the exit status. */
    int (*main)(int argc, char **argv);
};

int doctor_main(int argc, char **argv);
int exporter_main(int argc, char **argv);
int freeze_main(int argc, char **argv);
int kill_main(int argc, char **argv);
int ls_main(int argc, char **argv);
int ps_main(int argc, char **argv);
int rm_main(int argc, char **argv);
int run_main(int argc, char **argv);
int signal_main(int argc, char **argv);
int stats_main(int argc, char **argv);
int stop_main(int argc, char **argv);
int thaw_main(int argc, char **argv);
int top_main(int argc, char **argv);
int version_main(int argc, char **argv);
int wait_main(int argc, char **argv);
int watch_main(int argc, char **argv);

#endif
