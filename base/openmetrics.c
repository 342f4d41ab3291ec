/* SPDX-License-Identifier: Apache-2.0 */

/* The text format of OpenMetrics, and the one before it. */

#include "base/openmetrics.h"

#include <ctype.h>
#include <inttypes.h>

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
static void put_family(const struct openmetrics *self)
{
    struct text name = self->name;
    size_t size = is_ms(name) ? name.size - strlen("ms") : name.size;
    fputs(self->prefix, self->to);
    for (size_t i = 0; i < size; i++)
        fputc(isalnum((unsigned char)name.at[i]) ? name.at[i] : '_', self->to);
    fputs(is_ms(name) ? "seconds" : "", self->to);
}

/* What its samples are called. */
static void put_sample(const struct openmetrics *self)
{
    static const char *const suffixes[] = {
        [OPENMETRICS_COUNTER] = "_total", [OPENMETRICS_GAUGE] = "", [OPENMETRICS_INFO] = "_info"};
    put_family(self);
    fputs(suffixes[self->kind], self->to);
}

/* "# TYPE name ": the older format knows no family, only samples. */
static void put_line(const struct openmetrics *self, const char *what)
{
    fprintf(self->to, "# %s ", what);
    (self->classic ? put_sample : put_family)(self);
    fputc(' ', self->to);
}

static void put_escaped(FILE *to, struct text text, bool quotes)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (c == '\\' || c == '\n' || (c == '"' && quotes))
            fputc('\\', to);
        fputc(c == '\n' ? 'n' : c, to);
    }
}

void openmetrics_family(struct openmetrics *self, enum openmetrics_kind kind, const char *prefix,
                        struct text name, const char *help)
{
    static const char *const types[] = {[OPENMETRICS_COUNTER] = "counter",
                                        [OPENMETRICS_GAUGE] = "gauge",
                                        [OPENMETRICS_INFO] = "info"};
    self->kind = kind;
    self->prefix = prefix;
    self->name = name;
    put_line(self, "TYPE");
    fputs(self->classic && kind == OPENMETRICS_INFO ? "gauge" : types[kind], self->to);
    fputc('\n', self->to);
    if (!self->classic && (is_ms(name) || ends_in(name, "_bytes"))) {
        put_line(self, "UNIT");
        fputs(is_ms(name) ? "seconds\n" : "bytes\n", self->to);
    }
    put_line(self, "HELP");
    put_escaped(self->to, text_of(help), !self->classic);
    fputc('\n', self->to);
}

static void put_labels(FILE *to, const struct openmetrics_label *labels, size_t n_labels)
{
    for (size_t i = 0; i < n_labels; i++) {
        fprintf(to, "%c%s=\"", i ? ',' : '{', labels[i].name);
        put_escaped(to, labels[i].value, true);
        fputc('"', to);
    }
    if (n_labels > 0)
        fputc('}', to);
}

/* Of thousandths, so that no locale's decimal comma gets in. */
static void put(const struct openmetrics *self, const struct openmetrics_label *labels,
                size_t n_labels, bool negative, uint64_t value)
{
    put_sample(self);
    put_labels(self->to, labels, n_labels);
    fputs(negative ? " -" : " ", self->to);
    if (is_ms(self->name))
        fprintf(self->to, "%" PRIu64 ".%03u\n", value / 1000, (unsigned)(value % 1000));
    else
        fprintf(self->to, "%" PRIu64 "\n", value);
}

void openmetrics_uint(const struct openmetrics *self, const struct openmetrics_label *labels,
                      size_t n_labels, uint64_t value)
{
    put(self, labels, n_labels, false, value);
}

void openmetrics_int(const struct openmetrics *self, const struct openmetrics_label *labels,
                     size_t n_labels, int64_t value)
{
    put(self, labels, n_labels, value < 0, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void openmetrics_end(const struct openmetrics *self)
{
    if (!self->classic)
        fputs("# EOF\n", self->to);
}
