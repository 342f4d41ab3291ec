/* SPDX-License-Identifier: Apache-2.0 */

/* The sentences, found by their names. */

#include "schemas/stats_names.h"

#include <stddef.h>

struct entry {
    const char *name, *help;
};

#define ENTRY(name, help) {#name, help},

static const struct entry tables[2][2][64] = {
    [STATS_OF_MODULE] = {{MODULE_GAUGES(ENTRY)}, {MODULE_COUNTERS(ENTRY)}},
    [STATS_OF_BROKER] = {{BROKER_GAUGES(ENTRY)}, {BROKER_COUNTERS(ENTRY)}},
};

const char *stats_help(enum stats_of of, bool counter, struct text name)
{
    for (const struct entry *entry = tables[of][counter]; entry->name; entry++)
        if (text_is(name, entry->name))
            return entry->help;
    return NULL;
}
