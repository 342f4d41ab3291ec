/* SPDX-License-Identifier: Apache-2.0 */

/* The recorded traces, replayed into the real module: what it publishes is what the odd programs
 * did, whenever settle times end, answers come, scans run and events are lost. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/scan.h"
#include "test_plugin_bench.h"
#include "test_plugin_trace.h"

struct replay {
    const char *path;
    bool settles; /* the settle time is over behind each line, else never */
    bool late;    /* questions are answered when all was said, else at once */
    bool scans;   /* the blocks are scanned behind each line */
    size_t lost;  /* this event is lost; 0: none (the first is 1) */
};

/* One file of tests/traces as a parameter. */
struct file {
    char path[512];
};

static struct criterion_test_params all_files(void)
{
    static struct file files[128];
    glob_t found;
    size_t n = 0;
    if (glob(TRACES "/*.trace", 0, NULL, &found) == 0)
        for (; n < found.gl_pathc && n < sizeof files / sizeof *files; n++)
            snprintf(files[n].path, sizeof files[n].path, "%s", found.gl_pathv[n]);
    globfree(&found);
    return cr_make_param_array(struct file, files, n);
}

/* ---- replaying ---- */

static struct bench *make_bench(const struct trace *trace)
{
    struct bench *bench = bench_new(trace->feed);
    struct block *one = bench_block(bench, "one", PLACE_ONE);
    bench_scope(bench, one, "bg", PLACE_ONE_BG);
    bench_block(bench, "two", PLACE_TWO);
    return bench;
}

static void take_line(struct bench *bench, const struct trace_line *line, bool lost)
{
    struct fake fake = line->fake;
    fake.read_ns = line->time_ns;
    if (line->kind == TRACE_PROC)
        proc_put(&fake);
    else if (line->kind == TRACE_GONE)
        proc_take(line->fake.pid);
    else if (lost)
        bench_lose(bench, 1);
    else
        bench_event(bench, &line->event);
}

/* What happened before an answer is taken in before it: so answers that tell of all that is there
 * come when everything was said that had happened by then. */
static bool is_caught_up(const struct trace *trace, size_t line)
{
    uint64_t read_ns = 0;
    for (size_t i = 0; i <= line; i++)
        if (trace->lines[i].kind != TRACE_EVENT && trace->lines[i].time_ns > read_ns)
            read_ns = trace->lines[i].time_ns;
    for (size_t i = line + 1; i < trace->n_lines; i++)
        if (trace->lines[i].kind == TRACE_EVENT && trace->lines[i].time_ns <= read_ns)
            return false;
    return true;
}

static void answer(struct bench *bench)
{
    proc_shut(false);
    bench_answer(bench);
    proc_shut(true);
}

static void behind_line(struct bench *bench, const struct trace *trace, size_t line,
                        const struct replay *replay)
{
    bool looks = replay->scans || replay->lost;
    bool answers = !replay->late && (!looks || is_caught_up(trace, line));
    if (answers)
        answer(bench);
    if (replay->settles)
        bench_settle(bench);
    if (answers && replay->scans)
        scan_all(&bench->module);
    if (answers)
        answer(bench);
    bench_check(bench);
}

/* What is said when the trace is over: nobody is left, and a last look finds nobody. */
static void finish(struct bench *bench)
{
    struct block *block, *next;
    proc_take_all();
    bench_drain(bench);
    bench_answer(bench);
    bench_run_late(bench);
    bench_settle(bench);
    scan_all(&bench->module);
    bench_answer(bench);
    bench_run_late(bench);
    bench_check(bench);
    bench_lets_pass(bench); /* the feed had its time to tell of those whom the look missed */
    scan_all(&bench->module);
    bench_answer(bench);
    bench_run_late(bench);
    bench_check(bench);
    HASH_ITER (by_id, bench->module.registry.blocks, block, next)
        cr_assert_eq(block->n_processes, 0, "%u of block %s are left", block->n_processes,
                     block->id);
}

static struct trace *read_trace(const char *path)
{
    uint64_t now = boottime_ns() / NS_PER_SECOND * NS_PER_SECOND;
    uint64_t ago = 20 * NS_PER_SECOND;
    return trace_read(path, now > 2 * ago ? now - ago : now / 2 / NS_PER_SECOND * NS_PER_SECOND);
}

static struct bench *run(const struct trace *trace, const struct replay *replay)
{
    struct bench *bench = make_bench(trace);
    size_t n_events = 0;
    char label[600];
    snprintf(label, sizeof label, "%s%s%s, event %zu lost", replay->path,
             replay->settles ? ", settling" : "", replay->scans ? ", scans" : "", replay->lost);
    bench->label = label;
    proc_shut(true);
    for (size_t i = 0; i < trace->n_lines; i++) {
        n_events += trace->lines[i].kind == TRACE_EVENT;
        bool lost = trace->lines[i].kind == TRACE_EVENT && n_events == replay->lost;
        take_line(bench, &trace->lines[i], lost);
        behind_line(bench, trace, i, replay);
    }
    bench->label = replay->path;
    proc_shut(false);
    return bench;
}

