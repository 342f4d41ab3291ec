/* SPDX-License-Identifier: Apache-2.0 */

/* OpenMetrics text, held against the specification, version 1.0. */

#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/openmetrics.h"

#define COUNTER OPENMETRICS_COUNTER
#define GAUGE   OPENMETRICS_GAUGE
#define INFO    OPENMETRICS_INFO

struct sheet { /* what is written on */
    struct openmetrics out;
    char *text; /* owned by the test, once it is closed */
    size_t size;
};

static void sheet_open(struct sheet *sheet, bool classic)
{
    sheet->out = (struct openmetrics){.classic = classic};
    sheet->out.to = open_memstream(&sheet->text, &sheet->size);
    cr_assert_not_null(sheet->out.to);
}

static char *sheet_close(struct sheet *sheet)
{
    cr_assert_eq(fclose(sheet->out.to), 0);
    return sheet->text;
}

/* What one metric is written as; owned by the caller. */
static char *written(enum openmetrics_kind kind, const char *name, const char *help, int64_t value)
{
    struct sheet sheet;
    sheet_open(&sheet, false);
    openmetrics_family(&sheet.out, kind, "proctrack_", text_of(name), help);
    if (kind == COUNTER)
        openmetrics_uint(&sheet.out, NULL, 0, (uint64_t)value);
    else
        openmetrics_int(&sheet.out, NULL, 0, value);
    return sheet_close(&sheet);
}

static void check(enum openmetrics_kind kind, const char *name, const char *help, int64_t value,
                  const char *expected)
{
    _cleanup_free_ char *string = written(kind, name, help, value);
    cr_assert_str_eq(string, expected);
}

Test(openmetrics, a_counter_has_its_suffix_at_the_value_alone)
{
    check(COUNTER, "events", "Told", 7,
          "# TYPE proctrack_events counter\n"
          "# HELP proctrack_events Told\n"
          "proctrack_events_total 7\n");
}

Test(openmetrics, a_gauge_may_be_negative)
{
    check(GAUGE, "blocks", "Now", -3,
          "# TYPE proctrack_blocks gauge\n"
          "# HELP proctrack_blocks Now\n"
          "proctrack_blocks -3\n");
}

Test(openmetrics, the_greatest_and_least_values_are_whole)
{
    _cleanup_free_ char *most = written(COUNTER, "a", "b", -1);
    cr_assert_not_null(strstr(most, "\nproctrack_a_total 18446744073709551615\n"));
    _cleanup_free_ char *least = written(GAUGE, "a", "b", INT64_MIN);
    cr_assert_not_null(strstr(least, "\nproctrack_a -9223372036854775808\n"));
}

Test(openmetrics, bytes_are_a_unit)
{
    check(GAUGE, "queue_bytes", "Now", 4096,
          "# TYPE proctrack_queue_bytes gauge\n"
          "# UNIT proctrack_queue_bytes bytes\n"
          "# HELP proctrack_queue_bytes Now\n"
          "proctrack_queue_bytes 4096\n");
}

Test(openmetrics, milliseconds_become_seconds)
{
    check(COUNTER, "settle_ms", "Waited", 12034,
          "# TYPE proctrack_settle_seconds counter\n"
          "# UNIT proctrack_settle_seconds seconds\n"
          "# HELP proctrack_settle_seconds Waited\n"
          "proctrack_settle_seconds_total 12.034\n");
    _cleanup_free_ char *negative = written(GAUGE, "ahead_ms", "Now", -5);
    cr_assert_not_null(strstr(negative, "\nproctrack_ahead_seconds -0.005\n"));
}

Test(openmetrics, a_name_that_is_a_unit_alone_has_none)
{
    _cleanup_free_ char *string = written(GAUGE, "_ms", "Now", 5);
    cr_assert_null(strstr(string, "UNIT"));
    cr_assert_not_null(strstr(string, "\nproctrack__ms 5\n"));
}

Test(openmetrics, what_may_not_be_in_a_name_becomes_an_underscore)
{
    check(GAUGE, "odd-name \n\xC3\xA4", "Now", 1,
          "# TYPE proctrack_odd_name____ gauge\n"
          "# HELP proctrack_odd_name____ Now\n"
          "proctrack_odd_name____ 1\n");
}

Test(openmetrics, help_is_escaped)
{
    _cleanup_free_ char *string = written(GAUGE, "a", "\"one\"\n\\two", 1);
    cr_assert_not_null(strstr(string, "# HELP proctrack_a \\\"one\\\"\\n\\\\two\n"));
}

Test(openmetrics, no_comma_of_a_locale_gets_in)
{
    if (!setlocale(LC_ALL, "de_DE.UTF-8"))
        cr_skip_test("the locale de_DE.UTF-8 is not installed");
    _cleanup_free_ char *string = written(GAUGE, "a_ms", "b", 1500);
    cr_assert_not_null(strstr(string, " 1.500\n"));
}

Test(openmetrics, the_end_is_marked)
{
    struct sheet sheet;
    sheet_open(&sheet, false);
    openmetrics_end(&sheet.out);
    _cleanup_free_ char *string = sheet_close(&sheet);
    cr_assert_str_eq(string, "# EOF\n");
}

static const struct openmetrics_label labels[] = {{"block", {"a\"b\\c\nd", 7}}, {"scope", {"", 0}}};

Test(openmetrics, samples_of_a_family_differ_in_their_labels)
{
    struct sheet sheet;
    sheet_open(&sheet, false);
    openmetrics_family(&sheet.out, COUNTER, "x_", text_of("cpu_ms"), "Used");
    openmetrics_uint(&sheet.out, labels, 2, 1500);
    openmetrics_uint(&sheet.out, labels + 1, 1, 2);
    _cleanup_free_ char *string = sheet_close(&sheet);
    cr_assert_str_eq(string, "# TYPE x_cpu_seconds counter\n"
                             "# UNIT x_cpu_seconds seconds\n"
                             "# HELP x_cpu_seconds Used\n"
                             "x_cpu_seconds_total{block=\"a\\\"b\\\\c\\nd\",scope=\"\"} 1.500\n"
                             "x_cpu_seconds_total{scope=\"\"} 0.002\n");
}

Test(openmetrics, an_info_has_its_suffix_too)
{
    check(INFO, "build", "Which it is", 1,
          "# TYPE proctrack_build info\n"
          "# HELP proctrack_build Which it is\n"
          "proctrack_build_info 1\n");
}

Test(openmetrics, the_older_format_names_samples_and_knows_neither_units_nor_an_end)
{
    struct sheet sheet;
    sheet_open(&sheet, true);
    openmetrics_family(&sheet.out, COUNTER, "x_", text_of("sent_bytes"), "So \"far\"");
    openmetrics_uint(&sheet.out, NULL, 0, 7);
    openmetrics_family(&sheet.out, INFO, "x_", text_of("build"), "Which");
    openmetrics_uint(&sheet.out, NULL, 0, 1);
    openmetrics_end(&sheet.out);
    _cleanup_free_ char *string = sheet_close(&sheet);
    cr_assert_str_eq(string, "# TYPE x_sent_bytes_total counter\n"
                             "# HELP x_sent_bytes_total So \"far\"\n"
                             "x_sent_bytes_total 7\n"
                             "# TYPE x_build_info gauge\n"
                             "# HELP x_build_info Which\n"
                             "x_build_info 1\n");
}
