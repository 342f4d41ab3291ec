/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack ls: which blocks there are, and what they use. */

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/act.h"
#include "cli/json.h"
#include "cli/list.h"

static const char help[] =
    "usage: proctrack ls [OPTIONS]\n"
    "\n"
    "Lists the blocks: how many processes each has, the memory they have now (resident, in powers "
    "of\n"
    "1024), the processor time that they and those before them used, how sure its membership is, "
    "and\n"
    "how long ago it was made, or adopted by this broker.\n"
    "\n"
    "  -q, --quiet          only the ids, a line each\n" COMMON_OPTIONS_HELP(
        "one JSON object: the reply to list_all_blocks with detail") "\n"
                                                                     "Exit status: 0 done, also "
                                                                     "where there are none; 2 "
                                                                     "wrong arguments; 3 it could "
                                                                     "not be done.\n"
                                                                     "\n"
                                                                     "Examples:\n"
                                                                     "  proctrack ls\n"
                                                                     "  proctrack ls --quiet | "
                                                                     "xargs -r proctrack stop\n";

struct ls {
    struct common common;
    bool quiet;
};

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    (void)option;
    (void)value;
    (void)error;
    ((struct ls *)self)->quiet = true;
    return 0;
}

enum { BLOCK, PROCESSES, MEMORY, CPU, CONFIDENCE, AGE, N_COLUMNS };

static int add(struct libscols_table *table, const struct block_summary *block,
               const struct term *term)
{
    char text[TERM_NUMBER];
    struct libscols_line *line = list_add(table, NULL);
    int result = list_set_foreign(line, BLOCK, term, block->block_id);
    if (result == 0)
        result = list_set_foreign(line, CONFIDENCE, term, block->confidence);
    snprintf(text, sizeof text, "%" PRIu64, block->processes);
    if (result == 0)
        result = list_set(line, PROCESSES, text);
    if (result == 0 && block->has_use)
        result = list_set(line, MEMORY, term_bytes(text, block->rss_bytes));
    if (result == 0 && block->has_use)
        result = list_set(line, CPU, term_cpu(text, block->cpu_ms));
    if (result == 0 && block->created_at_ms > 0)
        result = list_set(line, AGE, term_age(text, block->created_at_ms, term_now_ms()));
    return result;
}

static int print_table(const struct block_summary *blocks, size_t n, const struct term *term)
{
    static const struct column columns[N_COLUMNS] = {
        [BLOCK] = {"BLOCK", 0.3, SCOLS_FL_TRUNC}, [PROCESSES] = {"PROCESSES", 1, SCOLS_FL_RIGHT},
        [MEMORY] = {"MEMORY", 1, SCOLS_FL_RIGHT}, [CPU] = {"CPU", 1, SCOLS_FL_RIGHT},
        [CONFIDENCE] = {"CONFIDENCE", 1, 0},      [AGE] = {"AGE", 1, SCOLS_FL_RIGHT},
    };
    _cleanup_table_ struct libscols_table *table = list_new(term, columns, N_COLUMNS);
    for (size_t i = 0; i < n; i++)
        if (!table || add(table, &blocks[i], term) < 0)
            return -1;
    return table && scols_print_table(table) == 0 ? 0 : -1;
}

static int print(const struct ls *ls, const msgpack_object *data)
{
    struct wps_error error;
    const struct term term = term_of(STDOUT_FILENO);
    _cleanup_free_ struct block_summary *blocks = NULL;
    size_t n;
    if (ls->common.json)
        return json_line(json_of(data)) < 0 ? act_fail(&ls->common, "out of memory") : CLI_OK;
    if (list_all_reply_read(&blocks, &n, data, &error) < 0)
        return act_fail(&ls->common, error.message);
    for (size_t i = 0; i < n && ls->quiet; i++) {
        term_put(stdout, &term, blocks[i].block_id);
        putchar('\n');
    }
    if (ls->quiet)
        return CLI_OK;
    if (n == 0 && term.tty)
        fputs("there are no blocks: proctrack run --block ID --create -- COMMAND makes one\n",
              stderr);
    else if (print_table(blocks, n, &term) < 0)
        return act_fail(&ls->common, "out of memory");
    return CLI_OK;
}

int ls_main(int argc, char **argv)
{
    static const struct option options[] = {{"quiet", no_argument, NULL, 'q'}, COMMON_OPTIONS};
    const struct syntax syntax = {help, "hq", options, 0, 0, "", take, NULL};
    struct ls ls = {0};
    struct broker broker;
    struct wps_error error;
    const msgpack_object *data;
    int status = arguments_read(&ls.common, &syntax, &ls, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    const struct control_request request = {
        CONTROL_REQUEST_DEFAULTS, .command = CONTROL_LIST_ALL_BLOCKS, .detail = !ls.quiet};
    if (broker_open(&broker, &ls.common.broker, &error) < 0)
        return act_fail(&ls.common, error.message);
    if (broker_ask(&broker, &request, &data, NULL, &error) < 0)
        status = act_fail(&ls.common, error.message);
    else
        status = print(&ls, data);
    broker_close(&broker);
    return status;
}
