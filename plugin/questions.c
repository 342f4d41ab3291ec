/* SPDX-License-Identifier: Apache-2.0 */

/* Questions about members, a few at a time. */

#include "plugin/questions.h"

#include <errno.h>
#include <signal.h>

#include "plugin/lives_impl.h"

/* More than there can be workers, so that those who hold workers up hold up nobody else. */
enum { AT_WORKERS_MAX = 64 };

_Static_assert((int)AT_WORKERS_MAX > (int)WORKERS_MAX, "there is work for each worker");

void questions_init(struct module *module)
{
    TAILQ_INIT(&module->unasked);
    module->n_asked = 0;
}

static void on_answer(struct tracker_op *op, void *context)
{
    struct module *module = context;
    module->n_asked--;
    lives_answered(module, op);
    tracker_op_free(op);
    questions_go_on(module);
}

/* Whose facts are asked for is named by value; the answer finds the process again, or nobody. */
static void submit(struct module *module, const struct process *process)
{
    struct tracker_op *op = tracker_op_new(module->tracker, TRACKER_FACTS, on_answer, module);
    if (!op) {
        module->counters.out_of_memory++;
        return; /* its deadline tells it without */
    }
    op->pid = process->pid;
    op->tag = process->ask ? process->ask : process->late_ask;
    op->wanted = FACTS_ARGV;
    if (tracker_traits(module->tracker) & TRACKER_HAS_PLACES && !lives_knows_places(module))
        op->wanted |= FACTS_CGROUP;
    module->n_asked++;
    tracker_op_submit(module->workers, op);
}

void questions_put(struct module *module, struct process *process)
{
    if (process->unasked)
        return; /* the number that it has when its turn comes is asked for */
    if (!module->gather.saturated && module->n_asked < AT_WORKERS_MAX &&
        TAILQ_EMPTY(&module->unasked)) {
        submit(module, process);
        return;
    }
    process->unasked = true;
    TAILQ_INSERT_TAIL(&module->unasked, process, in_unasked);
}

void questions_drop(struct module *module, struct process *process)
{
    if (process->unasked)
        TAILQ_REMOVE(&module->unasked, process, in_unasked);
    process->unasked = false;
}

/* Of a zombie something can still be read. */
static bool is_reaped(const struct process *process)
{
    return process->ended_ns && kill((pid_t)process->pid, 0) < 0 && errno == ESRCH;
}

void questions_go_on(struct module *module)
{
    struct process *process;
    while (module->n_asked < AT_WORKERS_MAX && (process = TAILQ_FIRST(&module->unasked))) {
        questions_drop(module, process);
        if (!process->ask && !process->late_ask)
            continue; /* a scan was faster */
        if (!is_reaped(process))
            submit(module, process);
        else if (process->ask)
            lives_drive(module, process, &(struct life_news){.input = LIFE_NO_FACTS});
    }
}
