/* SPDX-License-Identifier: Apache-2.0 */

/* The worker threads: what is done in which thread, that nobody who hangs holds up the others, and
 * that nothing is left behind. */

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test_trackers_tools.h"
#include "trackers/workers.h"

enum { JOBS = 2000 };

/* A job that notes what became of it. */
struct work {
    struct job job;
    unsigned number;
    pthread_t run_in, done_in;
    sigset_t mask;
    bool ran, is_done;
    int waits_for; /* reads this before it is done; -1: it does not wait */
};

static struct workers *workers;
static pthread_t owner;
static struct work works[JOBS];
static unsigned done_order[JOBS], n_done;
static int gate[2] = {-1, -1};

static void run(struct job *job)
{
    struct work *work = (struct work *)job;
    char byte;
    work->run_in = pthread_self();
    pthread_sigmask(SIG_SETMASK, NULL, &work->mask);
    if (work->waits_for >= 0)
        while (read(work->waits_for, &byte, 1) < 0 && errno == EINTR)
            ;
    work->ran = true;
}

static void done(struct job *job, void *context)
{
    struct work *work = (struct work *)job;
    cr_assert_eq(context, &owner);
    cr_assert_not(work->is_done, "done twice");
    work->done_in = pthread_self();
    work->is_done = true;
    done_order[n_done++] = work->number;
}

static void begin(void)
{
    struct wps_error error;
    owner = pthread_self();
    cr_assert_eq(workers_new(&workers, &error), 0, "%s", error.message);
}

static void open_gate(void)
{
    if (gate[1] >= 0)
        close(gate[1]);
    gate[1] = -1;
}

static void end(void)
{
    open_gate();
    workers_destroy(&workers, UINT64_MAX);
}

TestSuite(workers, .init = begin, .fini = end, .timeout = 120);

static void submit(unsigned number, int waits_for)
{
    works[number] = (struct work){
        .job = {.run = run, .done = done, .context = &owner},
        .number = number,
        .waits_for = waits_for,
    };
    workers_submit(workers, &works[number].job);
}

/* Many jobs that wait until the gate opens. */
static void submit_blocked(unsigned from, unsigned n)
{
    if (gate[0] < 0)
        cr_assert_eq(pipe2(gate, O_CLOEXEC), 0);
    for (unsigned i = 0; i < n; i++)
        submit(from + i, gate[0]);
}

static bool is_reaped(void *left)
{
    workers_reap(workers);
    return workers_pending(workers) <= *(unsigned *)left;
}

static void reap_until(unsigned left)
{
    cr_assert(soon(is_reaped, &left), "%u jobs are left", workers_pending(workers));
}

static unsigned count_threads(void)
{
    unsigned n = 0;
    _cleanup_closedir_ DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(tasks));)
        n += entry->d_name[0] != '.';
    return n;
}

/* A thread that was joined is in /proc for a moment more. */
static bool has_threads(void *n)
{
    return count_threads() == *(unsigned *)n;
}

static unsigned count_descriptors(void)
{
    unsigned n = 0;
    _cleanup_closedir_ DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(directory));)
        n += entry->d_name[0] != '.';
    return n;
}

Test(workers, work_is_run_by_a_thread_of_theirs_and_done_in_the_owners)
{
    submit(0, -1);
    cr_assert_eq(workers_pending(workers), 1);
    reap_until(0);
    cr_assert(works[0].ran && works[0].is_done);
    cr_assert_not(pthread_equal(works[0].run_in, owner));
    cr_assert(pthread_equal(works[0].done_in, owner));
    cr_assert_eq(workers_pending(workers), 0);
}

Test(workers, nothing_is_done_before_the_owner_reaps)
{
    submit(0, -1);
    struct pollfd pollfd = {.fd = workers_fd(workers), .events = POLLIN};
    cr_assert_eq(poll(&pollfd, 1, PATIENCE_MS), 1);
    cr_assert(works[0].ran);
    cr_assert_not(works[0].is_done);
    cr_assert_eq(workers_pending(workers), 1);
    cr_assert_eq(workers_reap(workers), 1);
    cr_assert(works[0].is_done);
    cr_assert_eq(poll(&pollfd, 1, 0), 0, "the descriptor is quiet again");
    cr_assert_eq(workers_reap(workers), 0);
}

/* Two threads may finish in another order than they began; one that hangs does not change that of
 * the others. */
Test(workers, results_come_in_the_order_in_which_work_ends)
{
    submit_blocked(0, 1);
    for (unsigned i = 1; i < 200; i++) {
        submit(i, -1);
        reap_until(1);
    }
    open_gate();
    reap_until(0);
    for (unsigned i = 0; i < 199; i++)
        cr_assert_eq(done_order[i], i + 1);
    cr_assert_eq(done_order[199], 0, "the one that hung is the last");
}

