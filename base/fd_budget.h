/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_FD_BUDGET_H
#define BASE_FD_BUDGET_H

/*
 * A reserve of descriptors. Who holds one for long asks whether it is still outside the reserve,
 * and gives it back where it is not. The kernel always hands out the lowest number that is free, so
 * the number of a new one tells how many are in use by all of the process, and nothing has to be
 * counted.
 *
 *     0 ......................................... end ................ limit of the process
 *       held for long, by us and by anybody else      the reserve: connections, and files that are
 *                                                     open for a moment
 */

#include <stdbool.h>
#include <stdint.h>

/* The first number that is in the reserve: `reserve` below what RLIMIT_NOFILE is now, but a quarter
 * of it at most. Any thread. */
int fd_budget_end(uint64_t reserve);

/* What RLIMIT_NOFILE is now. Any thread. */
int fd_budget_limit(void);

/* Gives a descriptor back that is in the reserve: closes it, sets it to -1, returns -EMFILE. An
 * `end` of 0 stands for no reserve. */
int fd_budget_take(int *fd, int end);

#endif
