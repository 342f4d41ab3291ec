/* SPDX-License-Identifier: Apache-2.0 */

/* The file of the control socket, looked after by inotify. */

#include "plugin/control_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

#include "base/clock.h"

enum {
    SETTLE_MS = 300, /* whoever has the directory makes it again first, if somebody does */
    AGAIN_MS = 1000, /* where that was not done yet */
};

struct control_file {
    struct control *control;
    char *directory;
    sd_event_source *watch, *timer;
    bool told; /* that it cannot be bound again */
};

static void look_in(struct control_file *self, uint64_t ms)
{
    sd_event_source_set_time(self->timer, monotonic_ns() / 1000 + ms * 1000);
    sd_event_source_set_enabled(self->timer, SD_EVENT_ONESHOT);
}

/* What it was does not matter: it is looked what is there. */
static int on_change(sd_event_source *source, const struct inotify_event *event, void *context)
{
    (void)source, (void)event;
    look_in(context, SETTLE_MS);
    return 0;
}

/* The directory that is there now: a watch ends with the one that it was made for. */
static int watch(struct control_file *self)
{
    const uint32_t what =
        IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW;
    self->watch = sd_event_source_disable_unref(self->watch);
    return sd_event_add_inotify(control_module(self->control)->event, &self->watch, self->directory,
                                what, on_change, self);
}

/* The watch comes first: what is deleted behind it is seen. */
static int renew(struct control_file *self, struct wps_error *error)
{
    int r = watch(self);
    if (r < 0)
        return wps_error_system(error, r, "cannot watch %s", self->directory);
    return control_renew(self->control, error);
}

static int on_time(sd_event_source *source, uint64_t now_us, void *context)
{
    struct control_file *self = context;
    struct module *module = control_module(self->control);
    const char *endpoint = control_endpoint(self->control);
    struct wps_error error;
    (void)source, (void)now_us;
    int r = renew(self, &error);
    if (r > 0)
        module_log(module, WPS_LOG_ERROR, "the control socket %s was deleted: it is bound again",
                   endpoint);
    if (r < 0 && !self->told)
        module_log(module, WPS_LOG_ERROR,
                   "the control socket %s was deleted, and clients do not find us: %s", endpoint,
                   error.message);
    self->told = r < 0;
    if (r < 0)
        look_in(self, AGAIN_MS);
    return 0;
}

int control_file_open(struct control_file **ret, struct control *control, const char *path)
{
    struct control_file *self = calloc(1, sizeof *self);
    const char *slash = strrchr(path, '/');
    if (!self)
        return -ENOMEM;
    self->control = control;
    self->directory = slash > path ? strndup(path, (size_t)(slash - path)) : strdup("/");
    int r = self->directory ? watch(self) : -ENOMEM;
    r = r < 0 ? r
              : sd_event_add_time(control_module(control)->event, &self->timer, CLOCK_MONOTONIC,
                                  UINT64_MAX, 1000, on_time, self);
    if (r < 0) {
        control_file_close(&self);
        return r;
    }
    sd_event_source_set_enabled(self->timer, SD_EVENT_OFF);
    *ret = self;
    return 0;
}

void control_file_close(struct control_file **self_p)
{
    struct control_file *self = *self_p;
    if (!self)
        return;
    sd_event_source_disable_unref(self->watch);
    sd_event_source_disable_unref(self->timer);
    free(self->directory);
    free(self);
    *self_p = NULL;
}
