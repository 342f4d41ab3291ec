/* SPDX-License-Identifier: Apache-2.0 */

/* What each event says, in words. */

#include "cli/watch_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/json.h"

#define RESET  "\033[0m"
#define DIM    "\033[2m"
#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define BLUE   "\033[34m"
#define CYAN   "\033[36m"

#define AGENT "agent:"

enum { COMMAND_KEPT = 200 }; /* bytes of a command that are remembered */

/* A process that was shown. */
struct shown {
    UT_hash_handle hh;
    uint32_t pid;
    uint64_t started_at_ms;
    size_t size;
    char command[COMMAND_KEPT];
};

/* ---- who was shown -------------------------------------------------------------------------- */

static void forget(struct watch_text *text, uint32_t pid)
{
    struct shown *shown = NULL;
    HASH_FIND(hh, text->shown, &pid, sizeof pid, shown);
    if (shown) {
        HASH_DEL(text->shown, shown);
        free(shown);
    }
}

static void remember(struct watch_text *text, const struct process_record *record)
{
    forget(text, record->pid);
    struct shown *shown = calloc(1, sizeof *shown);
    if (!shown)
        return;
    shown->pid = record->pid;
    shown->started_at_ms = record->started_at_ms;
    shown->size = record->command.size < COMMAND_KEPT ? record->command.size : COMMAND_KEPT;
    memcpy(shown->command, record->command.at, shown->size);
    HASH_ADD(hh, text->shown, pid, sizeof shown->pid, shown);
    if (!shown->hh.tbl)
        free(shown);
}

void watch_text_clear(struct watch_text *text)
{
    struct shown *shown, *next;
    HASH_ITER (hh, text->shown, shown, next) {
        HASH_DEL(text->shown, shown);
        free(shown);
    }
}

static void put_command(FILE *to, struct watch_text *text, uint32_t pid, uint64_t started_at_ms)
{
    struct shown *shown = NULL;
    HASH_FIND(hh, text->shown, &pid, sizeof pid, shown);
    if (!shown || shown->started_at_ms != started_at_ms)
        return;
    fputs(": ", to);
    term_put(to, &text->term, (struct text){shown->command, shown->size});
    forget(text, pid);
}

/* ---- each event ----------------------------------------------------------------------------- */

static void put_process(FILE *to, struct watch_text *text, const msgpack_object *data)
{
    struct process_event event;
    if (process_event_read(&event, data, NULL) < 0)
        return;
    const struct process_record *record = &event.process;
    fprintf(to, "%7" PRIu32 "  ", record->pid);
    term_put(to, &text->term, record->command);
    fputs("  (", to);
    term_put(to, &text->term, record->scope);
    fprintf(to, "%s%s%s)", record->root ? ", root" : "", record->started ? ", started" : "",
            event.source.size ? ", found by a scan" : "");
    remember(text, record);
}

static void put_status(FILE *to, const struct process_exit *event)
{
    char name[16];
    if (!event->has_status)
        fputs("ended", to);
    else if (WIFSIGNALED(event->status))
        fprintf(to, "killed by %s%s", signal_text(name, WTERMSIG(event->status)),
                WCOREDUMP(event->status) ? ", dumped core" : "");
    else
        fprintf(to, "status %d", WEXITSTATUS(event->status));
}

static void put_exit(FILE *to, struct watch_text *text, const msgpack_object *data)
{
    char number[TERM_NUMBER];
    struct process_exit event;
    if (process_exit_read(&event, data, NULL) < 0)
        return;
    fprintf(to, "%7" PRIu32 "  ", event.pid);
    put_status(to, &event);
    fprintf(to, ", ran %s", term_cpu(number, event.runtime_ms));
    if (event.cpu_ms > 0)
        fprintf(to, ", cpu %s", term_cpu(number, event.cpu_ms));
    if (event.max_rss_bytes > 0)
        fprintf(to, ", memory %s", term_bytes(number, event.max_rss_bytes));
    put_command(to, text, event.pid, event.started_at_ms);
}

static void put_escape(FILE *to, struct watch_text *text, const msgpack_object *data)
{
    struct process_escape event;
    if (process_escape_read(&event, data, NULL) < 0)
        return;
    fprintf(to, "%7" PRIu32 "  ", event.pid);
    term_put(to, &text->term, event.reason);
    if (event.where.size > 0) {
        fputs(" to ", to);
        term_put(to, &text->term, event.where);
    }
    put_command(to, text, event.pid, event.started_at_ms);
}

