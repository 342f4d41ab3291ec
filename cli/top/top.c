/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack top: the blocks on a full screen, as they are now. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "cli/act.h"
#include "cli/signals.h"
#include "cli/top/acts.h"
#include "cli/top/draw.h"
#include "cli/top/feed.h"
#include "cli/top/stream.h"

static const char help[] =
    "usage: proctrack top [OPTIONS] [BLOCK|PATTERN]...\n"
    "\n"
    "Shows the blocks (all where none is named) and the trees of their processes on the whole "
    "screen,\n"
    "as they change: who is born and who dies is seen for a moment, and graphs show the number of\n"
    "processes and their memory over the last five minutes. PATTERN is as a shell has it, in "
    "quotes:\n"
    "'build-*'. Memory and use of the processor are read of the blocks that are in sight. Keys: ? "
    "tells\n"
    "them; q ends it. It asks before it ends a process.\n"
    "\n"
    "  -i, --interval=TIME  how often memory and use of the processor are read, such as 500ms "
    "(2s)\n"
    "  -o, --order=ORDER    birth, memory, cpu, processes or command (birth)\n"
    "  -f, --filter=TEXT    only what has this in its command, pid, block or scope\n"
    "  -l, --list           all processes in one list, in place of trees\n"
    "      --ascii          draw with nothing but ASCII\n"
    "  -n, --iterations=N   with --json: end after so many objects\n"
    "      --events=ENDPOINT\n"
    "                       events socket of the broker (beside the control socket)\n"
    "      --rpc=ENDPOINT   rpc socket of the broker (beside the control "
    "socket)\n" COMMON_OPTIONS_HELP(
        "no screen: one JSON object each interval, a line each, with what the blocks\n"
        "                       have and use") "\n"
                                               "Exit status: 0 done; 2 wrong arguments; 3 it could "
                                               "not be done: no broker, no terminal.\n"
                                               "Ctrl-C and SIGTERM end it in order, as that signal "
                                               "(130 and 143 in a shell).\n"
                                               "\n"
                                               "Examples:\n"
                                               "  proctrack top\n"
                                               "  proctrack top --order cpu --interval 1s "
                                               "'build-*'\n"
                                               "  proctrack top --json --iterations 1\n";

enum { OPTION_ASCII = OPTION_NEXT, OPTION_EVENTS, OPTION_RPC };

enum {
    INTERVAL_MS = 2000,
    INTERVAL_MIN_MS = 100,
    FRAME_MS = 200,    /* a picture at most so often, where nobody presses a key */
    KEY_FRAME_MS = 30, /* where somebody does */
    TICK_MS = 1000,    /* and at least so often: ages grow */
    MOMENT_MS = 20,    /* time goes on in such steps: one costs a look at each block */
    KEYS_MAX = 64,     /* keys that are taken before the next picture: a paste is long */
};

struct top {
    struct common common;
    struct feed_sockets sockets;
    uint64_t interval_ms, iterations;
    bool ascii;

    struct broker broker;
    struct screen screen;
    struct model model;
    struct ui ui;
    struct feed feed;
    struct acts acts;
    int signals_fd, signal;
    int64_t drawn_ms, key_ms; /* CLOCK_MONOTONIC; key_ms: 0, or when one was pressed */
};

/* ---- options -------------------------------------------------------------------------------- */

static int take_order(struct rows *rows, const char *value, struct wps_error *error)
{
    for (enum rows_sort sort = 0; sort < ROWS_SORTS; sort++)
        if (strcmp(value, rows_sort_name(sort)) == 0) {
            rows->sort = sort;
            return 0;
        }
    return wps_error_set(error, -EINVAL,
                         "--order: expected birth, memory, cpu, processes or command, got '%s'",
                         value);
}

static int take_filter(struct rows *rows, const char *value, struct wps_error *error)
{
    if (strlen(value) > ROWS_FILTER_MAX)
        return wps_error_set(error, -EINVAL, "--filter: at most %d bytes", ROWS_FILTER_MAX);
    strcpy(rows->filter, value);
    return 0;
}

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    struct top *top = self;
    switch (option) {
    case 'i':
        return argument_duration(&top->interval_ms, value, "--interval", error);
    case 'o':
        return take_order(&top->ui.rows, value, error);
    case 'f':
        return take_filter(&top->ui.rows, value, error);
    case 'l':
        top->ui.rows.flat = true;
        return 0;
    case 'n':
        return argument_number(&top->iterations, value, 1, UINT32_MAX, "--iterations", error);
    case OPTION_ASCII:
        top->ascii = true;
        return 0;
    case OPTION_EVENTS:
        top->sockets.events = value;
        return 0;
    default:
        top->sockets.rpc = value;
        return 0;
    }
}

