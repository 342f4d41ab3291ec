/* SPDX-License-Identifier: Apache-2.0 */

/* Counters and gauges as metrics. */

#include "cli/metrics.h"

static const char *const prefixes[] = {
    [STATS_OF_MODULE] = "proctrack_", [STATS_OF_BROKER] = "wpsd_"};

static void begin(struct openmetrics *out, enum stats_of of, bool counter, struct text name)
{
    const char *help = stats_help(of, counter, name);
    openmetrics_family(out, counter ? OPENMETRICS_COUNTER : OPENMETRICS_GAUGE, prefixes[of], name,
                       help ? help : "Told by a newer version, which says what it is");
}

void metrics_put_stats(struct openmetrics *out, enum stats_of of, const struct stats_view *stats)
{
    for (size_t i = 0; i < stats->n_counters; i++) {
        begin(out, of, true, stats->counters[i].name);
        openmetrics_uint(out, NULL, 0, stats->counters[i].value);
    }
    for (size_t i = 0; i < stats->n_gauges; i++) {
        begin(out, of, false, stats->gauges[i].name);
        openmetrics_int(out, NULL, 0, stats->gauges[i].value);
    }
}
