/* SPDX-License-Identifier: Apache-2.0 */

/* The text format of OpenMetrics. */

#include "base/openmetrics.h"

#include <ctype.h>
#include <inttypes.h>

#define PREFIX "proctrack_"

static bool ends_in(struct text name, const char *end)
{
    struct text suffix = text_of(end);
    return name.size > suffix.size &&
           text_equal((struct text){name.at + name.size - suffix.size, suffix.size}, suffix);
}

static bool is_ms(struct text name)
{
    return ends_in(name, "_ms");
}

/* The family: "feed_lost", or "settle_seconds" of "settle_ms". */
static void put_name(FILE *to, struct text name)
{
    size_t size = is_ms(name) ? name.size - strlen("ms") : name.size;
    fputs(PREFIX, to);
    for (size_t i = 0; i < size; i++)
        fputc(isalnum((unsigned char)name.at[i]) ? name.at[i] : '_', to);
    fputs(is_ms(name) ? "seconds" : "", to);
}

static void put_line(FILE *to, const char *kind, struct text name)
{
    fprintf(to, "# %s ", kind);
    put_name(to, name);
    fputc(' ', to);
}

static void put_help(FILE *to, const char *help)
{
    for (; *help; help++) {
        if (*help == '\\' || *help == '"' || *help == '\n')
            fputc('\\', to);
        fputc(*help == '\n' ? 'n' : *help, to);
    }
}

static void put_head(FILE *to, struct text name, const char *type, const char *help)
{
    put_line(to, "TYPE", name);
    fprintf(to, "%s\n", type);
    if (is_ms(name) || ends_in(name, "_bytes")) {
        put_line(to, "UNIT", name);
        fputs(is_ms(name) ? "seconds\n" : "bytes\n", to);
    }
    put_line(to, "HELP", name);
    put_help(to, help);
    fputc('\n', to);
    put_name(to, name);
}

/* Of thousandths, so that no locale's decimal comma gets in. */
static void put_value(FILE *to, struct text name, bool negative, uint64_t value)
{
    fputs(negative ? " -" : " ", to);
    if (is_ms(name))
        fprintf(to, "%" PRIu64 ".%03u\n", value / 1000, (unsigned)(value % 1000));
    else
        fprintf(to, "%" PRIu64 "\n", value);
}

void openmetrics_counter(FILE *to, struct text name, const char *help, uint64_t value)
{
    put_head(to, name, "counter", help);
    fputs("_total", to);
    put_value(to, name, false, value);
}

void openmetrics_gauge(FILE *to, struct text name, const char *help, int64_t value)
{
    put_head(to, name, "gauge", help);
    put_value(to, name, value < 0, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void openmetrics_end(FILE *to)
{
    fputs("# EOF\n", to);
}
