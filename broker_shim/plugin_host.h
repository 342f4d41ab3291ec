/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_PLUGIN_HOST_H
#define BROKER_PLUGIN_HOST_H

/*
 * The plugins and their lives.
 *
 *     waiting -> opening -> opened -> starting -> running -> stopping -> stopped -> closing ->
 * closed |                    |           |  ^        | v                    v           v  | v
 *                 failed              failed       reloading   stuck
 *
 * Every call into a plugin is made by a thread of its own, the same one from open to close, so that
 * the broker goes on routing events while a plugin takes its time, also when it publishes its last
 * ones out of stop. At any moment one call of one plugin is under way: they open and start in the
 * order given (all are opened before the first is started, so that a wrong option is found before
 * anything runs), and stop in the reverse order. One that does not come back from stop by its
 * deadline, and a second more, is stuck: it stays mapped, its memory stays, and the next one is
 * stopped.
 *
 * The owner's thread calls everything here but what the plugins call through `struct wps_host`. The
 * owner watches two descriptors and calls plugin_host_step when one is readable.
 */

#include <stdbool.h>
#include <stdint.h>

#include "broker_shim/counters.h"
#include "broker_shim/event_queue.h"
#include "broker_shim/plugin_spec.h"

struct plugin_host;

enum plugin_host_phase {
    PLUGIN_HOST_STARTING,
    PLUGIN_HOST_RUNNING,
    PLUGIN_HOST_STOPPING,
    PLUGIN_HOST_STOPPED, /* no call is under way any more, except in the stuck ones */
};

struct plugin_host_options {
    const char *runtime_dir;   /* these three must outlive the host, */
    struct event_queue *queue; /* and where a plugin is stuck, the */
    struct counters *counters; /* process */
    uint32_t stop_timeout_ms;
};

/* Copies the specs. -EMFILE, -ENOMEM. */
int plugin_host_new(struct plugin_host **ret, const struct plugin_host_options *options,
                    const struct plugin_spec *specs, size_t n_specs, struct wps_error *error);

/* In phase STOPPED, or before the first step. What is stuck is left alone. */
void plugin_host_destroy(struct plugin_host **self_p);

/* The descriptors to watch: jobs done, and deadlines. Their owner is the host. */
int plugin_host_wake_fd(const struct plugin_host *self);
int plugin_host_timer_fd(const struct plugin_host *self);

/* Goes on as far as it can without waiting, and logs what happened. Call it once at the beginning,
 * and when a descriptor is readable. */
void plugin_host_step(struct plugin_host *self);

enum plugin_host_phase plugin_host_phase(const struct plugin_host *self);

/* Begins to stop all plugins; the steps do it. */
void plugin_host_stop(struct plugin_host *self);

/* How long that may take, with plugins that each take all the time they have. */
uint64_t plugin_host_patience_ms(const struct plugin_host *self);

/* Gives the running plugins their options anew, by the place in the list; a plugin keeps the ones
 * it has where `specs` has another file in its place. The steps do it. Only in phase RUNNING. */
void plugin_host_reload(struct plugin_host *self, const struct plugin_spec *specs, size_t n_specs);

/* True where a plugin that is not optional did not open or start. */
bool plugin_host_failed(const struct plugin_host *self);

/* True where a plugin is stuck. */
bool plugin_host_is_stuck(const struct plugin_host *self);

/* ---- what to tell about them ---------------------------------------------------------------- */

enum { PLUGIN_ENDPOINTS_MAX = 16 };

struct plugin_endpoint {
    char *name;
    char *endpoint;
};

/* All pointers live until the next step. */
struct plugin_info {
    const char *name; /* the file, while it is not loaded */
    const char *version;
    const char *state;
    const struct plugin_endpoint *endpoints;
    size_t n_endpoints;
};

size_t plugin_host_size(const struct plugin_host *self);
void plugin_host_info(const struct plugin_host *self, size_t index, struct plugin_info *ret);

/* Loads and opens a plugin, and closes it again. On success `name` has its name and version. */
int plugin_host_check(const struct plugin_spec *spec, const char *runtime_dir, char *name,
                      size_t name_size, struct wps_error *error);

#endif
