/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RUNTIME_GUARD_H
#define BROKER_RUNTIME_GUARD_H

/*
 * Looks after the runtime directory and the socket files in it while the broker runs. Where
 * somebody deletes them (who tidies up /tmp or /run/user, say), clients that are connected stay so,
 * but no other one finds us, and a second broker would find the place free: so the directory, its
 * lock and the files are made again, and the log says so.
 *
 * Each time costs a descriptor a socket: the old listener is kept, as its connections end with it.
 */

#include <czmq.h>

#include "broker_shim/publish.h"
#include "broker_shim/routing.h"
#include "broker_shim/rpc.h"
#include "broker_shim/runtime_dir.h"

struct runtime_guard;

/* All of it must outlive the guard. */
struct runtime_guard_options {
    struct runtime_dir *runtime;
    bool allow_others; /* as runtime_dir_open has it */
    mode_t mode;       /* of the socket files */
    struct routing *routing;
    struct publish *publish;
    struct rpc *rpc;
};

/* Begins in that loop. Negative errno, with a sentence: no watch is to be had (-EMFILE: the user
 * has too many), and a deletion goes unseen. */
int runtime_guard_new(struct runtime_guard **ret, zloop_t *loop,
                      const struct runtime_guard_options *options, struct wps_error *error);

/* Call it before the loop is destroyed. Clears the pointer; null is fine. */
void runtime_guard_destroy(struct runtime_guard **self_p);

#endif
