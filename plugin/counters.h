/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_COUNTERS_H
#define PLUGIN_COUNTERS_H

/* What `stats` answers. One list names them all, and says what each is (schemas/stats_names.h). */

#include <stdint.h>

#include "schemas/stats_names.h"

struct counters { /* only grow, since the start */
#define COUNTER_MEMBER(name, help) uint64_t name;
    MODULE_COUNTERS(COUNTER_MEMBER)
#undef COUNTER_MEMBER
};

struct gauges { /* as it is now */
#define GAUGE_MEMBER(name, help) int64_t name;
    MODULE_GAUGES(GAUGE_MEMBER)
#undef GAUGE_MEMBER
};

#endif
