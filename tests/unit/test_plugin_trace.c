/* SPDX-License-Identifier: Apache-2.0 */

/* The reader of recorded traces. */

#include "test_plugin_trace.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const uint64_t trace_epoch_us = UINT64_C(1000) * 1000000; /* where its time begins */

static const struct {
    const char *name;
    enum feed_event_kind kind;
} kinds[] = {
    {"fork", FEED_FORK}, {"thread", FEED_THREAD},
    {"exec", FEED_EXEC}, {"thread-exit", FEED_THREAD_EXIT},
    {"exit", FEED_EXIT}, {"move", FEED_MOVE},
};

static const struct {
    const char *name;
    uint64_t place;
} places[] = {
    {"one", PLACE_ONE}, {"main", PLACE_ONE_MAIN},     {"bg", PLACE_ONE_BG},
    {"two", PLACE_TWO}, {"two-main", PLACE_TWO_MAIN},
};

/* Takes the %XX out of a word, in place. */
static size_t decode(char *text)
{
    char *to = text;
    for (char *from = text; *from; to++) {
        unsigned byte;
        if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
            *to = (char)byte;
            from += 3;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

static uint64_t number(const char *value)
{
    return strtoull(value, NULL, 10);
}

/* The time of a trace, in microseconds, as one of this machine. */
static uint64_t time_of(const char *value, uint64_t begin_ns)
{
    return begin_ns + (number(value) - trace_epoch_us) * 1000;
}

static struct text keep_text(struct trace *trace, char *value)
{
    size_t size = decode(value);
    char *copy = malloc(size + 1);
    cr_assert(copy && trace->n_texts < sizeof trace->texts / sizeof *trace->texts);
    memcpy(copy, value, size + 1);
    trace->texts[trace->n_texts++] = copy;
    return (struct text){copy, size};
}

static void read_places(uint64_t *ret, char *value)
{
    char *save = NULL;
    for (char *part = strtok_r(value, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        *ret = PLACE_OTHER;
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            if (strcmp(places[i].name, part) == 0)
                *ret = places[i].place;
        ret++;
    }
}

static void read_event_word(struct trace *trace, struct feed_event *event, const char *key,
                            char *value, uint64_t begin_ns)
{
    if (strcmp(key, "pid") == 0)
        event->pid = (uint32_t)number(value);
    else if (strcmp(key, "tid") == 0)
        event->tid = (uint32_t)number(value);
    else if (strcmp(key, "parent") == 0)
        event->parent = (uint32_t)number(value);
    else if (strcmp(key, "creator") == 0)
        event->creator = (uint32_t)number(value);
    else if (strcmp(key, "t") == 0)
        event->time_ns = time_of(value, begin_ns);
    else if (strcmp(key, "start") == 0)
        event->start_ns = time_of(value, begin_ns);
    else if (strcmp(key, "place") == 0)
        event->has_place = true, read_places(event->place, value);
    else if (strcmp(key, "comm") == 0)
        event->comm = keep_text(trace, value);
    else if (strcmp(key, "argv") == 0)
        event->has_argv = true, event->argv = keep_text(trace, value);
    else if (strcmp(key, "path") == 0)
        event->path = keep_text(trace, value);
    else if (strcmp(key, "status") == 0)
        event->has_status = true, event->status = atoi(value);
    else if (strcmp(key, "cpu") == 0)
        event->cpu_ns = number(value) * 1000;
    else if (strcmp(key, "rss") == 0)
        event->max_rss_bytes = number(value);
    else
        cr_assert_fail("an event has no '%s'", key);
}

static void read_fake_word(struct trace_line *line, const char *key, char *value, uint64_t begin_ns)
{
    struct fake *fake = &line->fake;
    const uint64_t tick_ns = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
    if (strcmp(key, "pid") == 0)
        fake->pid = (uint32_t)number(value);
    else if (strcmp(key, "t") == 0)
        line->time_ns = time_of(value, begin_ns);
    else if (strcmp(key, "parent") == 0)
        fake->parent = (uint32_t)number(value);
    else if (strcmp(key, "ticks") == 0) /* of 10 ms */
        fake->ticks = (begin_ns + number(value) * 10000000 - trace_epoch_us * 1000) / tick_ns;
    else if (strcmp(key, "threads") == 0)
        fake->threads = number(value);
    else if (strcmp(key, "state") == 0)
        fake->state = *value;
    else if (strcmp(key, "comm") == 0)
        decode(value), snprintf(fake->comm, sizeof fake->comm, "%s", value);
    else if (strcmp(key, "argv") == 0)
        fake->argv_size = decode(value), memcpy(fake->argv, value, fake->argv_size);
    else if (strcmp(key, "cgroup") == 0)
        decode(value), snprintf(fake->cgroup, sizeof fake->cgroup, "%s", value);
    else
        cr_assert_fail("a process has no '%s'", key);
}

static void read_kind(struct trace_line *line, const char *name)
{
    if (strcmp(name, "proc") == 0 || strcmp(name, "gone") == 0) {
        line->kind = *name == 'p' ? TRACE_PROC : TRACE_GONE;
        return;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0) {
            line->event.kind = kinds[i].kind;
            return;
        }
    cr_assert_fail("no line is a '%s'", name);
}

static void read_line(struct trace *trace, char *text, uint64_t begin_ns)
{
    char *save = NULL, *word = strtok_r(text, " ", &save);
    struct trace_line line = {.kind = TRACE_EVENT};
    if (strcmp(word, "feed") == 0) {
        cr_assert_eq(sscanf(save, "name=%15s", trace->feed), 1);
        return;
    }
    read_kind(&line, word);
    while ((word = strtok_r(NULL, " ", &save))) {
        char *value = strchr(word, '=');
        cr_assert(value, "'%s' is no key and value", word);
        *value++ = '\0';
        if (line.kind == TRACE_EVENT)
            read_event_word(trace, &line.event, word, value, begin_ns);
        else
            read_fake_word(&line, word, value, begin_ns);
    }
    if (line.kind == TRACE_EVENT)
        line.time_ns = line.event.time_ns;
    cr_assert_lt(trace->n_lines, TRACE_LINES);
    trace->lines[trace->n_lines++] = line;
}

struct trace *trace_read(const char *path, uint64_t begin_ns)
{
    struct trace *trace = calloc(1, sizeof *trace);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    _cleanup_free_ char *line = NULL;
    size_t room = 0;
    ssize_t size;
    cr_assert(trace && file, "%s", path);
    trace->lines = calloc(TRACE_LINES, sizeof *trace->lines);
    cr_assert(trace->lines);
    while ((size = getline(&line, &room, file)) > 0) {
        if (line[size - 1] == '\n')
            line[size - 1] = '\0';
        if (strncmp(line, "= ", 2) == 0)
            trace->expected[trace->n_expected++] = strdup(line + 2);
        else if (*line && *line != '#')
            read_line(trace, line, begin_ns);
    }
    return trace;
}

void trace_free(struct trace **trace_p)
{
    struct trace *trace = *trace_p;
    *trace_p = NULL;
    for (size_t i = 0; i < trace->n_texts; i++)
        free(trace->texts[i]);
    for (size_t i = 0; i < trace->n_expected; i++)
        free(trace->expected[i]);
    free(trace->lines);
    free(trace);
}
