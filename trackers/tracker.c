/* SPDX-License-Identifier: Apache-2.0 */

/* What all trackers share: the list of them, the dispatch, the way of an operation through a
 * worker. */

#include "trackers/tracker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/held.h"
#include "trackers/procfs.h"
#include "trackers/tracker_impl.h"

static const struct tracker_class *const classes[] = {&tracker_cgroup, &tracker_lineage,
                                                      &tracker_none};

const char *const *tracker_names(void)
{
    static const char *const names[] = {"cgroup", "lineage", "none", NULL};
    return names;
}

static int open_class(const struct tracker_class *class, const struct tracker_options *options,
                      struct tracker **ret, struct wps_error *error)
{
    _cleanup_free_ char *instance = strdup(options->instance ? options->instance : "");
    if (!instance)
        return wps_error_set(error, -ENOMEM, "out of memory");
    for (size_t size = strlen(instance); size > 1 && instance[size - 1] == '/';)
        instance[--size] = '\0';
    int r = class->open(options, ret, error);
    if (r == 0)
        (*ret)->instance = take_ptr(instance);
    return r;
}

int tracker_open(const char *name, const struct tracker_options *options, struct tracker **ret,
                 struct wps_error *error)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strcmp(classes[i]->name, name) != 0)
            continue;
        if (classes[i]->traits & TRACKER_TRACKS && !proc_is_ours())
            return wps_error_set(error, -EXDEV,
                                 "/proc shows another pid namespace than the one we are in, so "
                                 "its numbers are of other processes (mount -t proc proc /proc)");
        return open_class(classes[i], options, ret, error);
    }
    return wps_error_set(error, -ENOSYS, "the tracker '%s' is not part of this build", name);
}

void tracker_close(struct tracker **tracker_p)
{
    struct tracker *tracker = *tracker_p;
    *tracker_p = NULL;
    if (!tracker)
        return;
    free(tracker->instance);
    tracker->class->close(tracker);
}

const char *tracker_name(const struct tracker *tracker)
{
    return tracker->class->name;
}

unsigned tracker_traits(const struct tracker *tracker)
{
    return tracker->class->traits;
}

int tracker_root_fd(const struct tracker *tracker)
{
    return tracker->root_fd;
}

const char *tracker_root_path(const struct tracker *tracker)
{
    return tracker->root_path;
}

