/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_WORKERS_H
#define TRACKERS_WORKERS_H

/*
 * A few threads for what can take milliseconds or hang: writes to cgroup files, reads of another
 * process's memory. They get a value and send back a value, and never touch what the owner's thread
 * owns. Where all of them are held up, more are made, up to a limit, so that one process whose
 * /proc files hang costs itself a time-out and the others nothing.
 *
 * All functions are called from the one owner's thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/error.h"

/* The head of a piece of work: put it first in a struct that holds input and result. Between submit
 * and `done` it belongs to the workers; then it is the owner's again. */
struct job {
    void (*run)(struct job *job);                 /* in a worker's thread */
    void (*done)(struct job *job, void *context); /* in the owner's thread, from workers_hand_out */
    void *context;                                /* handed to done */
    bool urgent; /* it reads nothing that another process could hold up: it goes first */
    STAILQ_ENTRY(job) link;
};

struct workers;

enum {
    WORKERS_MIN = 3, /* one of them does urgent work only, so that kills never wait for reads */
    WORKERS_MAX = 16,
    WORKERS_HELD_MS = 50, /* as long as this with all held up, and one more is made */
};

/* Starts the threads, with all signals blocked. -EAGAIN, -ENOMEM, -EMFILE with a sentence. */
int workers_new(struct workers **ret_workers, struct wps_error *error);

/* Readable while finished jobs wait for workers_collect. */
int workers_fd(const struct workers *workers);

/* Once workers_destroy has joined the threads, a job is not run any more: only its `done` is
 * called. */
void workers_submit(struct workers *workers, struct job *job);

/* Takes aside the jobs that are finished now. What they saw had happened by then. */
void workers_collect(struct workers *workers);

/* Calls `done` of each that was taken aside; returns how many. */
unsigned workers_hand_out(struct workers *workers);

/* Both. */
unsigned workers_reap(struct workers *workers);

/* Looks whether all threads are held up while work waits, and then makes one more. To be called
 * from time to time while jobs are pending. The new thread inherits the policy and the nice value
 * of the owner's. */
void workers_relieve(struct workers *workers);

/* True where workers_relieve would make one. */
bool workers_are_held_up(struct workers *workers);

/* Jobs submitted whose `done` was not called yet. */
unsigned workers_pending(const struct workers *workers);
unsigned workers_threads(const struct workers *workers);

/* Ends the threads when they have finished what is queued, and joins them until `deadline_ns`
 * (CLOCK_MONOTONIC). Jobs that finished are reaped first. -ETIMEDOUT: some still run; all is kept
 * for them, nothing is freed. On success the pointer is cleared. */
int workers_destroy(struct workers **workers_p, uint64_t deadline_ns);

#endif
