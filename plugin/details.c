/* SPDX-License-Identifier: Apache-2.0 */

/* Reading the detail of many processes. */

#include "plugin/details.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "plugin/intake.h"

enum {
    AT_ONCE = 4,       /* readings at the workers, those that hang aside */
    LATE_MS = 500,     /* a reading that takes longer is not waited for */
    STARVED_MS = 2000, /* no worker had time for one: the rest of the list is not waited for */
    LOOK_MS = 50,      /* how often it is looked for those */
    LATE_MAX = 8,      /* workers that may hang in readings */
    FEW = 256,         /* lists of more than so many tell less of each argv */
    ARGV_OF_FEW = 32 * 1024,
    ARGV_OF_MANY = PROC_ARGV_MAX,
};

/* One process of one list. What `run` writes is read here only behind the flag that it sets last,
 * or once the job is back. */
struct reading {
    struct job job;
    UT_hash_handle hh;         /* by pid */
    TAILQ_ENTRY(reading) link; /* while it is at the workers */
    struct details *details;
    uint32_t pid;
    size_t argv_max; /* 0: it is not to be read */
    uint64_t submitted_ns;
    bool settled;      /* its list does not wait for it any more */
    bool late;         /* and that although it is at the workers */
    uint64_t began_ns; /* atomic; 0: no worker had time yet */
    bool unwanted;     /* atomic: it need not begin any more */
    bool has_first;    /* atomic: `first` is complete */
    bool is_whole;     /* argv was read as well: then `whole` is what counts, and owns all of it */
    struct detail first, whole;
};

struct details {
    struct module *module;
    TAILQ_ENTRY(details) waiting;
    bool is_waiting; /* for its turn */
    bool has_ports;
    struct ports ports; /* read by the workers, changed by nobody */
    struct reading **items, *index;
    size_t n, room;
    size_t next;       /* to be submitted */
    size_t open;       /* submitted and not settled */
    size_t at_workers; /* submitted and not back */
    bool let_go;
    void (*done)(struct details *details, void *context);
    void *context;
};

/* The module's. */
struct detail_reader {
    TAILQ_HEAD(, details) waiting;
    TAILQ_HEAD(, reading) at_workers;
    unsigned running; /* of them not late */
    unsigned held;    /* of them late */
    sd_event_source *timer;
};

/* ---- in a worker's thread ---- */

static void run_reading(struct job *job)
{
    struct reading *reading = (struct reading *)job;
    struct details *details = reading->details;
    __atomic_store_n(&reading->began_ns, monotonic_ns(), __ATOMIC_RELEASE);
    if (__atomic_load_n(&reading->unwanted, __ATOMIC_ACQUIRE) ||
        detail_read(&reading->first, reading->pid, details->has_ports ? &details->ports : NULL) < 0)
        return;
    __atomic_store_n(&reading->has_first, true, __ATOMIC_RELEASE);
    struct detail whole = reading->first; /* which is not touched any more */
    if (reading->argv_max && detail_read_argv(&whole, reading->argv_max) == 0) {
        reading->whole = whole;
        reading->is_whole = true;
    }
}

/* ---- lists ---- */

static void free_now(struct details *details)
{
    HASH_CLEAR(hh, details->index);
    for (size_t i = 0; i < details->n; i++) {
        struct reading *reading = details->items[i];
        detail_clear(reading->is_whole ? &reading->whole : &reading->first);
        free(reading);
    }
    free(details->items);
    ports_clear(&details->ports);
    free(details);
}

static struct reading *find(const struct details *details, uint32_t pid)
{
    struct reading *reading = NULL;
    HASH_FIND(hh, details->index, &pid, sizeof pid, reading);
    return reading;
}

bool details_has(const struct details *details, uint32_t pid)
{
    return find(details, pid) != NULL;
}

const struct detail *details_of(const struct details *details, uint32_t pid)
{
    const struct reading *reading = find(details, pid);
    if (!reading || !__atomic_load_n(&reading->has_first, __ATOMIC_ACQUIRE))
        return NULL;
    return !reading->late && reading->is_whole ? &reading->whole : &reading->first;
}

/* `done` may let go of the list: it is not touched behind this. */
static void settle(struct reading *reading)
{
    struct details *details = reading->details;
    reading->settled = true;
    if (--details->open == 0 && details->next == details->n && !details->let_go)
        details->done(details, details->context);
}

/* ---- turns ---- */

static void pump(struct module *module);

static void on_read(struct job *job, void *context)
{
    struct reading *reading = (struct reading *)job;
    struct details *details = reading->details;
    struct module *module = context;
    struct detail_reader *reader = module->detail_reader;
    TAILQ_REMOVE(&reader->at_workers, reading, link);
    if (reading->late)
        reader->held--;
    else
        reader->running--;
    details->at_workers--;
    if (details->let_go && details->at_workers == 0)
        free_now(details);
    else if (!reading->settled)
        settle(reading);
    pump(module);
}

/* A process that hangs in one reading hangs in the next. Not as trackers/held.h says it: that gives
 * a process up ten times sooner, as events wait behind it; a list would rather wait than miss an
 * argv. */
static bool may_read_argv(const struct detail_reader *reader, uint32_t pid)
{
    const struct reading *reading;
    if (reader->held >= LATE_MAX)
        return false;
    TAILQ_FOREACH (reading, &reader->at_workers, link)
        if (reading->late && reading->pid == pid)
            return false;
    return true;
}

