/* SPDX-License-Identifier: Apache-2.0 */

/* The frame of the picture. */

#include "cli/top/draw.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum { WIDTH_MIN = 24, HEIGHT_MIN = 5, LABEL = 13, GRAPH_MIN = 8 };

/* ---- text ----------------------------------------------------------------------------------- */

int draw_foreign(const struct screen *screen, int line, int column, int width, unsigned look,
                 const char *text)
{
    _cleanup_free_ char *safe = term_safe(&screen->term, text_of(text));
    return screen_put(line, column, width, look, safe ? safe : "?");
}

const char *draw_age(char buffer[static TERM_NUMBER], uint64_t since_ms, uint64_t now_ms)
{
    static const struct {
        unsigned seconds;
        char name;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    uint64_t s = now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0;
    size_t i = 0;
    while (units[i].seconds > 1 && s < units[i].seconds)
        i++;
    snprintf(buffer, TERM_NUMBER, "%" PRIu64 "%c", s / units[i].seconds, units[i].name);
    return buffer;
}

const char *draw_cpu(char buffer[static TERM_NUMBER], uint64_t cpu)
{
    if (cpu < UINT64_C(10) * MODEL_ONE_CPU)
        snprintf(buffer, TERM_NUMBER, "%" PRIu64 ".%u", cpu / 10, (unsigned)(cpu % 10));
    else
        snprintf(buffer, TERM_NUMBER, "%" PRIu64, cpu / 10);
    return buffer;
}

/* ---- totals --------------------------------------------------------------------------------- */

static void draw_order(const struct screen *screen, const struct ui *ui, int column, int width)
{
    char text[128];
    const struct rows *rows = &ui->rows;
    const char *up = screen->term.utf8 ? "▲" : "^", *down = screen->term.utf8 ? "▼" : "v";
    bool most_first = rows->sort != ROWS_BY_BIRTH && rows->sort != ROWS_BY_COMMAND;
    snprintf(text, sizeof text, " %sby %s %s ", rows->flat ? "all " : "",
             rows_sort_name(rows->sort), most_first != rows->reverse ? down : up);
    screen_put_right(0, column, width, LOOK_FAINT, text);
}

static void draw_totals(const struct screen *screen, const struct ui *ui)
{
    char bytes[TERM_NUMBER], cpu[TERM_NUMBER];
    const struct model *model = ui->model;
    const int width = screen_width();
    uint32_t born = model_rate_of(&model->births, model->now_ms);
    uint32_t died = model_rate_of(&model->deaths, model->now_ms);
    int at = screen_put(0, 1, width, LOOK_TITLE, "proctrack") + 1;
    at += screen_putf(0, at, width - at, LOOK_PLAIN, "  %zu block%s  %zu process%s  %s  %s%% cpu",
                      model->n_blocks, model->n_blocks == 1 ? "" : "s", model->n_live,
                      model->n_live == 1 ? "" : "es", term_bytes(bytes, model->rss_bytes),
                      draw_cpu(cpu, model->cpu));
    if (born)
        at += screen_putf(0, at, width - at, LOOK_BORN, "  +%" PRIu32 "/s", born);
    if (died)
        at += screen_putf(0, at, width - at, LOOK_DEAD, "  -%" PRIu32 "/s", died);
    if (ui->stale)
        at += screen_put(0, at + 1, width - at - 1, LOOK_BAD, " no broker ") + 1;
    if (model->out_of_memory)
        at += screen_put(0, at, width - at, LOOK_BAD, " out of memory: not all is shown ");
    draw_order(screen, ui, at, width - at);
}

/* ---- graphs --------------------------------------------------------------------------------- */

struct labels {
    const char *name, *now;
    char peak[TERM_NUMBER + 8];
};

/* A graph with its name, the value now and the greatest of it, one below the other. */
static void draw_graph(const struct screen *screen, const struct history *history,
                       const struct labels *labels, int column, int width, int height,
                       unsigned look, uint64_t full)
{
    const char *const texts[] = {labels->name, labels->now, labels->peak};
    char line[SCREEN_LINE];
    struct graph graph = {.width = (unsigned)(width - LABEL),
                          .height = (unsigned)height,
                          .full = full,
                          .utf8 = screen->term.utf8};
    if (width < LABEL + GRAPH_MIN || (size_t)(width - LABEL) * GRAPH_BYTES >= sizeof line)
        return;
    graph.steps = graph_steps(history->n, graph.width, graph.utf8);
    for (int i = 0; i < height; i++) {
        if (i < 3)
            screen_put(1 + i, column, LABEL - 1, i == 1 ? LOOK_PLAIN : LOOK_FAINT, texts[i]);
        graph_line(line, history, &graph, (unsigned)i);
        screen_put(1 + i, column + LABEL, width - LABEL, look, line);
    }
}

/* How high they are: none where there is little room. */
static int graph_height(int height)
{
    return height < 14 ? 0 : height < 20 ? 2 : height < 44 ? 3 : 4;
}

static int draw_graphs(const struct screen *screen, const struct ui *ui)
{
    char number[TERM_NUMBER], bytes[TERM_NUMBER];
    struct model *model = ui->model;
    const int height = graph_height(screen_height()), half = screen_width() / 2;
    if (height == 0)
        return 0;
    uint64_t peak = history_peak(&model->processes, model->processes.n);
    struct labels labels = {"processes", number, ""};
    snprintf(number, sizeof number, "%zu", model->n_live);
    snprintf(labels.peak, sizeof labels.peak, "most %" PRIu64, peak);
    draw_graph(screen, &model->processes, &labels, 1, half - 2, height, LOOK_GRAPH,
               graph_round(peak < 10 ? 10 : peak));
    peak = history_peak(&model->memory, model->memory.n);
    labels = (struct labels){"memory", term_bytes(bytes, model->rss_bytes), ""};
    snprintf(labels.peak, sizeof labels.peak, "most %s", term_bytes(number, peak));
    draw_graph(screen, &model->memory, &labels, half + 1, screen_width() - half - 2, height,
               LOOK_GRAPH_2, graph_round(peak < 1024 ? 1024 : peak));
    return height;
}

/* ---- the last line -------------------------------------------------------------------------- */

static void draw_keys(int line)
{
    static const char *const keys[][2] = {{"?", "help"}, {"/", "filter"},   {"o", "order"},
                                          {"v", "list"}, {"Space", "fold"}, {"Enter", "more"},
                                          {"s", "stop"}, {"k", "kill"},     {"f", "freeze"},
                                          {"t", "thaw"}, {"q", "quit"}};
    int at = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int needs = (int)(strlen(keys[i][0]) + strlen(keys[i][1]) + 1);
        if (at + needs > screen_width())
            break;
        at += screen_put(line, at, needs, LOOK_TITLE, keys[i][0]);
        at += screen_putf(line, at, needs, LOOK_KEY, "%s", keys[i][1]) + 1;
    }
}

