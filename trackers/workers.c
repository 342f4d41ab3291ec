/* SPDX-License-Identifier: Apache-2.0 */

/* The worker threads: queues under one mutex, an eventfd for what is finished. */

#include "trackers/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

STAILQ_HEAD(jobs, job);

struct worker {
    struct workers *workers;
    pthread_t thread;
    uint64_t busy_since_ns; /* 0: idle */
};

struct workers {
    int event;
    unsigned pending;       /* the owner's */
    unsigned n;             /* threads made; the owner's */
    pthread_mutex_t mutex;  /* guards what follows */
    pthread_cond_t wake;    /* there is work, or the end */
    pthread_cond_t urgency; /* the same, for the thread that takes urgent work alone */
    pthread_cond_t left;    /* the last thread has left; on CLOCK_MONOTONIC */
    struct jobs todo, urgent, finished;
    struct jobs collected; /* the owner's */
    bool ending, joined;
    unsigned running; /* threads that have not left yet */
    struct worker worker[WORKERS_MAX];
};

/* ---- in a worker's thread ---- */

/* The first thread keeps itself free for urgent work. */
static bool is_for_urgent(const struct worker *worker)
{
    return worker == &worker->workers->worker[0];
}

static struct job *take_job(struct worker *worker)
{
    struct workers *workers = worker->workers;
    struct job *job = STAILQ_FIRST(&workers->urgent);
    if (job) {
        STAILQ_REMOVE_HEAD(&workers->urgent, link);
    } else if (!is_for_urgent(worker) && (job = STAILQ_FIRST(&workers->todo))) {
        STAILQ_REMOVE_HEAD(&workers->todo, link);
    }
    return job;
}

static void hand_back(struct workers *workers, struct job *job)
{
    bool first = STAILQ_EMPTY(&workers->finished);
    STAILQ_INSERT_TAIL(&workers->finished, job, link);
    if (first)
        eventfd_write(workers->event, 1);
}

static void wait_for_work(struct worker *worker)
{
    struct workers *workers = worker->workers;
    pthread_cond_wait(is_for_urgent(worker) ? &workers->urgency : &workers->wake, &workers->mutex);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct workers *workers = worker->workers;
    pthread_mutex_lock(&workers->mutex);
    for (;;) {
        struct job *job = take_job(worker);
        if (!job && workers->ending)
            break;
        if (!job) {
            wait_for_work(worker);
            continue;
        }
        worker->busy_since_ns = monotonic_ns();
        pthread_mutex_unlock(&workers->mutex);
        job->run(job);
        pthread_mutex_lock(&workers->mutex);
        worker->busy_since_ns = 0;
        hand_back(workers, job);
    }
    if (--workers->running == 0)
        pthread_cond_signal(&workers->left);
    pthread_mutex_unlock(&workers->mutex);
    return NULL;
}

/* ---- in the owner's thread ---- */

