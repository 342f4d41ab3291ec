/* SPDX-License-Identifier: Apache-2.0 */

/* ncurses, and nothing of what it shows. */

#include "cli/top/screen.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define NCURSES_NOMACROS
#include <curses.h>

#include "cli/top/terminfo.h"

enum { ESCAPE_MS = 50, MARKS_MAX = 2 };

/* ---- looks ---------------------------------------------------------------------------------- */

struct style {
    attr_t plain;  /* without colours */
    attr_t colour; /* besides the pair */
    short ink, paper;
};

static const struct style styles[LOOKS] = {
    [LOOK_TITLE] = {A_BOLD, A_BOLD, -1, -1},
    [LOOK_HEAD] = {A_REVERSE, A_NORMAL, COLOR_BLACK, COLOR_CYAN},
    [LOOK_BLOCK] = {A_BOLD, A_BOLD, COLOR_CYAN, -1},
    [LOOK_FAINT] = {A_NORMAL, A_DIM, -1, -1},
    [LOOK_BORN] = {A_BOLD, A_BOLD, COLOR_GREEN, -1},
    [LOOK_DEAD] = {A_UNDERLINE, A_NORMAL, COLOR_RED, -1},
    [LOOK_BUSY] = {A_BOLD, A_BOLD, COLOR_YELLOW, -1},
    [LOOK_GRAPH] = {A_NORMAL, A_NORMAL, COLOR_GREEN, -1},
    [LOOK_GRAPH_2] = {A_NORMAL, A_NORMAL, COLOR_MAGENTA, -1},
    [LOOK_WARN] = {A_BOLD, A_NORMAL, COLOR_YELLOW, -1},
    [LOOK_BAD] = {A_REVERSE | A_BOLD, A_BOLD, COLOR_WHITE, COLOR_RED},
    [LOOK_KEY] = {A_REVERSE, A_NORMAL, COLOR_BLACK, COLOR_CYAN},
};

static bool coloured;

static void make_looks(const struct term *term)
{
    coloured = term->colour && has_colors() && start_color() == OK && use_default_colors() == OK;
    for (short i = 1; i < LOOKS && coloured; i++)
        if (styles[i].ink != -1 || styles[i].paper != -1)
            init_pair(i, styles[i].ink, styles[i].paper);
}

static attr_t attributes(unsigned look, short *ret_pair)
{
    unsigned which = look & ~(unsigned)LOOK_SELECTED;
    bool pair = coloured && (styles[which].ink > 0 || styles[which].paper > 0);
    attr_t attribute = coloured ? styles[which].colour : styles[which].plain;
    *ret_pair = pair ? (short)which : 0;
    if (look & LOOK_SELECTED) {
        *ret_pair = which == LOOK_FAINT ? 0 : *ret_pair;
        attribute = (attribute & ~A_DIM) | A_REVERSE;
    }
    return attribute;
}

/* ---- its life ------------------------------------------------------------------------------- */

/* ncurses takes over these where they have their default; here they are read from a descriptor. */
static const int own_signals[] = {SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
enum { N_OWN = sizeof own_signals / sizeof *own_signals };

static int start(struct screen *self)
{
    struct sigaction before[N_OWN];
    for (size_t i = 0; i < N_OWN; i++)
        sigaction(own_signals[i], NULL, &before[i]);
    self->set = newterm(NULL, stdout, stdin);
    for (size_t i = 0; i < N_OWN; i++)
        sigaction(own_signals[i], &before[i], NULL);
    return self->set ? 0 : -ENOTSUP;
}

int screen_open(struct screen *self, bool ascii, struct wps_error *error)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return wps_error_set(error, -ENOTTY,
                             "it draws on a terminal, and standard input and output are none: "
                             "--json, proctrack ps and proctrack watch are for pipes");
    if (!terminfo_is_able(STDOUT_FILENO)) {
        const char *name = getenv("TERM");
        return wps_error_set(
            error, -ENOTSUP,
            "a terminal of the kind '%s' ($TERM) is not known here, or cannot move "
            "its cursor: proctrack ps and proctrack watch need nothing of it",
            name ? name : "");
    }
    *self = (struct screen){.term = term_of(STDOUT_FILENO)};
    self->term.utf8 = self->term.utf8 && !ascii;
    if (start(self) < 0)
        return wps_error_set(error, -ENOTSUP, "cannot draw on this terminal");
    cbreak();
    noecho();
    nonl();
    set_escdelay(ESCAPE_MS);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    leaveok(stdscr, FALSE);
    curs_set(0);
    make_looks(&self->term);
    self->open = true;
    screen_resized(self);
    return 0;
}