static int check(void *self, const struct common *common, struct wps_error *error)
{
    const struct top *top = self;
    int result = 0;
    if (top->interval_ms < INTERVAL_MIN_MS)
        return wps_error_set(error, -EINVAL, "--interval: at least %dms", INTERVAL_MIN_MS);
    if (top->iterations && !common->json)
        return wps_error_set(error, -EINVAL, "--iterations is for --json");
    for (size_t i = 0; i < common->n_words && result == 0; i++)
        if (!strpbrk(common->words[i], "*?["))
            result = arguments_are_blocks(&common->words[i], 1, error);
    return result;
}

/* ---- signals -------------------------------------------------------------------------------- */

/* Stops as the default of Ctrl-Z does, with the terminal as it was; returns when it goes on. */
static void stop_a_while(struct top *top)
{
    sigset_t set;
    screen_leave(&top->screen);
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* here it stops */
    sigprocmask(SIG_BLOCK, &set, NULL);
    screen_return(&top->screen);
}

static void take_signals(struct top *top)
{
    for (int number; (number = signals_read(top->signals_fd)) != 0;) {
        top->ui.changed = true;
        if (number == SIGWINCH) {
            screen_resized(&top->screen);
        } else if (number == SIGTSTP) {
            stop_a_while(top);
        } else if (number == SIGCONT) { /* after a SIGSTOP the terminal may have been another's */
            screen_leave(&top->screen);
            screen_return(&top->screen);
        } else {
            top->signal = number;
            return;
        }
    }
}

/* ---- keys ----------------------------------------------------------------------------------- */

static void take_keys(struct top *top)
{
    bool is_key = false;
    for (int i = 0; i < KEYS_MAX && !top->ui.quit; i++) {
        int key = screen_key(&is_key);
        if (key == SCREEN_NO_TERMINAL)
            top->ui.quit = true;
        if (key < 0)
            return;
        rows_update(&top->ui.rows, &top->model);
        ui_key(&top->ui, key, is_key);
        top->key_ms = monotonic_ms();
    }
}

/* ---- pictures ------------------------------------------------------------------------------- */

/* A terminal that takes nothing now (Ctrl-S, a link that hangs) is not waited for. */
static bool takes_output(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&output, 1, 0) == 1 && output.revents & POLLOUT;
}

/* How long until the next picture, in milliseconds. */
static int64_t picture_in(const struct top *top)
{
    bool changed = top->model.changed || top->ui.changed || top->ui.rows.changed;
    int64_t pause = top->key_ms > top->drawn_ms                 ? KEY_FRAME_MS
                    : changed || model_is_flashing(&top->model) ? FRAME_MS
                                                                : TICK_MS;
    int64_t left = top->drawn_ms + pause - monotonic_ms();
    return left > 0 ? left : 0;
}

static void draw_if_due(struct top *top)
{
    struct ui *ui = &top->ui;
    if (picture_in(top) > 0)
        return;
    top->drawn_ms = monotonic_ms();
    if (!takes_output())
        return; /* once more when the next one is due */
    if (rows_update(&ui->rows, &top->model) < 0)
        top->model.out_of_memory = true;
    top->model.changed = ui->changed = false;
    if (ui->redraw)
        screen_redraw();
    ui->redraw = false;
    draw(&top->screen, ui);
}

static void tick(struct top *top)
{
    int64_t now_ms = monotonic_ms();
    if (now_ms - top->model.now_ms < MOMENT_MS)
        return;
    model_tick(&top->model, now_ms, realtime_ms());
    ui_tick(&top->ui);
    acts_tick(&top->acts);
}

/* Samples what the last picture shows. Where the rows are out of date the next picture comes first.
 */
