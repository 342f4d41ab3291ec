/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The process that is spawned: as small as one can be, so that what is measured is the tracker.
 *
 *     leaf exit STATUS ...      ends at once
 *     leaf signal NUMBER ...    is ended by that signal at once
 *     leaf life MS ...          ends after so long
 *     leaf wait ...             waits for its end
 */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int number = argc > 2 ? atoi(argv[2]) : 0;
    if (argc < 2)
        return 2;
    if (strcmp(argv[1], "exit") == 0)
        _exit(number);
    if (strcmp(argv[1], "signal") == 0)
        kill(getpid(), number);
    if (strcmp(argv[1], "life") == 0) {
        nanosleep(&(struct timespec){number / 1000, number % 1000 * 1000000L}, NULL);
        _exit(0);
    }
    for (;;)
        pause();
}
