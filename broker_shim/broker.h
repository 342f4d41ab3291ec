/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

/*
 * The broker: its sockets, its plugins, its signals, tied to one loop in one thread.
 *
 * The thread that makes it is the one that runs it and the only one that touches it; the plugins
 * come in through the queue of events (event_queue.h) and through the log.
 *
 *     plugins' threads --- event_queue ---.
 *     publish (XSUB) ---------------------+-- routing --- events (XPUB)
 *     rpc (ROUTER) -----------------------'       `------ history
 */

#include "broker_shim/config.h"

/* How the program ends. */
enum broker_status {
    BROKER_ENDED = 0,         /* in order */
    BROKER_FAILED = 1,        /* something could not be made or bound */
    BROKER_USAGE = 2,         /* an option or the configuration is wrong */
    BROKER_PLUGIN_FAILED = 3, /* a plugin could not be loaded, opened or started */
    BROKER_OTHER_RUNS = 4,    /* another broker runs in this runtime directory */
    BROKER_PLUGIN_STUCK = 5,  /* a plugin did not stop by its deadline */
    BROKER_STOPPED_AT_ONCE =
        6 /* a second SIGINT or SIGTERM, half a second or more after the first */
};

struct broker;

/* Reads the configuration anew, for SIGHUP. `context` is what broker_new was given. */
typedef int broker_read_config(void *context, struct config *ret, struct wps_error *error);

/* Blocks signals, raises limits, takes the runtime directory, binds the sockets. To be called
 * before there is any other thread. Takes over what `config` owns on success. The error codes of
 * the modules; -EADDRINUSE where another broker runs. */
int broker_new(struct broker **ret, struct config *config, broker_read_config *read_config,
               void *context, struct wps_error *error);

/* Starts the plugins and serves until a signal or a plugin's failure ends it and the plugins have
 * stopped. What they published last is sent. */
enum broker_status broker_run(struct broker *self);

/* Closes the sockets, waits for what is unsent as long as configured, and lets go of the directory.
 * Where a plugin is stuck its memory stays: the caller leaves the process by _exit(2) then. */
void broker_destroy(struct broker **self_p);

#endif
