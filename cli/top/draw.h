/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_DRAW_H
#define CLI_TOP_DRAW_H

/* The picture of a state: totals and graphs above, rows below them, and a line of keys, or of what
 * is asked or said. Text of others is made fit for the terminal here. */

#include "cli/top/screen.h"
#include "cli/top/ui.h"

/* Draws all of it, and says in the state how many rows are in sight. */
void draw(const struct screen *screen, struct ui *ui);

/* ---- for the parts of it -------------------------------------------------------------------- */

/* The rows, with the names of their columns above them. draw_rows.c */
void draw_rows(const struct screen *screen, struct ui *ui, int line, int height);

/* The boxes: the keys; all that is known of what is selected. draw_box.c */
void draw_help(const struct screen *screen);
void draw_detail(const struct screen *screen, const struct ui *ui);

/* Puts text of others, made safe. Returns the columns that it took. */
int draw_foreign(const struct screen *screen, int line, int column, int width, unsigned look,
                 const char *text);

/* "12s", "3m", "2h", "4d": so coarse that it seldom changes. */
const char *draw_age(char buffer[static TERM_NUMBER], uint64_t since_ms, uint64_t now_ms);

/* "7.5": of one processor, in hundredths. */
const char *draw_cpu(char buffer[static TERM_NUMBER], uint64_t cpu);

#endif