static int start_one(struct workers *workers)
{
    sigset_t all, before;
    struct worker *worker = &workers->worker[workers->n];
    worker->workers = workers;
    sigfillset(&all);
    pthread_mutex_lock(&workers->mutex);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int r = pthread_create(&worker->thread, NULL, work, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    workers->running += r == 0;
    workers->n += r == 0;
    pthread_mutex_unlock(&workers->mutex);
    if (r == 0)
        pthread_setname_np(worker->thread, "proctrack-work");
    return -r;
}

int workers_new(struct workers **ret_workers, struct wps_error *error)
{
    struct workers *workers = calloc(1, sizeof *workers);
    if (!workers)
        return wps_error_set(error, -ENOMEM, "out of memory");
    STAILQ_INIT(&workers->todo);
    STAILQ_INIT(&workers->urgent);
    STAILQ_INIT(&workers->finished);
    STAILQ_INIT(&workers->collected);
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_cond_init(&workers->wake, NULL);
    pthread_cond_init(&workers->urgency, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&workers->left, &attributes);
    pthread_condattr_destroy(&attributes);
    workers->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = workers->event < 0 ? -errno : 0;
    for (int i = 0; r == 0 && i < WORKERS_MIN; i++)
        r = start_one(workers);
    if (r < 0) {
        workers_destroy(&workers, UINT64_MAX);
        return wps_error_system(error, r, "cannot start worker threads");
    }
    *ret_workers = workers;
    return 0;
}

int workers_fd(const struct workers *workers)
{
    return workers->event;
}

void workers_submit(struct workers *workers, struct job *job)
{
    workers->pending++;
    pthread_mutex_lock(&workers->mutex);
    if (workers->joined)
        STAILQ_INSERT_TAIL(&workers->finished, job, link);
    else if (job->urgent)
        STAILQ_INSERT_TAIL(&workers->urgent, job, link);
    else
        STAILQ_INSERT_TAIL(&workers->todo, job, link);
    pthread_mutex_unlock(&workers->mutex);
    /* One is enough; but one that may take either kind may have been woken for another job. */
    pthread_cond_signal(&workers->wake);
    if (job->urgent)
        pthread_cond_signal(&workers->urgency);
}

void workers_collect(struct workers *workers)
{
    eventfd_t count;
    pthread_mutex_lock(&workers->mutex);
    eventfd_read(workers->event, &count);
    STAILQ_CONCAT(&workers->collected, &workers->finished);
    pthread_mutex_unlock(&workers->mutex);
}

unsigned workers_hand_out(struct workers *workers)
{
    struct job *job;
    unsigned n = 0;
    while ((job = STAILQ_FIRST(&workers->collected))) {
        STAILQ_REMOVE_HEAD(&workers->collected, link);
        workers->pending--;
        n++;
        job->done(job, job->context);
    }
    return n;
}

unsigned workers_reap(struct workers *workers)
{
    workers_collect(workers);
    return workers_hand_out(workers);
}

bool workers_are_held_up(struct workers *workers)
{
    uint64_t now = monotonic_ns();
    bool held = workers->n < WORKERS_MAX;
    pthread_mutex_lock(&workers->mutex);
    held = held && !STAILQ_EMPTY(&workers->todo);
    for (unsigned i = 1; i < workers->n && held; i++) {
        uint64_t since = workers->worker[i].busy_since_ns;
        held = since != 0 && now - since >= WORKERS_HELD_MS * UINT64_C(1000000);
    }
    pthread_mutex_unlock(&workers->mutex);
    return held;
}

void workers_relieve(struct workers *workers)
{
    if (workers_are_held_up(workers))
        start_one(workers); /* where that fails the late ones stay late */
}

unsigned workers_pending(const struct workers *workers)
{
    return workers->pending;
}

unsigned workers_threads(const struct workers *workers)
{
    return workers->n;
}

/* Waits until all threads have left, then joins them. */
static int join_until(struct workers *workers, uint64_t deadline_ns)
{
    const uint64_t second = UINT64_C(1000000000);
    struct timespec until = {(time_t)(deadline_ns / second), (long)(deadline_ns % second)};
    int r = 0;
    pthread_mutex_lock(&workers->mutex);
    while (workers->running > 0 && r != ETIMEDOUT)
        r = deadline_ns == UINT64_MAX
                ? pthread_cond_wait(&workers->left, &workers->mutex)
                : pthread_cond_timedwait(&workers->left, &workers->mutex, &until);
    bool all_left = workers->running == 0;
    pthread_mutex_unlock(&workers->mutex);
    for (unsigned i = 0; all_left && i < workers->n; i++)
        pthread_join(workers->worker[i].thread, NULL);
    return all_left ? 0 : -ETIMEDOUT;
}

int workers_destroy(struct workers **workers_p, uint64_t deadline_ns)
{
    struct workers *workers = *workers_p;
    if (!workers)
        return 0;
    pthread_mutex_lock(&workers->mutex);
    workers->ending = true;
    pthread_cond_broadcast(&workers->wake);
    pthread_cond_broadcast(&workers->urgency);
    pthread_mutex_unlock(&workers->mutex);
    int r = join_until(workers, deadline_ns);
    workers->joined = r == 0;
    while (workers->event >= 0 && workers_reap(workers) > 0)
        ;
    if (r < 0)
        return r;
    if (workers->event >= 0)
        close(workers->event);
    pthread_cond_destroy(&workers->wake);
    pthread_cond_destroy(&workers->urgency);
    pthread_cond_destroy(&workers->left);
    pthread_mutex_destroy(&workers->mutex);
    free(workers);
    *workers_p = NULL;
    return 0;
}
