/* SPDX-License-Identifier: Apache-2.0 */

/* Boxes over the picture. */

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "cli/top/draw.h"

struct box {
    const struct screen *screen;
    int line, column, width, height; /* of its inside */
    int next;                        /* the line to fill in next */
    bool dry;                        /* only lines are counted */
};

static void put_edge(const struct box *box, int line, const char *const signs[3])
{
    int at = box->column - 2;
    at += screen_put(line, at, 1, LOOK_FAINT, signs[0]);
    for (int i = 0; i < box->width + 2; i++)
        at += screen_put(line, at, 1, LOOK_FAINT, signs[1]);
    screen_put(line, at, 1, LOOK_FAINT, signs[2]);
}

/* An empty box in the middle, as large as there is room. */
static struct box box_open(const struct screen *screen, const char *title, int width, int height)
{
    static const char *const signs[2][4][3] = {{{"+", "-", "+"}, {"|", "", "|"}, {"+", "-", "+"}},
                                               {{"┌", "─", "┐"}, {"│", "", "│"}, {"└", "─", "┘"}}};
    const char *const(*with)[3] = signs[screen->term.utf8];
    int most = screen_width() - 4, lines = screen_height() - 3;
    struct box box = {.screen = screen,
                      .width = width < most ? width : most,
                      .height = height < lines ? height : lines};
    box.line = (screen_height() - 1 - box.height) / 2;
    box.column = (screen_width() - box.width) / 2;
    put_edge(&box, box.line - 1, with[0]);
    for (int i = 0; i < box.height; i++) {
        screen_fill(box.line + i, box.column - 2, box.width + 4, LOOK_PLAIN);
        screen_put(box.line + i, box.column - 2, 1, LOOK_FAINT, with[1][0]);
        screen_put(box.line + i, box.column + box.width + 1, 1, LOOK_FAINT, with[1][2]);
    }
    put_edge(&box, box.line + box.height, with[2]);
    screen_putf(box.line - 1, box.column, box.width, LOOK_TITLE, " %s ", title);
    return box;
}

void draw_help(const struct screen *screen)
{
    int lines = 0, width = 0;
    for (; ui_help[lines]; lines++)
        if ((int)strlen(ui_help[lines]) > width)
            width = (int)strlen(ui_help[lines]);
    struct box box = box_open(screen, "Keys", width, lines);
    for (int i = 0; i < box.height; i++)
        screen_put(box.line + i, box.column, box.width, LOOK_PLAIN, ui_help[i]);
}

/* ---- all that is known ---------------------------------------------------------------------- */

enum { NAME = 12, WIDTH_MAX = 100 };

/* A name, and text of others, over as many lines as it takes. */
static void put_text(struct box *box, const char *name, const char *text)
{
    _cleanup_free_ char *safe = term_safe(&box->screen->term, text_of(text));
    const char *rest = safe ? safe : "?";
    if (!*rest || box->next >= box->height)
        return;
    if (!box->dry)
        screen_put(box->line + box->next, box->column, NAME, LOOK_FAINT, name);
    for (; *rest && box->next < box->height; box->next++) {
        if (!box->dry)
            screen_put(box->line + box->next, box->column + NAME, box->width - NAME, LOOK_PLAIN,
                       rest);
        rest += screen_fits(rest, box->width - NAME);
    }
}

static void put_line(struct box *box, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put_line(struct box *box, const char *name, const char *format, ...)
{
    char text[SCREEN_LINE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_text(box, name, text);
}

static void put_time(struct box *box, const char *name, uint64_t at_ms, uint64_t now_ms)
{
    char text[32], age[TERM_NUMBER];
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm when;
    localtime_r(&seconds, &when);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &when);
    put_line(box, name, "%s, %s ago", text, draw_age(age, at_ms, now_ms));
}

static void put_detail(struct box *box, const struct proctrack_detail *detail)
{
    if (detail->has_uid)
        put_line(box, "uid", "%" PRIu32, detail->uid);
    if (detail->state)
        put_line(box, "state", "%c, %" PRIu64 " thread%s", detail->state, detail->threads,
                 detail->threads == 1 ? "" : "s");
    for (size_t i = 0; i < detail->n_ports; i++)
        put_line(box, i ? "" : "listens on",
                 strcmp(detail->ports[i].family, "inet6") == 0 ? "[%s]:%u" : "%s:%u",
                 detail->ports[i].address, detail->ports[i].port);
    put_text(box, "program", detail->exe ? detail->exe : "");
    put_text(box, "directory", detail->cwd ? detail->cwd : "");
}

static void put_process(struct box *box, const struct ui *ui, const struct model_process *process)
{
    char bytes[TERM_NUMBER], cpu[TERM_NUMBER], used[TERM_NUMBER];
    const char *whose = process->root      ? "a root: it was assigned"
                        : process->started ? "the agent started it by its tools"
                                           : "born in the block";
    put_line(box, "pid", "%" PRIu32 ", parent at birth %" PRIu32, process->pid,
             process->parent_pid);
    put_line(box, "block", "%s, scope %s, %s", process->block->id, process->scope, whose);
    put_time(box, "born", process->started_at_ms, ui->model->wall_ms);
    put_line(box, "memory", "%s", term_bytes(bytes, process->rss_bytes));
    if (process->has_cpu)
        put_line(box, "cpu", "%s%%, %s in all", draw_cpu(cpu, process->cpu),
                 term_cpu(used, process->cpu_ms));
    if (process->detail)
        put_detail(box, process->detail);
    put_text(box, "command", process->command);
}

static void put_block(struct box *box, const struct model_block *block)
{
    char bytes[TERM_NUMBER], cpu[TERM_NUMBER];
    put_line(box, "block", "%s", block->id);
    put_line(box, "processes", "%zu, at most %" PRIu64 " in the last five minutes", block->n_live,
             history_peak(&block->history, block->history.n));
    put_line(box, "memory", "%s", term_bytes(bytes, block->rss_bytes));
    put_line(box, "cpu", "%s%%, of it %s%% by those who have ended",
             draw_cpu(cpu, model_cpu_of(block)), draw_cpu(bytes, block->cpu_gone));
    put_line(box, "membership", "%s", block->is_sure ? "certain" : "best effort");
    put_text(box, "", block->why);
}

void draw_detail(const struct screen *screen, const struct ui *ui)
{
    const struct row *row = rows_selected(&ui->rows);
    struct box box = {.screen = screen,
                      .width = screen_width() < WIDTH_MAX + 8 ? screen_width() - 8 : WIDTH_MAX,
                      .height = screen_height() - 3,
                      .dry = true};
    for (int i = 0; row && i < 2; i++) {
        if (row->process)
            put_process(&box, ui, row->process);
        else
            put_block(&box, row->block);
        if (i == 0)
            box = box_open(screen, row->process ? "Process" : "Block", box.width, box.next);
    }
}
