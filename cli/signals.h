/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

/* Ctrl-C while something is waited for: it is read from a descriptor among the others that are
 * waited for, what is on the screen is put in order, and then the process ends by that signal, as a
 * shell expects it (status 130 or 143 there). */

#include <stddef.h>

/* SIGINT, SIGTERM and SIGHUP are read from the descriptor that this returns from here on; those
 * that the caller ignores stay ignored. Before threads are made. A negative errno. */
int signals_open(void);

/* The same with `n` more of them, SIGWINCH for one. */
int signals_open_with(const int *more, size_t n);

/* The signal that came; 0: none. */
int signals_read(int fd);

/* Closes it, and signals are as they were. `signal` (0: none): ends the process by it. */
void signals_close(int fd, int signal);

#endif
