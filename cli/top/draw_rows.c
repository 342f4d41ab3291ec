/* SPDX-License-Identifier: Apache-2.0 */

/* A line for each block and process that is in sight. */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/top/draw.h"

/* ---- columns -------------------------------------------------------------------------------- */

enum { PID, MEMORY, CPU, TIME, AGE, STATE, BLOCK, SCOPE, PORTS, COMMAND, N_COLUMNS };

struct column {
    const char *name;
    int width;
    int from; /* the width of the screen from which on it is there */
    bool left;
};

static const struct column columns[N_COLUMNS] = {
    [PID] = {"PID", 7, 0, false},       [MEMORY] = {"MEMORY", 7, 0, false},
    [CPU] = {"CPU%", 6, 0, false},      [TIME] = {"TIME", 8, 60, false},
    [AGE] = {"AGE", 4, 44, false},      [STATE] = {"S", 1, 100, true},
    [BLOCK] = {"BLOCK", 12, 0, true},   [SCOPE] = {"SCOPE", 10, 96, true},
    [PORTS] = {"PORTS", 11, 116, true}, [COMMAND] = {"COMMAND", 0, 0, true},
};

/* Where each begins. -1: it is not there. */
struct layout {
    int at[N_COLUMNS];
    int width; /* of the screen */
};

static struct layout make_layout(const struct ui *ui)
{
    struct layout layout = {.width = screen_width()};
    int at = 0;
    for (int i = 0; i < N_COLUMNS; i++) {
        bool there = layout.width >= columns[i].from && (i != BLOCK || ui->rows.flat);
        layout.at[i] = there ? at : -1;
        at += there ? columns[i].width + 1 : 0;
    }
    return layout;
}

/* One row as it is being drawn. */
struct line {
    const struct screen *screen;
    const struct layout *layout;
    const struct ui *ui;
    const struct row *row;
    int at;
    unsigned selected; /* LOOK_SELECTED, or 0 */
};

static void put(const struct line *line, int column, unsigned look, const char *text)
{
    int at = line->layout->at[column], width = columns[column].width;
    if (at < 0)
        return;
    if (columns[column].left)
        screen_put(line->at, at, width, look | line->selected, text);
    else
        screen_put_right(line->at, at, width, look | line->selected, text);
}

static void put_foreign(const struct line *line, int column, unsigned look, const char *text)
{
    if (line->layout->at[column] >= 0)
        draw_foreign(line->screen, line->at, line->layout->at[column], columns[column].width,
                     look | line->selected, text);
}

static void put_cpu(const struct line *line, uint64_t cpu, unsigned look)
{
    char text[TERM_NUMBER];
    put(line, CPU,
        cpu >= MODEL_ONE_CPU / 2 ? LOOK_BUSY
        : cpu == 0               ? LOOK_FAINT
                                 : look,
        draw_cpu(text, cpu));
}

/* ---- a block -------------------------------------------------------------------------------- */

static int put_next(const struct line *line, int at, unsigned look, const char *text)
{
    return at + screen_put(line->at, at, line->layout->width - at, look | line->selected, text);
}

static int put_counts(const struct line *line, int at)
{
    char text[64];
    const struct model_block *block = line->row->block;
    int64_t now_ms = line->ui->model->now_ms;
    uint32_t born = model_rate_of(&block->births, now_ms);
    uint32_t died = model_rate_of(&block->deaths, now_ms);
    snprintf(text, sizeof text, "  %zu process%s", block->n_live, block->n_live == 1 ? "" : "es");
    at = put_next(line, at, LOOK_PLAIN, text);
    if (born) {
        snprintf(text, sizeof text, " +%" PRIu32 "/s", born);
        at = put_next(line, at, LOOK_BORN, text);
    }
    if (died) {
        snprintf(text, sizeof text, " -%" PRIu32 "/s", died);
        at = put_next(line, at, LOOK_DEAD, text);
    }
    return at;
}

