/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

/* What the module and the broker count, as metrics: `proctrack_<name>` and `wpsd_<name>`. */

#include "base/openmetrics.h"
#include "schemas/control_reply.h"
#include "schemas/stats_names.h"

/* Writes a family for each counter and gauge, with the sentence that says what it is. A counter and
 * a gauge may not have one name. */
void metrics_put_stats(struct openmetrics *out, enum stats_of of, const struct stats_view *stats);

#endif