static bool is_of_process(const struct told *told)
{
    return strncmp(told->name, "block-", 6) != 0;
}

/* ---- one life in short ---- */

/* What is left of a life when the moments are left out: who, its last command, and how it ended. */
struct outcome {
    char block[64], command[1024], end[256];
    uint32_t pid;
};

struct outcomes {
    struct outcome items[TRACE_LINES];
    size_t n;
};

/* Takes an event as told_line writes it. */
static void note(struct outcomes *outcomes, const char *line)
{
    char name[16] = "", block[64] = "";
    uint32_t pid = 0;
    cr_assert_eq(sscanf(line, "%15s block=%63s pid=%u", name, block, &pid), 3, "%s", line);
    const char *command = strstr(line, " command=");
    struct outcome *outcome = NULL;
    for (size_t i = 0; i < outcomes->n; i++)
        if (outcomes->items[i].pid == pid && strcmp(outcomes->items[i].block, block) == 0)
            outcome = &outcomes->items[i];
    if (!outcome) {
        cr_assert_lt(outcomes->n, TRACE_LINES);
        outcome = &outcomes->items[outcomes->n++];
        *outcome = (struct outcome){.pid = pid};
        strcpy(outcome->block, block);
    }
    if (command)
        snprintf(outcome->command, sizeof outcome->command, "%s", command + 9);
    else
        snprintf(outcome->end, sizeof outcome->end, "%s%s", name,
                 strchr(strstr(line, "pid="), ' '));
}

/* Who moves may be seen where it was before, or not: those lives are left out. */
static void drop_escaped(struct outcomes *outcomes)
{
    size_t kept = 0;
    for (size_t i = 0; i < outcomes->n; i++)
        if (strncmp(outcomes->items[i].end, "escaped", 7) != 0)
            outcomes->items[kept++] = outcomes->items[i];
    outcomes->n = kept;
}

static int by_name(const void *a, const void *b)
{
    const struct outcome *x = a, *y = b;
    int order = strcmp(x->block, y->block);
    return order ? order : (x->pid > y->pid) - (x->pid < y->pid);
}

static void note_told(struct outcomes *outcomes, const struct bench *bench)
{
    for (size_t i = 0; i < bench->n_told; i++)
        if (is_of_process(&bench->told[i])) {
            _cleanup_free_ char *line = told_line(&bench->told[i]);
            note(outcomes, line);
        }
    drop_escaped(outcomes);
    qsort(outcomes->items, outcomes->n, sizeof *outcomes->items, by_name);
}

static void note_expected(struct outcomes *outcomes, const struct trace *trace)
{
    for (size_t i = 0; i < trace->n_expected; i++)
        note(outcomes, trace->expected[i]);
    drop_escaped(outcomes);
    qsort(outcomes->items, outcomes->n, sizeof *outcomes->items, by_name);
}

static void assert_same_outcomes(const struct bench *bench, const struct trace *trace,
                                 const char *path)
{
    static struct outcomes seen, wanted;
    seen.n = wanted.n = 0;
    note_told(&seen, bench);
    note_expected(&wanted, trace);
    for (size_t i = 0; i < seen.n && i < wanted.n; i++) {
        const struct outcome *a = &seen.items[i], *b = &wanted.items[i];
        cr_assert(a->pid == b->pid && strcmp(a->block, b->block) == 0, "%s: %s/%u and not %s/%u",
                  path, a->block, a->pid, b->block, b->pid);
        cr_assert_str_eq(a->command, b->command, "%s: %u ran %s and not %s", path, a->pid,
                         a->command, b->command);
        cr_assert_str_eq(a->end, b->end, "%s: %u ended with %s and not %s", path, a->pid, a->end,
                         b->end);
    }
    cr_assert_eq(seen.n, wanted.n, "%s: %zu lives and not %zu", path, seen.n, wanted.n);
}

/* A name in brackets is the last resort for who was never seen with a command: nobody becomes one.
 */
static void assert_no_command_is_forgotten(const struct bench *bench, const struct trace *trace)
{
    for (size_t i = 0; i < bench->n_told; i++) {
        const struct told *told = &bench->told[i];
        char ending[4300];
        bool known = *told->command != '[' || strcmp(told->name, "added") == 0;
        snprintf(ending, sizeof ending, "command=%s", told->command);
        for (size_t k = 0; k < trace->n_expected && !known; k++)
            known = strstr(trace->expected[k], ending);
        cr_assert(known, "%s: %s of %u tells of a %s", bench->label, told->name, told->pid,
                  told->command);
    }
}