/* How many processes it had in the last minutes, at the right end where there is room. */
static void put_history(const struct line *line, int at)
{
    char text[SCREEN_LINE];
    const struct history *history = &line->row->block->history;
    struct graph graph = {.width = line->screen->term.utf8 ? history->n / 2 : history->n,
                          .height = 1,
                          .steps = 1,
                          .utf8 = line->screen->term.utf8};
    int from = line->layout->width - (int)graph.width - 1;
    if (at + 2 > from)
        return;
    graph.full = graph_round(history_peak(history, history->n));
    graph_line(text, history, &graph, 0);
    screen_put(line->at, from, (int)graph.width, LOOK_GRAPH | line->selected, text);
}

static void draw_block(const struct line *line)
{
    char text[TERM_NUMBER];
    const struct model_block *block = line->row->block;
    bool utf8 = line->screen->term.utf8, folded = rows_is_folded(line->row);
    put(line, MEMORY, LOOK_PLAIN, term_bytes(text, block->rss_bytes));
    put_cpu(line, model_cpu_of(block), LOOK_PLAIN);
    int at = line->layout->at[COMMAND];
    at = put_next(line, at, LOOK_BLOCK, folded ? utf8 ? "▸ " : "+ " : utf8 ? "▾ " : "- ");
    at = put_next(line, at, LOOK_BLOCK, block->id);
    at = put_counts(line, at);
    if (block->frozen_ms)
        at = put_next(line, at, LOOK_WARN, "  frozen");
    if (!block->is_sure)
        at = put_next(line, at, LOOK_WARN, "  best effort");
    put_history(line, at);
}

/* ---- a process ------------------------------------------------------------------------------ */

static void put_ports(const struct line *line, const struct proctrack_detail *detail)
{
    char text[64] = "";
    size_t used = 0;
    for (size_t i = 0; i < detail->n_ports && used < sizeof text - 8; i++)
        if (i == 0 || detail->ports[i].port != detail->ports[i - 1].port)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", used ? " " : "",
                                     detail->ports[i].port);
    put(line, PORTS, LOOK_PLAIN, text);
}

static const char *end_of(char buffer[static TERM_NUMBER], const struct model_process *process)
{
    char name[16];
    if (process->how == PROCTRACK_GONE_ESCAPED)
        return "moved";
    if (process->signal)
        snprintf(buffer, TERM_NUMBER, "%s", signal_text(name, process->signal));
    else if (process->how == PROCTRACK_GONE_EXITED && process->exit_code >= 0)
        snprintf(buffer, TERM_NUMBER, "exit %d", process->exit_code);
    else
        return "ended";
    return buffer;
}

static void put_use(const struct line *line, unsigned look)
{
    char text[TERM_NUMBER];
    const struct model_process *process = line->row->process;
    put(line, MEMORY, look, term_bytes(text, process->rss_bytes));
    if (process->has_cpu) {
        put_cpu(line, process->cpu, look);
        put(line, TIME, look, term_cpu(text, process->cpu_ms));
    }
    put(line, AGE, look, draw_age(text, process->started_at_ms, line->ui->model->wall_ms));
    if (process->detail && process->detail->state)
        put(line, STATE, look, (char[]){process->detail->state, '\0'});
    if (process->detail)
        put_ports(line, process->detail);
}

/* The lines from those above it. Very deep ones would leave no room. */
static int put_branch(const struct line *line)
{
    static const char *const lines[2][4] = {{"  ", "| ", "`-", "|-"}, {"  ", "│ ", "└─", "├─"}};
    const char *const *with = lines[line->screen->term.utf8];
    const struct row *row = line->row;
    int at = line->layout->at[COMMAND], most = (line->layout->width - at) / 4;
    unsigned from = row->depth > (unsigned)most ? row->depth - (unsigned)most + 1 : 1;
    at = put_next(line, at, LOOK_FAINT, with[0]); /* below the name of its block */
    for (unsigned depth = from; depth <= row->depth; depth++) {
        bool more = depth < ROWS_DEPTH_MAX && row->more >> depth & 1;
        at = put_next(line, at, LOOK_FAINT, with[(depth == row->depth ? 2 : 0) + more]);
    }
    return at;
}

