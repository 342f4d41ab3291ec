/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack stats: what the module counted. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/act.h"
#include "cli/json.h"
#include "cli/metrics.h"

/* clang-format off */
static const char help[] =
    "usage: proctrack stats [OPTIONS]\n"
    "\n"
    "Says what the module counted since it was started, and how much of each thing there is now: a\n"
    "name and a number a line.\n"
    "\n"
    "      --openmetrics    as OpenMetrics text, with a sentence on each\n"
    COMMON_OPTIONS_HELP("one JSON object: the reply to stats")
    "\n"
    "Exit status: 0 done; 2 wrong arguments; 3 it could not be done.\n"
    "\n"
    "Examples:\n"
    "  proctrack stats\n"
    "  proctrack stats --openmetrics | grep -A1 HELP.*lost\n";
/* clang-format on */

enum { OPTION_OPENMETRICS = OPTION_NEXT };

struct stats {
    struct common common;
    bool openmetrics;
};

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    (void)option;
    (void)value;
    (void)error;
    ((struct stats *)self)->openmetrics = true;
    return 0;
}

static int check(void *self, const struct common *common, struct wps_error *error)
{
    if (common->json && ((struct stats *)self)->openmetrics)
        return wps_error_set(error, -EINVAL, "--json or --openmetrics? They exclude each other");
    return 0;
}

static void print_plain(const struct stats_view *view)
{
    const struct term term = term_of(STDOUT_FILENO);
    for (size_t i = 0; i < view->n_counters; i++) {
        term_put(stdout, &term, view->counters[i].name);
        printf(" %" PRIu64 "\n", view->counters[i].value);
    }
    for (size_t i = 0; i < view->n_gauges; i++) {
        term_put(stdout, &term, view->gauges[i].name);
        printf(" %" PRId64 "\n", view->gauges[i].value);
    }
}

static void print_openmetrics(const struct stats_view *view)
{
    struct openmetrics out = {.to = stdout};
    metrics_put_stats(&out, STATS_OF_MODULE, view);
    openmetrics_end(&out);
}

static int print(const struct stats *stats, const msgpack_object *data)
{
    struct wps_error error;
    struct stats_view view;
    if (stats->common.json)
        return json_line(json_of(data)) < 0 ? act_fail(&stats->common, "out of memory") : CLI_OK;
    if (stats_reply_read(&view, data, &error) < 0)
        return act_fail(&stats->common, error.message);
    (stats->openmetrics ? print_openmetrics : print_plain)(&view);
    free(view.counters);
    free(view.gauges);
    return CLI_OK;
}

int stats_main(int argc, char **argv)
{
    static const struct option options[] = {{"openmetrics", no_argument, NULL, OPTION_OPENMETRICS},
                                            COMMON_OPTIONS};
    const struct syntax syntax = {help, "h", options, 0, 0, "", take, check};
    const struct control_request request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_STATS};
    struct stats stats = {0};
    struct broker broker;
    struct wps_error error;
    const msgpack_object *data;
    int status = arguments_read(&stats.common, &syntax, &stats, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    if (broker_open(&broker, &stats.common.broker, &error) < 0)
        return act_fail(&stats.common, error.message);
    if (broker_ask(&broker, &request, &data, NULL, &error) < 0)
        status = act_fail(&stats.common, error.message);
    else
        status = print(&stats, data);
    broker_close(&broker);
    return status;
}