/* ---- the tests ---- */

Test(traces, there_are_traces_of_both_feeds)
{
    glob_t found;
    cr_assert_eq(glob(TRACES "/*.bpf.trace", 0, NULL, &found), 0);
    cr_assert_geq(found.gl_pathc, 20);
    globfree(&found);
    cr_assert_eq(glob(TRACES "/*.netlink.trace", 0, NULL, &found), 0);
    cr_assert_geq(found.gl_pathc, 20);
    globfree(&found);
}

/* The settle time never ends, and questions are answered at once: then every event is known. */
ParameterizedTestParameters(traces, a_trace_is_told_event_by_event_as_it_should_be)
{
    return all_files();
}

ParameterizedTest(struct file *file, traces, a_trace_is_told_event_by_event_as_it_should_be)
{
    struct trace *trace = read_trace(file->path);
    struct bench *bench = run(trace, &(struct replay){.path = file->path});
    size_t n = 0;
    for (size_t i = 0; i < bench->n_told; i++) {
        if (!is_of_process(&bench->told[i]))
            continue;
        _cleanup_free_ char *line = told_line(&bench->told[i]);
        cr_assert_lt(n, trace->n_expected, "%s: told besides: %s", file->path, line);
        cr_assert_str_eq(line, trace->expected[n], "%s: told was\n  %s\nand not\n  %s", file->path,
                         line, trace->expected[n]);
        n++;
    }
    cr_assert_eq(n, trace->n_expected, "%s: not told: %s", file->path, trace->expected[n]);
    finish(bench);
    bench_free(&bench);
    trace_free(&trace);
}

ParameterizedTestParameters(traces, the_same_lives_are_told_when_the_settle_time_ends_at_every_turn)
{
    return all_files();
}

ParameterizedTest(struct file *file, traces,
                  the_same_lives_are_told_when_the_settle_time_ends_at_every_turn)
{
    struct trace *trace = read_trace(file->path);
    struct bench *bench = run(trace, &(struct replay){.path = file->path, .settles = true});
    assert_same_outcomes(bench, trace, file->path);
    finish(bench);
    bench_free(&bench);
    trace_free(&trace);
}

ParameterizedTestParameters(traces, lives_are_told_in_order_when_answers_come_too_late)
{
    return all_files();
}

ParameterizedTest(struct file *file, traces, lives_are_told_in_order_when_answers_come_too_late)
{
    for (int settles = 0; settles < 2; settles++) {
        struct trace *trace = read_trace(file->path);
        struct bench *bench =
            run(trace, &(struct replay){.path = file->path, .settles = settles, .late = true});
        bench_answer(bench);
        if (strcmp(trace->feed, "bpf") == 0)
            cr_assert_eq(bench_count(bench, "added"),
                         bench_count(bench, "exited") + bench_count(bench, "escaped"));
        finish(bench);
        bench_free(&bench);
        trace_free(&trace);
    }
}

ParameterizedTestParameters(traces, scans_at_every_turn_tell_nothing_twice)
{
    return all_files();
}

ParameterizedTest(struct file *file, traces, scans_at_every_turn_tell_nothing_twice)
{
    for (int settles = 0; settles < 2; settles++) {
        struct trace *trace = read_trace(file->path);
        struct bench *bench =
            run(trace, &(struct replay){.path = file->path, .settles = settles, .scans = true});
        assert_no_command_is_forgotten(bench, trace);
        finish(bench);
        bench_free(&bench);
        trace_free(&trace);
    }
}

static size_t count_events(const struct trace *trace)
{
    size_t n = 0;
    for (size_t i = 0; i < trace->n_lines; i++)
        n += trace->lines[i].kind == TRACE_EVENT;
    return n;
}

/* Each event in turn is lost: the reader's picture stays right, and in the end nobody is left. */
ParameterizedTestParameters(traces, any_event_may_be_lost_and_the_difference_is_made_good)
{
    return all_files();
}

ParameterizedTest(struct file *file, traces, any_event_may_be_lost_and_the_difference_is_made_good)
{
    struct trace *first = read_trace(file->path);
    size_t n_events = count_events(first);
    trace_free(&first);
    for (size_t lost = 1; lost <= n_events; lost++) {
        struct trace *trace = read_trace(file->path);
        struct bench *bench = run(trace, &(struct replay){.path = file->path, .lost = lost});
        finish(bench);
        cr_assert_eq(bench->module.counters.feed_lost, 1);
        cr_assert_eq(bench_count(bench, "block-resync"), 2, "one for each block");
        bench_free(&bench);
        trace_free(&trace);
    }
}