void screen_leave(struct screen *self)
{
    if (!self->open)
        return;
    erase(); /* a terminal that was resized meanwhile may keep some of it */
    refresh();
    curs_set(1);
    endwin();
    fflush(stdout);
    self->open = false;
}

void screen_return(struct screen *self)
{
    if (self->open || !self->set)
        return;
    reset_prog_mode();
    self->open = true;
    screen_resized(self);
    screen_redraw();
    curs_set(0);
}

void screen_close(struct screen *self)
{
    screen_leave(self);
    if (self->set)
        delscreen(self->set);
    self->set = NULL;
}

void screen_resized(struct screen *self)
{
    struct winsize size;
    if (self->open && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 &&
        size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
}

int screen_width(void)
{
    return getmaxx(stdscr);
}

int screen_height(void)
{
    return getmaxy(stdscr);
}

/* ---- drawing -------------------------------------------------------------------------------- */

void screen_begin(void)
{
    erase();
}

void screen_end(void)
{
    move(getmaxy(stdscr) - 1, 0);
    refresh();
}

void screen_redraw(void)
{
    clearok(curscr, TRUE);
}

/* The next character, and how many columns it takes: 0, 1 or 2. A mark that stands on nothing, or
 * on too many others, is left out: then -1. */
static int next_character(const char **text, wchar_t *ret, unsigned *marks)
{
    mbstate_t state = {0};
    size_t size = mbrtowc(ret, *text, MB_CUR_MAX, &state);
    if (size == 0 || size > MB_CUR_MAX) {
        *ret = L'?';
        size = 1;
    }
    *text += size;
    int columns = wcwidth(*ret);
    if (columns == 0)
        return (*marks)++ < MARKS_MAX ? 0 : -1;
    *marks = columns > 0 ? 0 : MARKS_MAX;
    return columns;
}

int screen_put(int line, int column, int width, unsigned look, const char *text)
{
    wchar_t buffer[SCREEN_LINE];
    unsigned marks = MARKS_MAX; /* none at the beginning */
    int taken = 0, n = 0;
    width = width > screen_width() - column ? screen_width() - column : width;
    if (line < 0 || line >= screen_height() || column < 0)
        return 0;
    while (*text && n < SCREEN_LINE - 1) {
        int columns = next_character(&text, &buffer[n], &marks);
        if (columns < 0)
            continue;
        if (taken + columns > width)
            break;
        taken += columns;
        n++;
    }
    short pair;
    attr_t attribute = attributes(look, &pair);
    attr_set(attribute, pair, NULL);
    mvaddnwstr(line, column, buffer, n);
    attr_set(A_NORMAL, 0, NULL);
    return taken;
}

int screen_putf(int line, int column, int width, unsigned look, const char *format, ...)
{
    char text[SCREEN_LINE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return screen_put(line, column, width, look, text);
}

int screen_put_right(int line, int column, int width, unsigned look, const char *text)
{
    int columns = screen_columns(text);
    int blank = columns < width ? width - columns : 0;
    return blank + screen_put(line, column + blank, width - blank, look, text);
}

void screen_fill(int line, int column, int width, unsigned look)
{
    short pair;
    attr_t attribute = attributes(look, &pair);
    width = width > screen_width() - column ? screen_width() - column : width;
    if (width <= 0 || line < 0 || line >= screen_height())
        return;
    attr_set(attribute, pair, NULL);
    mvhline(line, column, ' ' | attribute | COLOR_PAIR(pair), width);
    attr_set(A_NORMAL, 0, NULL);
}

/* Goes on until there are more columns than `width`. */
static int walk(const char **text, int width)
{
    unsigned marks = MARKS_MAX;
    int taken = 0;
    while (**text) {
        const char *next = *text;
        wchar_t wide;
        int columns = next_character(&next, &wide, &marks);
        if (columns > 0 && taken > 0 && columns > width - taken)
            break;
        taken += columns > 0 ? columns : 0;
        *text = next;
    }
    return taken;
}

int screen_columns(const char *text)
{
    return walk(&text, INT_MAX);
}

size_t screen_fits(const char *text, int width)
{
    const char *end = text;
    walk(&end, width);
    return (size_t)(end - text);
}

/* ---- keys ----------------------------------------------------------------------------------- */

/* The other end of the terminal is closed, or it is not our controlling terminal any more. */
static bool is_lost(void)
{
    struct pollfd terminal = {.fd = STDIN_FILENO};
    return poll(&terminal, 1, 0) == 1 && terminal.revents & (POLLHUP | POLLERR | POLLNVAL);
}

int screen_key(bool *ret_is_key)
{
    wint_t key;
    int result = get_wch(&key);
    if (result == ERR)
        return is_lost() ? SCREEN_NO_TERMINAL : SCREEN_NO_KEY;
    *ret_is_key = result == KEY_CODE_YES;
    return (int)key;
}
