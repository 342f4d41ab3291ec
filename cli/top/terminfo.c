/* SPDX-License-Identifier: Apache-2.0 */

/* terminfo(5), by ncurses. */

#include "cli/top/terminfo.h"

#include <stdlib.h>

#include <curses.h>
#include <term.h>

bool terminfo_is_able(int fd)
{
    const char *name = getenv("TERM");
    int status;
    if (!name || !*name || setupterm(NULL, fd, &status) != OK)
        return false;
    bool able = cursor_address != NULL;
    del_curterm(cur_term);
    return able;
}