static void draw_question(const struct screen *screen, const struct ui *ui, int line)
{
    const char *choice = *ui->scope ? "[y: all, s: only its scope, N] " : "[y/N] ";
    const int room = screen_width() - (int)strlen(choice) - 2;
    screen_fill(line, 0, screen_width(), LOOK_BAD);
    int at = 1 + draw_foreign(screen, line, 1, room, LOOK_BAD, ui->question);
    screen_put(line, at, screen_width() - at, LOOK_BAD, choice);
}

static void draw_filter(const struct screen *screen, const struct ui *ui, int line)
{
    int at = screen_put(line, 1, screen_width(), LOOK_TITLE, "Filter: ") + 1;
    at += draw_foreign(screen, line, at, screen_width() - at, LOOK_PLAIN, ui->rows.filter);
    at += screen_put(line, at, 1, LOOK_PLAIN | LOOK_SELECTED, " ");
    screen_put(line, at, screen_width() - at, LOOK_FAINT, "  Enter keeps it, Esc does not");
}

static void draw_message(const struct screen *screen, const struct ui *ui, int line)
{
    static const unsigned looks[] = {
        [UI_SAYS] = LOOK_TITLE, [UI_WARNS] = LOOK_WARN, [UI_FAILS] = LOOK_BAD};
    screen_fill(line, 0, screen_width(), looks[ui->weight]);
    draw_foreign(screen, line, 1, screen_width() - 1, looks[ui->weight], ui->message);
}

static void draw_last_line(const struct screen *screen, const struct ui *ui)
{
    int line = screen_height() - 1;
    if (ui->mode == UI_CONFIRM)
        draw_question(screen, ui, line);
    else if (ui->mode == UI_FILTER)
        draw_filter(screen, ui, line);
    else if (*ui->message)
        draw_message(screen, ui, line);
    else
        draw_keys(line);
}

/* ---- all of it ------------------------------------------------------------------------------ */

void draw(const struct screen *screen, struct ui *ui)
{
    screen_begin();
    if (screen_width() < WIDTH_MIN || screen_height() < HEIGHT_MIN) {
        screen_put(0, 0, screen_width(), LOOK_WARN, "too small");
        screen_end();
        return;
    }
    draw_totals(screen, ui);
    int line = 1 + draw_graphs(screen, ui);
    draw_rows(screen, ui, line, screen_height() - line - 1);
    draw_last_line(screen, ui);
    if (ui->mode == UI_HELP)
        draw_help(screen);
    else if (ui->mode == UI_DETAIL)
        draw_detail(screen, ui);
    screen_end();
}
