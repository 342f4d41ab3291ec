/* SPDX-License-Identifier: Apache-2.0 */

/* One thread, one job at a time. */

#include "broker_shim/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"

struct worker {
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t asked;
    enum { IDLE, ASKED, DONE, TO_END } state;
    worker_job *job;
    void *context;
    int result;
    struct wps_error error;
    int wake;
};

static void do_job(struct worker *self)
{
    worker_job *job = self->job;
    void *context = self->context;
    struct wps_error error = {""};
    pthread_mutex_unlock(&self->lock);
    int result = job(context, &error);
    pthread_mutex_lock(&self->lock);
    self->result = result;
    self->error = error;
    self->state = DONE;
    eventfd_write(self->wake, 1);
}

static void *run(void *argument)
{
    struct worker *self = argument;
    pthread_mutex_lock(&self->lock);
    while (self->state != TO_END) {
        if (self->state == ASKED)
            do_job(self);
        else
            pthread_cond_wait(&self->asked, &self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static int make_thread(struct worker *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&self->thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -result;
}

int worker_new(struct worker **ret, int wake, struct wps_error *error)
{
    _cleanup_free_ struct worker *self = calloc(1, sizeof *self);
    if (!self)
        return wps_error_set(error, -ENOMEM, "making a thread: no memory");
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->asked, NULL);
    self->wake = wake;
    int result = make_thread(self);
    if (result < 0)
        return wps_error_system(error, result, "making a thread");
    *ret = take_ptr(self);
    return 0;
}

static void tell(struct worker *self, int state)
{
    self->state = state;
    pthread_cond_signal(&self->asked);
}

void worker_begin(struct worker *self, worker_job *job, void *context)
{
    pthread_mutex_lock(&self->lock);
    self->job = job;
    self->context = context;
    tell(self, ASKED);
    pthread_mutex_unlock(&self->lock);
}

bool worker_done(struct worker *self, int *ret_result, struct wps_error *ret_error)
{
    pthread_mutex_lock(&self->lock);
    bool done = self->state == DONE;
    if (done) {
        self->state = IDLE;
        *ret_result = self->result;
        *ret_error = self->error;
    }
    pthread_mutex_unlock(&self->lock);
    return done;
}

void worker_destroy(struct worker **self_p)
{
    struct worker *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    pthread_mutex_lock(&self->lock);
    tell(self, TO_END);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->asked);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

void worker_abandon(struct worker **self_p)
{
    struct worker *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    pthread_detach(self->thread);
}