/* A kill never waits for a read. */
Test(workers, urgent_work_never_waits_for_what_hangs)
{
    submit_blocked(0, 3 * WORKERS_MAX);
    for (unsigned i = 0; i < 20; i++) {
        works[200 + i] = (struct work){
            .job = {.run = run, .done = done, .context = &owner, .urgent = true},
            .number = 200 + i,
            .waits_for = -1,
        };
        workers_submit(workers, &works[200 + i].job);
        reap_until(3 * WORKERS_MAX);
        cr_assert(works[200 + i].is_done);
    }
    cr_assert_eq(workers_threads(workers), WORKERS_MIN, "nobody had to be made for it");
    open_gate();
    reap_until(0);
}

Test(workers, every_job_is_done_exactly_once)
{
    for (unsigned i = 0; i < JOBS; i++)
        submit(i, -1);
    reap_until(0);
    cr_assert_eq(n_done, JOBS);
    for (unsigned i = 0; i < JOBS; i++)
        cr_assert(works[i].ran && works[i].is_done, "job %u", i);
}

Test(workers, their_threads_take_no_signals)
{
    submit(0, -1);
    reap_until(0);
    for (int number = 1; number < SIGRTMAX; number++)
        if (number != SIGKILL && number != SIGSTOP && number != 32 && number != 33)
            cr_assert(sigismember(&works[0].mask, number), "signal %d", number);
    sigset_t own;
    pthread_sigmask(SIG_SETMASK, NULL, &own);
    cr_assert_not(sigismember(&own, SIGUSR1), "the owner's are as before");
}

static bool is_relieved(void *number)
{
    workers_relieve(workers);
    workers_reap(workers);
    return works[*(unsigned *)number].is_done;
}

Test(workers, jobs_that_hang_do_not_hold_up_the_others)
{
    unsigned before = workers_threads(workers), behind = 100;
    submit_blocked(0, WORKERS_MIN + 2);
    submit(behind, -1);
    cr_assert(soon(is_relieved, &behind));
    cr_assert_gt(workers_threads(workers), before);
    cr_assert_eq(workers_pending(workers), WORKERS_MIN + 2);
    open_gate();
    reap_until(0);
}

Test(workers, no_more_threads_are_made_than_the_limit)
{
    submit_blocked(0, 3 * WORKERS_MAX);
    unsigned most = 0;
    uint64_t deadline = clock_ms() + 20000;
    while (workers_threads(workers) < WORKERS_MAX && clock_ms() < deadline) {
        workers_relieve(workers);
        poll(NULL, 0, 1);
    }
    for (int i = 0; i < 2 * WORKERS_HELD_MS; i++) {
        workers_relieve(workers);
        if (workers_threads(workers) > most)
            most = workers_threads(workers);
        poll(NULL, 0, 1);
    }
    cr_assert_eq(most, WORKERS_MAX);
    open_gate();
    reap_until(0);
}

Test(workers, no_thread_is_made_where_nobody_waits)
{
    unsigned before = workers_threads(workers);
    submit(0, -1);
    reap_until(0);
    for (int i = 0; i < 2 * WORKERS_HELD_MS; i++) {
        workers_relieve(workers);
        poll(NULL, 0, 1);
    }
    cr_assert_eq(workers_threads(workers), before);
}

Test(workers, the_end_waits_for_what_is_queued)
{
    for (unsigned i = 0; i < 100; i++)
        submit(i, -1);
    cr_assert_eq(workers_destroy(&workers, UINT64_MAX), 0);
    cr_assert_null(workers);
    cr_assert_eq(n_done, 100);
}

Test(workers, an_end_that_takes_too_long_is_given_up_and_can_be_tried_again)
{
    submit_blocked(0, 1);
    submit(1, -1);
    uint64_t began = clock_ms(), deadline_ns = (began + 50) * UINT64_C(1000000);
    cr_assert_eq(workers_destroy(&workers, deadline_ns), -ETIMEDOUT);
    cr_assert_geq(clock_ms(), began + 49);
    cr_assert_not_null(workers);
    cr_assert_not(works[0].is_done);
    open_gate();
    cr_assert_eq(workers_destroy(&workers, UINT64_MAX), 0);
    cr_assert_null(workers);
    cr_assert(works[0].is_done && works[1].is_done);
}

Test(workers, a_deadline_that_has_passed_is_no_time_at_all)
{
    submit_blocked(0, 1);
    cr_assert_eq(workers_destroy(&workers, 1), -ETIMEDOUT);
    open_gate();
}

Test(workers, the_end_of_nobody_is_fine)
{
    struct workers *nobody = NULL;
    cr_assert_eq(workers_destroy(&nobody, 0), 0);
}

Test(workers_alone, no_thread_and_no_descriptor_is_left, .timeout = 120)
{
    unsigned threads = count_threads(), descriptors = count_descriptors();
    owner = pthread_self();
    for (int i = 0; i < 20; i++) {
        struct wps_error error;
        cr_assert_eq(workers_new(&workers, &error), 0, "%s", error.message);
        n_done = 0;
        for (unsigned k = 0; k < 50; k++)
            submit(k, -1);
        cr_assert_eq(workers_destroy(&workers, UINT64_MAX), 0);
        cr_assert_eq(n_done, 50);
    }
    cr_assert(soon(has_threads, &threads), "%u threads are left", count_threads() - threads);
    cr_assert_eq(count_descriptors(), descriptors);
}
