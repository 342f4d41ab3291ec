/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_OPENMETRICS_H
#define BASE_OPENMETRICS_H

/*
 * Metrics as text, for what scrapes them: as OpenMetrics has it, or as Prometheus had it before.
 *
 *     struct openmetrics out = {.to = stdout};
 *     openmetrics_family(&out, OPENMETRICS_COUNTER, "wpsd_", text_of("requests"), "Requests so
 * far"); openmetrics_uint(&out, NULL, 0, 42); openmetrics_end(&out);
 *
 * Pure, any thread. Sources: the OpenMetrics specification, version 1.0; Prometheus, exposition
 * formats, text format 0.0.4.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/text.h"

#define OPENMETRICS_TYPE         "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define OPENMETRICS_TYPE_CLASSIC "text/plain; version=0.0.4; charset=utf-8"

enum openmetrics_kind {
    OPENMETRICS_COUNTER,
    OPENMETRICS_GAUGE,
    OPENMETRICS_INFO, /* says something by its labels; its value is 1 */
};

struct openmetrics {
    FILE *to;
    bool classic; /* the text format 0.0.4 */
    /* The family that is being written. */
    enum openmetrics_kind kind;
    const char *prefix;
    struct text name;
};

struct openmetrics_label {
    const char *name; /* [a-z_]+ */
    struct text value;
};

/* Begins the family `<prefix><name>`; its samples come next. A counter's and an info's get the
 * suffix that they must have; a name that ends in _bytes or _ms has that unit, and milliseconds
 * become seconds. What may not be in a name becomes `_`. `help`: UTF-8. `prefix` and `name` stay
 * the caller's, until the next family. */
void openmetrics_family(struct openmetrics *self, enum openmetrics_kind kind, const char *prefix,
                        struct text name, const char *help);

/* One sample of it, with labels whose values are UTF-8. */
void openmetrics_uint(const struct openmetrics *self, const struct openmetrics_label *labels,
                      size_t n_labels, uint64_t value);
void openmetrics_int(const struct openmetrics *self, const struct openmetrics_label *labels,
                     size_t n_labels, int64_t value);

/* Writes the end, which must be there. */
void openmetrics_end(const struct openmetrics *self);

#endif
