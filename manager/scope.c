/* SPDX-License-Identifier: Apache-2.0 */

/* Asking for a scope, and for moves into it. */

#include "manager/scope.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "manager/bus.h"

enum { AGAIN_MS = 20 };

/* What became of the jobs for our unit: the newest that ended. */
struct job_watch {
    const char *unit;
    char job[256], result[32];
};

static int on_job_removed(sd_bus_message *message, void *context, sd_bus_error *error)
{
    struct job_watch *watch = context;
    const char *job, *unit, *result;
    uint32_t id;
    (void)error;
    if (sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) < 0 ||
        strcmp(unit, watch->unit) != 0)
        return 0;
    snprintf(watch->job, sizeof watch->job, "%s", job);
    snprintf(watch->result, sizeof watch->result, "%s", result);
    return 0;
}

static int watch_jobs(struct bus *bus, struct job_watch *watch)
{
    return sd_bus_match_signal_async(bus->bus, NULL, NULL, "/org/freedesktop/systemd1",
                                     "org.freedesktop.systemd1.Manager", "JobRemoved",
                                     on_job_removed, NULL, watch);
}

/* The manager sends its signals once somebody wants them. Where there is none, the call behind this
 * one says so. */
static int subscribe(struct bus *bus)
{
    _cleanup_message_ sd_bus_message *request = NULL, *answer = NULL;
    int r = bus_request(bus, "Subscribe", &request);
    return r < 0 ? r : bus_ask(bus, request, &answer);
}

/* ---- the calls ---- */

static int append_properties(sd_bus_message *message, uint32_t pid)
{
    int r = sd_bus_message_append(message, "(sv)", "Description", "s", "Blocks of proctrack");
    r = r < 0 ? r : sd_bus_message_append(message, "(sv)", "Delegate", "b", true);
    /* What runs in it is limited by what it is in, not once more by the default for a unit. */
    r = r < 0 ? r : sd_bus_message_append(message, "(sv)", "TasksMax", "t", UINT64_MAX);
    /* One that failed does not stand in the way of the next. */
    r = r < 0 ? r
              : sd_bus_message_append(message, "(sv)", "CollectMode", "s", "inactive-or-failed");
    return r < 0 ? r : sd_bus_message_append(message, "(sv)", "PIDs", "au", 1, pid);
}

/* StartTransientUnit(name, mode, properties, units beside it) -> job */
static int start_request(struct bus *bus, const char *name, uint32_t pid, sd_bus_message **ret)
{
    sd_bus_message *message = NULL;
    int r = bus_request(bus, "StartTransientUnit", &message);
    r = r < 0 ? r : sd_bus_message_append(message, "ss", name, "fail");
    r = r < 0 ? r : sd_bus_message_open_container(message, 'a', "(sv)");
    r = r < 0 ? r : append_properties(message, pid);
    r = r < 0 ? r : sd_bus_message_close_container(message);
    r = r < 0 ? r : sd_bus_message_append(message, "a(sa(sv))", 0);
    if (r < 0) {
        sd_bus_message_unref(message);
        return r;
    }
    *ret = message;
    return 0;
}

