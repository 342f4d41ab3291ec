/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_OPENMETRICS_H
#define BASE_OPENMETRICS_H

/* Counters and gauges as OpenMetrics text, for what scrapes them (Prometheus and others). Pure, any
 * thread. Source: the OpenMetrics specification, version 1.0. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/text.h"

#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Writes one metric, without labels, as `proctrack_<name>`. A counter's value gets the suffix that
 * it must have; a name that ends in _bytes or _ms has that unit, milliseconds become seconds. What
 * may not be in a name becomes `_`. `help`: UTF-8. */
void openmetrics_counter(FILE *to, struct text name, const char *help, uint64_t value);
void openmetrics_gauge(FILE *to, struct text name, const char *help, int64_t value);

/* Writes the end, which must be there. */
void openmetrics_end(FILE *to);

#endif
