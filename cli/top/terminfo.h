/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_TERMINFO_H
#define CLI_TOP_TERMINFO_H

/* What is known of a kind of terminal. Apart from screen.c, for <term.h> makes macros of many plain
 * words. */

#include <stdbool.h>

/* True where $TERM names a kind that is known here and can move its cursor: a picture can be drawn
 * on it. Nothing is written. */
bool terminfo_is_able(int fd);

#endif