static void put_state(FILE *to, struct watch_text *text, const msgpack_object *data)
{
    struct block_state event;
    if (block_state_read(&event, data, NULL) < 0)
        return;
    fputs("confidence ", to);
    term_put(to, &text->term, event.confidence);
    fputs(", tracker ", to);
    term_put(to, &text->term, event.tracker);
    fputs(", feed ", to);
    term_put(to, &text->term, event.feed);
    fputs(event.adopted ? ", adopted" : "", to);
}

static void put_resync(FILE *to, struct watch_text *text, const msgpack_object *data)
{
    struct block_resync event;
    if (block_resync_read(&event, data, NULL) < 0)
        return;
    term_put(to, &text->term, event.reason);
    if (event.lost > 0)
        fprintf(to, ", %" PRIu64 " lost", event.lost);
}

static void put_removed(FILE *to, struct watch_text *text, const msgpack_object *data)
{
    struct block_removed event;
    if (block_removed_read(&event, data, NULL) == 0)
        term_put(to, &text->term, event.reason);
}

static void put_mark(FILE *to, struct watch_text *text, const msgpack_object *data)
{
    struct block_point at;
    (void)text;
    if (block_point_read(&at, data, NULL) == 0)
        fprintf(to, "at %" PRIu64, at.seq);
}

/* Of somebody else's: as JSON, which has no control characters. */
static void put_other(FILE *to, struct watch_text *text, const msgpack_object *data)
{
    json_t *json = json_of(data);
    (void)text;
    if (json)
        json_dumpf(json, to, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    json_decref(json);
}

static const struct {
    const char *name, *colour;
    void (*put)(FILE *to, struct watch_text *text, const msgpack_object *data);
} kinds[] = {
    {EVENT_PROCESS_ADDED, GREEN, put_process},  {EVENT_PROCESS_EXEC, CYAN, put_process},
    {EVENT_PROCESS_CHANGED, CYAN, put_process}, {EVENT_PROCESS_EXITED, DIM, put_exit},
    {EVENT_PROCESS_ESCAPED, RED, put_escape},   {EVENT_BLOCK_ADDED, BLUE, put_state},
    {EVENT_BLOCK_CHANGED, YELLOW, put_state},   {EVENT_BLOCK_RESYNC, YELLOW, put_resync},
    {EVENT_BLOCK_REMOVED, BLUE, put_removed},   {EVENT_BLOCK_MARK, DIM, put_mark},
};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* ---- one line ------------------------------------------------------------------------------- */

static void put_time(FILE *to, uint64_t when_ms)
{
    struct tm tm;
    char text[16];
    time_t s = (time_t)(when_ms / 1000);
    if (when_ms == 0 || !localtime_r(&s, &tm)) {
        fputs("earlier     ", to);
        return;
    }
    strftime(text, sizeof text, "%H:%M:%S", &tm);
    fprintf(to, "%s.%03u", text, (unsigned)(when_ms % 1000));
}

static void put_block(FILE *to, const struct term *term, const struct event *event)
{
    struct text scope = event->n_scopes ? event->scopes[0] : text_of("-");
    if (scope.size > strlen(TOPIC_PREFIX) &&
        memcmp(scope.at, TOPIC_PREFIX, strlen(TOPIC_PREFIX)) == 0) {
        scope.at += strlen(TOPIC_PREFIX);
        scope.size -= strlen(TOPIC_PREFIX);
    }
    term_put(to, term, scope);
    for (size_t i = scope.size; i < 12; i++)
        fputc(' ', to);
}

static void put_event(FILE *to, struct watch_text *text, const struct event *event,
                      const msgpack_object *data)
{
    size_t kind = 0;
    while (kind < N_KINDS && !text_is(event->event, kinds[kind].name))
        kind++;
    struct text name = event->event;
    if (kind < N_KINDS)
        name = text_of(kinds[kind].name + strlen(AGENT));
    if (text->term.colour && kind < N_KINDS)
        fputs(kinds[kind].colour, to);
    term_put(to, &text->term, name);
    for (size_t i = name.size; i < 15; i++)
        fputc(' ', to);
    if (text->term.colour && kind < N_KINDS)
        fputs(RESET, to);
    fputs("  ", to);
    if (data)
        (kind < N_KINDS ? kinds[kind].put : put_other)(to, text, data);
}

void watch_text_put(struct watch_text *text, const struct event *event, const msgpack_object *data,
                    uint64_t when_ms)
{
    _cleanup_free_ char *line = NULL;
    size_t size;
    text->term.width = text->term.tty ? term_of(STDOUT_FILENO).width : 0; /* it may have changed */
    FILE *to = open_memstream(&line, &size);
    if (!to)
        return;
    put_time(to, when_ms);
    fputs("  ", to);
    put_block(to, &text->term, event);
    fputs("  ", to);
    put_event(to, text, event, data);
    if (fclose(to) == 0)
        term_put_line(stdout, &text->term, line);
}
