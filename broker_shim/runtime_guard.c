/* SPDX-License-Identifier: Apache-2.0 */

/* The runtime directory, looked after by inotify. */

#include "broker_shim/runtime_guard.h"

#include <sys/inotify.h>
#include <unistd.h>

#include "broker_shim/log.h"

enum {
    SETTLE_MS = 200, /* who deletes a directory deletes what is in it first: not in between */
    AGAIN_MS = 1000, /* where it cannot be made again, as its own place is gone, too */
    ONCE = 1,
};

struct runtime_guard {
    struct runtime_guard_options options;
    zloop_t *loop;
    int inotify;
    int timer; /* of zloop; -1: none is set */
    bool told; /* that it cannot be made again */
};

static int on_time(zloop_t *loop, int timer, void *context);

static void look_in(struct runtime_guard *self, size_t ms)
{
    if (self->timer < 0)
        self->timer = zloop_timer(self->loop, ms, ONCE, on_time, self);
}

/* ---- watching ---- */

/* Watches the directory that is there now; again is fine. */
static int watch(struct runtime_guard *self, struct wps_error *error)
{
    const char *path = self->options.runtime->path;
    const uint32_t what =
        IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW;
    return inotify_add_watch(self->inotify, path, what) < 0
               ? wps_error_system(error, -errno, "watching the runtime directory %s", path)
               : 0;
}

/* What it was does not matter: it is looked what is there. */
static int on_change(zloop_t *loop, zmq_pollitem_t *item, void *context)
{
    struct runtime_guard *self = context;
    char events[4096];
    (void)loop, (void)item;
    while (read(self->inotify, events, sizeof events) > 0)
        ;
    look_in(self, SETTLE_MS);
    return 0;
}

/* ---- making again ---- */

/* How many of the files were gone, or a negative errno. */
static int renew_files(struct runtime_guard *self, struct wps_error *error)
{
    const struct runtime_guard_options *options = &self->options;
    int events = routing_renew(options->routing, options->mode, error);
    int publish = events < 0 ? events : publish_renew(options->publish, options->mode, error);
    int rpc = publish < 0 ? publish : rpc_renew(options->rpc, options->mode, error);
    return rpc < 0 ? rpc : events + publish + rpc;
}

/* The watch comes before the files: what is deleted behind it is seen. */
static int renew(struct runtime_guard *self, struct wps_error *error)
{
    int directory = runtime_dir_renew(self->options.runtime, self->options.allow_others, error);
    int watched = directory < 0 ? directory : watch(self, error);
    int files = watched < 0 ? watched : renew_files(self, error);
    return files < 0 ? files : directory + files;
}

static int on_time(zloop_t *loop, int timer, void *context)
{
    struct runtime_guard *self = context;
    struct wps_error error;
    (void)loop, (void)timer;
    self->timer = -1;
    int renewed = renew(self, &error);
    if (renewed < 0) {
        if (!self->told)
            log_error("runtime directory %s was deleted, and clients do not find us: %s",
                      self->options.runtime->path, error.message);
        look_in(self, AGAIN_MS);
    } else if (renewed > 0) {
        log_error("runtime directory %s, or what was in it, was deleted: it is made again",
                  self->options.runtime->path);
    }
    self->told = renewed < 0;
    return 0;
}

/* ---- beginning and end ---- */

int runtime_guard_new(struct runtime_guard **ret, zloop_t *loop,
                      const struct runtime_guard_options *options, struct wps_error *error)
{
    struct runtime_guard *self = calloc(1, sizeof *self);
    if (!self)
        return wps_error_set(error, -ENOMEM, "watching the runtime directory: no memory");
    *self = (struct runtime_guard){.options = *options, .loop = loop, .timer = -1};
    self->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int result = self->inotify < 0
                     ? wps_error_system(error, -errno, "watching the runtime directory %s",
                                        options->runtime->path)
                     : watch(self, error);
    zmq_pollitem_t item = {.fd = self->inotify, .events = ZMQ_POLLIN};
    if (result == 0 && zloop_poller(loop, &item, on_change, self) < 0)
        result = wps_error_set(error, -ENOMEM, "watching the runtime directory: no memory");
    if (result < 0) {
        runtime_guard_destroy(&self);
        return result;
    }
    *ret = self;
    return 0;
}

void runtime_guard_destroy(struct runtime_guard **self_p)
{
    struct runtime_guard *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    if (self->timer >= 0)
        zloop_timer_end(self->loop, self->timer);
    if (self->inotify >= 0) {
        zmq_pollitem_t item = {.fd = self->inotify};
        zloop_poller_end(self->loop, &item);
        close(self->inotify);
    }
    free(self);
}
