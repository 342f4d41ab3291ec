/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_WORKER_H
#define BROKER_WORKER_H

/*
 * A thread that does one job at a time for its owner, who never waits: the owner asks, goes on, and
 * is woken by an eventfd when the job is done. It is made with all signals blocked.
 *
 * All functions are for the owner's thread.
 */

#include <stdbool.h>

#include "base/error.h"

struct worker;

/* Returns 0, or a negative errno and the sentence. Called in the worker's thread. */
typedef int worker_job(void *context, struct wps_error *error);

/* `wake` is an eventfd of the owner's that gets 1 added for each job done; it must stay open as
 * long as the worker lives. -EAGAIN, -ENOMEM: no thread can be made. */
int worker_new(struct worker **ret, int wake, struct wps_error *error);

/* Begins a job. The worker must be idle. */
void worker_begin(struct worker *self, worker_job *job, void *context);

/* True where the job that was begun is done; true once only. */
bool worker_done(struct worker *self, int *ret_result, struct wps_error *ret_error);

/* Ends the thread and joins it. The worker must be idle. */
void worker_destroy(struct worker **self_p);

/* Gives up on a worker whose job does not end: it is left to itself, with its memory. */
void worker_abandon(struct worker **self_p);

#endif