int tracker_renew_root(struct tracker *tracker, struct wps_error *error)
{
    if (mkdir(tracker->root_path, 0755) < 0 && errno != EEXIST)
        return wps_error_system(error, -errno, "cannot make the cgroup %s", tracker->root_path);
    _cleanup_close_ int fd = open(tracker->root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Who has its number goes on with it. */
    if (fd < 0 || dup3(fd, tracker->root_fd, O_CLOEXEC) < 0)
        return wps_error_system(error, -errno, "cannot open %s", tracker->root_path);
    return 0;
}

bool tracker_locate(const struct tracker *tracker, const char *cgroup_path, char *block,
                    char *scope)
{
    return tracker->class->locate && tracker->class->locate(tracker, cgroup_path, block, scope);
}

bool tracker_procs_path(const struct tracker *tracker, const char *block, const char *scope,
                        char path[static TRACKER_PATH_MAX])
{
    return tracker->class->procs_path && tracker->class->procs_path(tracker, block, scope, path);
}

bool tracker_is_there(const struct tracker *tracker, const char *block, const char *scope)
{
    return !tracker->class->is_there || tracker->class->is_there(tracker, block, scope);
}

bool tracker_read_clock(const struct tracker *tracker, int64_t *ret_boot_ms)
{
    return tracker->class->read_clock && tracker->class->read_clock(tracker, ret_boot_ms);
}

void tracker_mark_clock(const struct tracker *tracker, int64_t boot_ms)
{
    if (tracker->class->mark_clock)
        tracker->class->mark_clock(tracker, boot_ms);
}

void tracker_unmark(const struct tracker *tracker, const char *block, enum tracker_fate fate)
{
    if (tracker->class->unmark)
        tracker->class->unmark(tracker, block, fate);
}

int tracker_cpu_us(const struct tracker *tracker, const char *block, uint64_t *ret_cpu_us)
{
    return tracker->class->cpu_us ? tracker->class->cpu_us(tracker, block, ret_cpu_us) : -ENOTSUP;
}

int tracker_threads(const struct tracker *tracker, unsigned *progress, uint32_t **ret_tids,
                    size_t *ret_n)
{
    return tracker->class->threads ? tracker->class->threads(tracker, progress, ret_tids, ret_n)
                                   : -ENOTSUP;
}

void tracker_spare(struct tracker *tracker, enum tracker_helper which, uint32_t pid)
{
    __atomic_store_n(&tracker->spared[which], pid, __ATOMIC_RELAXED);
}

bool tracker_spares(const struct tracker *tracker, uint32_t pid)
{
    for (int i = 0; i < TRACKER_HELPERS; i++)
        if (pid && __atomic_load_n(&tracker->spared[i], __ATOMIC_RELAXED) == pid)
            return true;
    return false;
}

/* FNV-1a, for spreading only. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

void tracker_root_name(char name[static TRACKER_ROOT_NAME], const char *instance)
{
    snprintf(name, TRACKER_ROOT_NAME, "proctrack-%016llx", (unsigned long long)hash_of(instance));
}

/* ---- operations ---- */

struct tracker_op *tracker_op_new(struct tracker *tracker, enum tracker_op_kind kind,
                                  void (*done)(struct tracker_op *op, void *context), void *context)
{
    struct tracker_op *op = calloc(1, sizeof *op);
    if (!op)
        return NULL;
    op->tracker = tracker;
    op->kind = kind;
    op->watch_fd = -1;
    op->done = done;
    op->context = context;
    return op;
}

static int read_facts(struct tracker_op *op)
{
    struct process_facts facts;
    int r = facts_read(&facts, op->pid, op->wanted);
    if (r < 0)
        return wps_error_system(&op->error, r, "cannot read process %u", op->pid);
    return facts_list_add(&op->facts, &facts);
}

bool tracker_covers(const char *tree, struct text scope)
{
    const size_t size = strlen(tree);
    return size == 0 || (scope.size >= size && memcmp(scope.at, tree, size) == 0 &&
                         (scope.size == size || scope.at[size] == '/'));
}

int tracker_add_pid(struct tracker_op *op, uint32_t pid)
{
    if ((op->n_pids & (op->n_pids - 1)) == 0) { /* the room is the next power of two */
        size_t room = op->n_pids ? op->n_pids * 2 : 1;
        uint32_t *pids = realloc(op->pids, room * sizeof *pids);
        if (!pids)
            return -ENOMEM;
        op->pids = pids;
    }
    op->pids[op->n_pids++] = pid;
    return 0;
}

bool tracker_has_pid(const struct tracker_op *op, uint32_t pid)
{
    for (size_t i = 0; i < op->n_pids; i++)
        if (op->pids[i] == pid)
            return true;
    return false;
}

int tracker_op_run(struct tracker_op *op)
{
    op->began_ns = boottime_ns();
    __atomic_store_n(&op->tid, (uint32_t)syscall(SYS_gettid), __ATOMIC_RELAXED);
    op->result =
        op->kind == TRACKER_FACTS ? read_facts(op) : op->tracker->class->run(op->tracker, op);
    __atomic_store_n(&op->tid, 0, __ATOMIC_RELAXED);
    return op->result;
}

bool tracker_op_hangs(const struct tracker_op *op)
{
    uint32_t tid = __atomic_load_n(&op->tid, __ATOMIC_RELAXED);
    return tid && held_hangs(tid);
}

static void run(struct job *job)
{
    tracker_op_run((struct tracker_op *)job);
}

static void done(struct job *job, void *context)
{
    struct tracker_op *op = (struct tracker_op *)job;
    op->done(op, context);
}

void tracker_op_submit(struct workers *workers, struct tracker_op *op)
{
    op->result = wps_error_set(&op->error, -ECANCELED, "it was not done: the module stops");
    bool reads = op->kind == TRACKER_FACTS || op->kind == TRACKER_SCAN ||
                 op->kind == TRACKER_ASSIGN || (op->kind == TRACKER_KILL && op->strays);
    op->job = (struct job){.run = run, .done = done, .context = op->context, .urgent = !reads};
    workers_submit(workers, &op->job);
}

void tracker_op_free(struct tracker_op *op)
{
    if (!op)
        return;
    facts_list_clear(&op->facts);
    for (char **name = op->names; name && *name; name++)
        free(*name);
    free(op->names);
    free(op->pids);
    free(op->roots);
    known_drop(&op->known);
    if (op->watch_fd >= 0)
        close(op->watch_fd);
    free(op);
}

bool tracker_is_empty(int watch_fd)
{
    char text[128];
    ssize_t size = pread(watch_fd, text, sizeof text - 1, 0);
    if (size < 0)
        return errno == ENODEV; /* the cgroup itself is gone */
    text[size] = '\0';
    return strstr(text, "populated 0") != NULL;
}