static int64_t sample(struct top *top)
{
    const struct rows *rows = &top->ui.rows;
    size_t left = rows->n > rows->first ? rows->n - rows->first : 0;
    if (top->model.changed || rows->changed)
        return (int64_t)top->interval_ms;
    return feed_sample(&top->feed, rows->rows + rows->first,
                       left < top->ui.page ? left : top->ui.page);
}

/* ---- its life ------------------------------------------------------------------------------- */

static int wait_for(struct top *top, int64_t wait_ms)
{
    zmq_pollitem_t items[] = {
        {.fd = top->signals_fd, .events = ZMQ_POLLIN},
        {.fd = STDIN_FILENO, .events = ZMQ_POLLIN},
        {.fd = proctrack_mirror_fd(top->feed.mirror), .events = ZMQ_POLLIN},
        {.socket = top->acts.socket, .events = ZMQ_POLLIN},
    };
    return zmq_poll(items, 4, (long)wait_ms) < 0 && errno != EINTR ? -errno : 0;
}

/* Until it is quit, or a signal comes. */
static int follow(struct top *top, struct wps_error *error)
{
    struct proctrack_error why;
    while (!top->ui.quit && !top->signal) {
        tick(top);
        draw_if_due(top);
        int64_t until_sample = sample(top), until_picture = picture_in(top);
        int result = wait_for(top, until_sample < until_picture ? until_sample : until_picture);
        take_signals(top);
        if (result == 0)
            result = proctrack_mirror_dispatch(top->feed.mirror, &why) < 0 ? -EIO : 0;
        if (result < 0)
            return wps_error_set(error, result, "cannot go on: %s",
                                 result == -EIO ? why.message : zmq_strerror(-result));
        acts_read(&top->acts);
        take_keys(top);
    }
    return 0;
}

static int show(struct top *top, struct wps_error *error)
{
    int result = screen_open(&top->screen, top->ascii, error);
    if (result == 0)
        result = acts_open(&top->acts, &top->broker, &top->ui, error);
    if (result == 0)
        result = follow(top, error);
    screen_close(&top->screen);
    acts_close(&top->acts);
    return result;
}

static int run(struct top *top, struct wps_error *error)
{
    if (model_init(&top->model) < 0)
        return wps_error_system(error, -ENOMEM, "cannot begin");
    top->ui.model = &top->model;
    top->ui.act = acts_act;
    top->ui.context = &top->acts;
    top->feed = (struct feed){.ui = &top->ui,
                              .words = top->common.words,
                              .n_words = top->common.n_words,
                              .interval_ms = top->interval_ms};
    model_tick(&top->model, monotonic_ms(), realtime_ms());
    int result = feed_open(&top->feed, &top->broker, &top->sockets, error);
    if (result < 0)
        return result;
    if (!top->common.json)
        return show(top, error);
    return stream(&top->feed, top->iterations, top->signals_fd, &top->signal, error);
}

static int act_on_options(struct top *top)
{
    static const int more[] = {SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
    struct wps_error error;
    int status = act_open_broker(&top->broker, &top->common);
    if (status != CLI_OK)
        return status;
    top->signals_fd = signals_open_with(more, top->common.json ? 0 : sizeof more / sizeof *more);
    if (run(top, &error) < 0)
        status = act_fail(&top->common, error.message);
    feed_close(&top->feed);
    rows_destroy(&top->ui.rows);
    model_destroy(&top->model);
    broker_close(&top->broker);
    signals_close(top->signals_fd, top->signal);
    return status;
}

int top_main(int argc, char **argv)
{
    static const struct option options[] = {{"interval", required_argument, NULL, 'i'},
                                            {"order", required_argument, NULL, 'o'},
                                            {"filter", required_argument, NULL, 'f'},
                                            {"list", no_argument, NULL, 'l'},
                                            {"ascii", no_argument, NULL, OPTION_ASCII},
                                            {"iterations", required_argument, NULL, 'n'},
                                            {"events", required_argument, NULL, OPTION_EVENTS},
                                            {"rpc", required_argument, NULL, OPTION_RPC},
                                            COMMON_OPTIONS};
    const struct syntax syntax = {help, "hi:o:f:ln:", options, 0, SIZE_MAX, "", take, check};
    struct top top = {.interval_ms = INTERVAL_MS};
    int status = arguments_read(&top.common, &syntax, &top, argc, argv);
    return status == CLI_GO_ON ? act_on_options(&top) : status;
}