static void put_command(const struct line *line, unsigned look)
{
    struct model_process *process = line->row->process;
    char text[32];
    int at = line->ui->rows.flat ? line->layout->at[COMMAND] : put_branch(line);
    if (!process->shown)
        process->shown = term_safe(&line->screen->term, text_of(process->command));
    if (line->row->below) {
        snprintf(text, sizeof text, "(+%" PRIu32 ") ", line->row->below);
        at = put_next(line, at, LOOK_BLOCK, text);
    }
    put_next(line, at, look, process->shown ? process->shown : "?");
}

static void draw_process(const struct line *line)
{
    char text[TERM_NUMBER];
    const struct model_process *process = line->row->process;
    bool is_news = process->flash_until_ms > line->ui->model->now_ms;
    unsigned look = process->is_gone     ? LOOK_DEAD
                    : is_news            ? LOOK_BORN
                    : line->row->matches ? LOOK_PLAIN
                                         : LOOK_FAINT;
    snprintf(text, sizeof text, "%" PRIu32, process->pid);
    put(line, PID, look, text);
    put_foreign(line, BLOCK, LOOK_BLOCK, process->block->id);
    put_foreign(line, SCOPE, look, strcmp(process->scope, "main") == 0 ? "" : process->scope);
    if (process->is_gone)
        put(line, line->layout->at[TIME] >= 0 ? TIME : MEMORY, look, end_of(text, process));
    else
        put_use(line, look);
    put_command(line, look);
}

/* ---- all that are in sight ------------------------------------------------------------------ */

static void draw_head(const struct layout *layout, const struct rows *rows, int at)
{
    screen_fill(at, 0, layout->width, LOOK_HEAD);
    for (int i = 0; i < N_COLUMNS; i++) {
        if (layout->at[i] < 0)
            continue;
        if (columns[i].left)
            screen_put(at, layout->at[i], layout->width, LOOK_HEAD, columns[i].name);
        else
            screen_put_right(at, layout->at[i], columns[i].width, LOOK_HEAD, columns[i].name);
    }
    char text[64];
    snprintf(text, sizeof text, " %zu of %zu ", rows->n ? rows->selected + 1 : 0, rows->n);
    screen_put_right(at, layout->width / 2, layout->width - layout->width / 2, LOOK_HEAD, text);
}

static void draw_nothing(const struct screen *screen, const struct ui *ui, int at)
{
    if (*ui->rows.filter) {
        int column = screen_put(at, 1, screen_width(), LOOK_FAINT, "nothing matches ") + 1;
        draw_foreign(screen, at, column, screen_width() - column, LOOK_PLAIN, ui->rows.filter);
    } else if (ui->model->known) {
        screen_put(at, 1, screen_width(), LOOK_FAINT,
                   "nothing here: proctrack run --block ID --create -- COMMAND begins a block");
    }
}

void draw_rows(const struct screen *screen, struct ui *ui, int at, int height)
{
    const struct layout layout = make_layout(ui);
    struct rows *rows = &ui->rows;
    ui->page = height > 1 ? (size_t)height - 1 : 0;
    draw_head(&layout, rows, at);
    rows_scroll(rows, ui->page);
    if (rows->n == 0)
        draw_nothing(screen, ui, at + 1);
    for (size_t i = 0; i < ui->page && rows->first + i < rows->n; i++) {
        const struct row *row = &rows->rows[rows->first + i];
        bool selected = rows->first + i == rows->selected;
        const struct line line = {.screen = screen,
                                  .layout = &layout,
                                  .ui = ui,
                                  .row = row,
                                  .at = at + 1 + (int)i,
                                  .selected = selected ? LOOK_SELECTED : 0};
        if (selected)
            screen_fill(line.at, 0, layout.width, LOOK_PLAIN | LOOK_SELECTED);
        if (row->process)
            draw_process(&line);
        else
            draw_block(&line);
    }
}
