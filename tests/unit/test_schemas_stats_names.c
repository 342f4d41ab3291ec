/* SPDX-License-Identifier: Apache-2.0 */

/* What is counted has a name and a sentence, fit to be shown. */

#include <criterion/criterion.h>
#include <ctype.h>

#include "schemas/stats_names.h"

struct entry {
    enum stats_of of;
    bool counter;
    const char *name;
};

#define MODULE_COUNTER(name, help) {STATS_OF_MODULE, true, #name},
#define MODULE_GAUGE(name, help)   {STATS_OF_MODULE, false, #name},
#define BROKER_COUNTER(name, help) {STATS_OF_BROKER, true, #name},
#define BROKER_GAUGE(name, help)   {STATS_OF_BROKER, false, #name},

static const struct entry entries[] = {MODULE_COUNTERS(MODULE_COUNTER) MODULE_GAUGES(
    MODULE_GAUGE) BROKER_COUNTERS(BROKER_COUNTER) BROKER_GAUGES(BROKER_GAUGE)};

enum { N_ENTRIES = sizeof entries / sizeof *entries };

static const char *help_of(const struct entry *entry)
{
    return stats_help(entry->of, entry->counter, text_of(entry->name));
}

Test(stats_names, each_has_a_sentence_that_is_a_line_without_an_end)
{
    for (size_t i = 0; i < N_ENTRIES; i++) {
        const char *help = help_of(&entries[i]);
        cr_assert_not_null(help, "%s", entries[i].name);
        cr_assert(strlen(help) > 15 && isupper((unsigned char)*help), "%s", entries[i].name);
        cr_assert(!strpbrk(help, "\n\"\\") && help[strlen(help) - 1] != '.', "%s", entries[i].name);
    }
}

Test(stats_names, no_two_have_the_same_sentence)
{
    for (size_t i = 0; i < N_ENTRIES; i++)
        for (size_t k = 0; k < i; k++)
            cr_assert_str_neq(help_of(&entries[i]), help_of(&entries[k]));
}

Test(stats_names, no_two_of_one_side_have_the_same_name)
{
    for (size_t i = 0; i < N_ENTRIES; i++)
        for (size_t k = 0; k < i; k++)
            cr_assert(entries[i].of != entries[k].of ||
                          strcmp(entries[i].name, entries[k].name) != 0,
                      "%s", entries[i].name);
}

Test(stats_names, a_unit_stands_at_the_end_and_is_a_base_unit_or_ms)
{
    static const char *const units[] = {"_kib", "_mib", "_us", "_ns", "_seconds", "_percent"};
    for (size_t i = 0; i < N_ENTRIES; i++) {
        const char *name = entries[i].name, *bytes = strstr(name, "bytes");
        cr_assert(!bytes || bytes[strlen("bytes")] == '\0', "%s", name);
        cr_assert(!strstr(name, "_total") && !strstr(name, "_info"), "%s", name);
        for (size_t k = 0; k < sizeof units / sizeof *units; k++)
            cr_assert_null(strstr(name, units[k]), "%s", name);
    }
}

Test(stats_names, a_name_that_is_not_known_has_none)
{
    cr_assert_null(stats_help(STATS_OF_MODULE, true, text_of("feed_lost_")));
    cr_assert_null(stats_help(STATS_OF_MODULE, false, text_of("feed_lost")));
    cr_assert_null(stats_help(STATS_OF_BROKER, true, text_of("feed_lost")));
    cr_assert_null(stats_help(STATS_OF_BROKER, true, text_of("")));
}
