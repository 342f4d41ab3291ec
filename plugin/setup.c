/* SPDX-License-Identifier: Apache-2.0 */

/* Choosing tracker and feed. */

#include "plugin/setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plugin/holder.h"
#include "plugin/keeper.h"

void setup_note(struct module *module, const char *what, bool ok, const char *why)
{
    unsigned i = 0;
    while (i < module->n_attempts && strcmp(module->attempts[i].what, what) != 0)
        i++;
    if (i == ATTEMPTS_MAX)
        return;
    if (i == module->n_attempts)
        module->n_attempts++;
    struct attempt_made *attempt = &module->attempts[i];
    snprintf(attempt->what, sizeof attempt->what, "%s", what);
    attempt->ok = ok;
    snprintf(attempt->why, sizeof attempt->why, "%s", why);
}

static void note(struct module *module, const char *kind, const char *name, int result,
                 const struct wps_error *error)
{
    char what[sizeof module->attempts[0].what];
    snprintf(what, sizeof what, "%s %s", kind, name);
    setup_note(module, what, result == 0,
               result == 0 ? "works here: a trial child was seen" : error->message);
}

static int try_tracker(struct module *module, const char *name, struct wps_error *error)
{
    const struct tracker_options options = {
        .cgroup_root =
            module->holder ? holder_directory(module->holder) : module->options.cgroup_root,
        .instance = module->host.runtime_dir,
        .mover = holder_mover(module->holder),
    };
    int r = tracker_open(name, &options, &module->tracker, error);
    note(module, "tracker", name, r, error);
    return r;
}

static bool is_for_a_manager(const struct module *module, const char *name, int result)
{
    return strcmp(name, "cgroup") == 0 && !*module->options.cgroup_root &&
           !module->options.never_scope &&
           (result == -EACCES || result == -EPERM || result == -EROFS);
}

/* Where we may make no cgroups, there may be a manager that gives us a part of the tree. */
static int try_scope(struct module *module, const char *name, struct wps_error *error)
{
    struct wps_error why, first = *error;
    char told[sizeof module->attempts[0].why];
    int r = holder_open(module, &why);
    setup_note(module, "scope", r == 0, r < 0 ? why.message : "");
    if (r < 0)
        return wps_error_set(error, r, "%.240s; %.240s", first.message, why.message);
    snprintf(told, sizeof told, "the systemd manager gave us the cgroup %.400s",
             holder_directory(module->holder));
    setup_note(module, "scope", true, told);
    r = try_tracker(module, name, error);
    if (r < 0) {
        setup_note(module, "scope", false, error->message);
        holder_close(module);
    }
    return r;
}

static int try_best(struct module *module, const char *name, struct wps_error *error)
{
    int r = try_tracker(module, name, error);
    r = is_for_a_manager(module, name, r) ? try_scope(module, name, error) : r;
    if (r == 0)
        holder_spare(module);
    return r;
}

int setup_tracker(struct module *module, struct wps_error *error)
{
    struct wps_error why;
    const char *forced = module->options.tracker;
    if (*forced) {
        int r = try_best(module, forced, &why);
        return r < 0 ? wps_error_set(error, r, "tracker=%s does not work here: %s", forced,
                                     why.message)
                     : 0;
    }
    for (const char *const *name = tracker_names(); *name; name++)
        if (try_best(module, *name, &why) == 0)
            return 0;
    return wps_error_set(error, -ENOSYS, "no tracker works here: %s", why.message);
}

static int try_feed(struct module *module, const char *name, struct wps_error *error)
{
    const struct feed_options options = {
        .root_fd = tracker_root_fd(module->tracker),
        .mover = holder_mover(module->holder),
        .ring_kib = (unsigned)module->options.feed_buffer_kib,
        .poll_ms = (unsigned)module->options.poll_ms,
        .max_watched = (unsigned)module->options.max_processes,
        .fd_end = module->fd_end,
    };
    int r = feed_open(name, &options, &module->feed, error);
    note(module, "feed", name, r, error);
    return r;
}

int setup_feed(struct module *module, struct wps_error *error)
{
    struct wps_error why;
    const char *forced = module->options.feed;
    if (*forced) {
        int r = try_feed(module, forced, &why);
        return r < 0
                   ? wps_error_set(error, r, "feed=%s does not work here: %s", forced, why.message)
                   : 0;
    }
    for (const char *const *name = feed_names(); *name; name++)
        if (try_feed(module, *name, &why) == 0)
            return 0;
    return wps_error_set(error, -ENOSYS, "no feed works here: %s", why.message);
}

/* What is said of a block while the registry is full. */
static void set_partial_reason(struct module *module)
{
    snprintf(module->partial_reason, sizeof module->partial_reason,
             "max-processes (%llu) is reached: until some members have ended, further ones are not "
             "listed and their events not told, %s",
             (unsigned long long)module->options.max_processes,
             tracker_traits(module->tracker) & TRACKER_OWNS
                 ? "though they are killed with their block"
                 : "and what they start can leave unseen");
}

void setup_confidence(struct module *module)
{
    unsigned tracker = tracker_traits(module->tracker), feed = feed_traits(module->feed);
    set_partial_reason(module);
    if (!(tracker & TRACKER_TRACKS)) {
        module->confidence = "none";
        snprintf(module->confidence_reason, sizeof module->confidence_reason,
                 "nothing that could hold processes works here; describe tells what was tried");
        return;
    }
    module->confidence = tracker & TRACKER_OWNS ? "high" : "best_effort";
    if (!(tracker & TRACKER_HAS_PLACES)) {
        snprintf(module->confidence_reason, sizeof module->confidence_reason,
                 "children of members are members: %s can leave unseen, unless PROCTRACK_BLOCK in "
                 "its environment names the block (tracker %s, feed %s)",
                 feed & FEED_TELLS_BIRTHS
                     ? "what is born while events are lost, or made by a process outside,"
                     : "what loses its parent between two scans",
                 tracker_name(module->tracker), feed_name(module->feed));
        return;
    }
    const char *moves = feed & FEED_TELLS_PLACES ? "at once" : "by the next scan";
    snprintf(module->confidence_reason, sizeof module->confidence_reason,
             "each block is a cgroup: nothing leaves it but by an explicit move to another cgroup, "
             "which is told %s (feed %s)",
             moves, feed_name(module->feed));
    keeper_doubt(module, module->confidence_reason, sizeof module->confidence_reason);
}

void setup_log(const struct module *module)
{
    for (unsigned i = 0; i < module->n_attempts; i++)
        if (!module->attempts[i].ok)
            module_log(module, WPS_LOG_INFO, "%s: %s", module->attempts[i].what,
                       module->attempts[i].why);
    module_log(module, WPS_LOG_INFO, "tracker %s, feed %s, confidence %s%s%s",
               tracker_name(module->tracker), feed_name(module->feed), module->confidence,
               *tracker_root_path(module->tracker) ? ", blocks in " : "",
               tracker_root_path(module->tracker));
}