static int refused(const char *what, const char *name, const sd_bus_message *answer,
                   struct wps_error *error)
{
    const sd_bus_error *why = sd_bus_message_get_error((sd_bus_message *)answer);
    int code = sd_bus_message_get_errno((sd_bus_message *)answer);
    if (sd_bus_error_has_name(why, "org.freedesktop.systemd1.UnitExists"))
        code = EEXIST;
    if (sd_bus_error_has_name(why, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
        sd_bus_error_has_name(why, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
        return wps_error_set(error, -ESRCH,
                             "there is no systemd manager to ask: nobody on the bus is one");
    return wps_error_set(error, code ? -code : -EPROTO, "%s %s: %s", what, name,
                         why && why->message ? why->message : "it did not say why");
}

/* Until the job is over. */
static int await_job(struct bus *bus, const struct job_watch *watch, const char *job,
                     struct wps_error *error)
{
    int r = 0;
    while (r == 0 && strcmp(watch->job, job) != 0)
        r = bus_turn(bus);
    if (r < 0)
        return bus_failed(bus, r, error);
    return strcmp(watch->result, "done") == 0
               ? 0
               : wps_error_set(error, -EPROTO,
                               "the systemd manager did not start the scope %s: its job ended "
                               "with \"%s\"",
                               watch->unit, watch->result);
}

/* -EEXIST: it is there. */
static int start(struct bus *bus, const struct job_watch *watch, uint32_t pid,
                 struct wps_error *error)
{
    _cleanup_message_ sd_bus_message *request = NULL, *answer = NULL;
    const char *job;
    int r = start_request(bus, watch->unit, pid, &request);
    r = r < 0 ? r : bus_ask(bus, request, &answer);
    if (r < 0)
        return bus_failed(bus, r, error);
    if (sd_bus_message_is_method_error(answer, NULL))
        return refused("the systemd manager refused the scope", watch->unit, answer, error);
    r = sd_bus_message_read(answer, "o", &job);
    return r < 0 ? bus_failed(bus, r, error) : await_job(bus, watch, job, error);
}

/* AttachProcessesToUnit(unit, cgroup below it, pids) */
static int attach(struct bus *bus, const char *name, const char *below, uint32_t pid,
                  struct wps_error *error)
{
    _cleanup_message_ sd_bus_message *request = NULL, *answer = NULL;
    int r = bus_request(bus, "AttachProcessesToUnit", &request);
    r = r < 0 ? r : sd_bus_message_append(request, "ssau", name, below, 1, pid);
    r = r < 0 ? r : bus_ask(bus, request, &answer);
    if (r < 0)
        return bus_failed(bus, r, error);
    return sd_bus_message_is_method_error(answer, NULL)
               ? refused("the systemd manager refused to move a process into the scope", name,
                         answer, error)
               : 0;
}

/* ---- for the others ---- */

/* A manager that runs joins the bus a moment after somebody's connecting to it started that: he who
 * is first after a login. */
static bool is_about_to_come(const struct bus *bus)
{
    char path[4200];
    const char *runtime = bus->is_user ? getenv("XDG_RUNTIME_DIR") : "/run";
    if (!runtime || snprintf(path, sizeof path, "%s/systemd", runtime) >= (int)sizeof path)
        return false;
    return access(path, F_OK) == 0;
}

/* One that is there is taken: 0 or a negative errno, and whether the next moment may bring more. It
 * may be on its way out, as its last process has ended; then it is made anew. */
static int hold_once(struct bus *bus, const struct job_watch *watch, uint32_t pid, bool *ret_again,
                     struct wps_error *error)
{
    int r = subscribe(bus);
    r = r < 0 ? bus_failed(bus, r, error) : start(bus, watch, pid, error);
    *ret_again = r == -EEXIST || (r == -ESRCH && is_about_to_come(bus));
    return r == -EEXIST ? attach(bus, watch->unit, "", pid, error) : r;
}

static int hold(struct bus *bus, const struct job_watch *watch, uint32_t pid,
                struct wps_error *error)
{
    bool again;
    int r;
    while ((r = hold_once(bus, watch, pid, &again, error)) < 0 && again && r != -ETIMEDOUT &&
           monotonic_ns() < bus->until_ns)
        poll(NULL, 0, AGAIN_MS);
    return r;
}

int scope_reach(unsigned patience_ms, struct wps_error *error)
{
    struct bus bus;
    int r = bus_open(&bus, patience_ms, error);
    if (r == 0)
        bus_close(&bus);
    return r;
}

int scope_hold(const char *name, uint32_t pid, unsigned patience_ms, struct wps_error *error)
{
    struct job_watch watch = {.unit = name};
    struct bus bus;
    int r = bus_open(&bus, patience_ms, error);
    if (r < 0)
        return r;
    r = watch_jobs(&bus, &watch);
    r = r < 0 ? bus_failed(&bus, r, error) : hold(&bus, &watch, pid, error);
    bus_close(&bus);
    return r;
}

int scope_attach(const char *name, const char *below, uint32_t pid, unsigned patience_ms,
                 struct wps_error *error)
{
    struct bus bus;
    int r = bus_open(&bus, patience_ms, error);
    if (r < 0)
        return r;
    r = attach(&bus, name, below, pid, error);
    bus_close(&bus);
    return r;
}