static void submit(struct module *module, struct details *details)
{
    struct detail_reader *reader = module->detail_reader;
    struct reading *reading = details->items[details->next++];
    if (details->next == details->n) {
        TAILQ_REMOVE(&reader->waiting, details, waiting);
        details->is_waiting = false;
    }
    if (may_read_argv(reader, reading->pid))
        reading->argv_max = details->n > FEW ? ARGV_OF_MANY : ARGV_OF_FEW;
    reading->job = (struct job){.run = run_reading, .done = on_read, .context = module};
    reading->submitted_ns = monotonic_ns();
    details->open++;
    details->at_workers++;
    reader->running++;
    TAILQ_INSERT_TAIL(&reader->at_workers, reading, link);
    workers_submit(module->workers, &reading->job);
}

static void look_later(struct detail_reader *reader)
{
    int enabled = SD_EVENT_OFF;
    sd_event_source_get_enabled(reader->timer, &enabled);
    if (enabled != SD_EVENT_OFF)
        return;
    sd_event_source_set_time(reader->timer, monotonic_ns() / 1000 + LOOK_MS * UINT64_C(1000));
    sd_event_source_set_enabled(reader->timer, SD_EVENT_ONESHOT);
}

/* Lists take turns: a long one does not hold up a short one. */
static void pump(struct module *module)
{
    struct detail_reader *reader = module->detail_reader;
    struct details *details;
    while (reader->running < AT_ONCE && (details = TAILQ_FIRST(&reader->waiting))) {
        TAILQ_REMOVE(&reader->waiting, details, waiting);
        TAILQ_INSERT_TAIL(&reader->waiting, details, waiting);
        submit(module, details);
    }
    if (reader->running > 0)
        look_later(reader);
}

static void stop_waiting(struct detail_reader *reader, struct details *details)
{
    if (details->is_waiting)
        TAILQ_REMOVE(&reader->waiting, details, waiting);
    details->is_waiting = false;
}

/* ---- who is late ---- */

static void look_at(struct module *module, struct reading *reading, uint64_t now_ns)
{
    struct detail_reader *reader = module->detail_reader;
    struct details *details = reading->details;
    uint64_t began_ns = __atomic_load_n(&reading->began_ns, __ATOMIC_ACQUIRE);
    uint64_t patience_ns = (began_ns ? LATE_MS : STARVED_MS) * NS_PER_MS;
    if (reading->late || now_ns < (began_ns ? began_ns : reading->submitted_ns) + patience_ns)
        return;
    reading->late = true;
    __atomic_store_n(&reading->unwanted, true, __ATOMIC_RELEASE);
    reader->running--;
    reader->held++;
    module->counters.details_late++;
    if (!began_ns) { /* so would be those behind it */
        stop_waiting(reader, details);
        details->next = details->n;
    }
    settle(reading);
}

static int on_look(sd_event_source *source, uint64_t now_us, void *context)
{
    struct module *module = context;
    struct reading *reading;
    uint64_t now_ns = monotonic_ns();
    (void)source, (void)now_us;
    intake_drain_and_reap(module);
    /* Nobody leaves this list here: that is on_read's. */
    TAILQ_FOREACH (reading, &module->detail_reader->at_workers, link)
        look_at(module, reading, now_ns);
    pump(module);
    return 0;
}

/* ---- beginning and end ---- */

static struct detail_reader *make_reader(struct module *module)
{
    struct detail_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return NULL;
    TAILQ_INIT(&reader->waiting);
    TAILQ_INIT(&reader->at_workers);
    if (sd_event_add_time(module->event, &reader->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_look,
                          module) < 0 ||
        sd_event_source_set_enabled(reader->timer, SD_EVENT_OFF) < 0) {
        sd_event_source_disable_unref(reader->timer);
        free(reader);
        return NULL;
    }
    return reader;
}

struct details *details_new(struct module *module, struct ports *ports,
                            void (*done)(struct details *details, void *context), void *context)
{
    if (!module->detail_reader)
        module->detail_reader = make_reader(module);
    struct details *details = module->detail_reader ? calloc(1, sizeof *details) : NULL;
    if (!details)
        return NULL;
    details->module = module;
    details->done = done;
    details->context = context;
    details->has_ports = ports != NULL;
    if (ports) {
        details->ports = *ports;
        *ports = (struct ports){0};
    }
    return details;
}

int details_add(struct details *details, uint32_t pid)
{
    if (details->n == details->room) {
        size_t room = details->room ? details->room * 2 : 64;
        struct reading **items = realloc(details->items, room * sizeof *items);
        if (!items)
            return -ENOMEM;
        details->items = items;
        details->room = room;
    }
    struct reading *reading = calloc(1, sizeof *reading);
    if (!reading)
        return -ENOMEM;
    reading->details = details;
    reading->pid = pid;
    HASH_ADD(hh, details->index, pid, sizeof reading->pid, reading);
    if (!reading->hh.tbl) {
        free(reading);
        return -ENOMEM;
    }
    details->items[details->n++] = reading;
    return 0;
}

void details_begin(struct details *details)
{
    struct module *module = details->module;
    if (details->next == details->n) {
        details->done(details, details->context);
        return;
    }
    TAILQ_INSERT_TAIL(&module->detail_reader->waiting, details, waiting);
    details->is_waiting = true;
    pump(module);
}

void details_free(struct details **details_p)
{
    struct details *details = *details_p;
    *details_p = NULL;
    if (!details)
        return;
    stop_waiting(details->module->detail_reader, details);
    details->let_go = true;
    if (details->at_workers == 0)
        free_now(details);
}

unsigned details_held(const struct module *module)
{
    return module->detail_reader ? module->detail_reader->held : 0;
}

void details_close(struct module *module)
{
    if (!module->detail_reader)
        return;
    sd_event_source_disable_unref(module->detail_reader->timer);
    free(module->detail_reader);
    module->detail_reader = NULL;
}
