/* SPDX-License-Identifier: Apache-2.0 */

/* How the broker is that is to be talked to. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/runtime_path.h"
#include "cli/doctor.h"
#include "schemas/control_reply.h"

#define SECTION "broker"

#define mend(finding, ...) snprintf((finding)->mend, sizeof(finding)->mend, __VA_ARGS__)

/* ---- its directory -------------------------------------------------------------------------- */

/* Who holds the lock of the directory (broker_shim/runtime_dir.h); 0: nobody, or not to be seen. */
static pid_t holder(const char *directory)
{
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%s/wpsd.lock", directory) < 0) {
        path = NULL;
        return 0;
    }
    _cleanup_close_ int lock = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (lock < 0 || fcntl(lock, F_GETLK, &range) < 0 || range.l_type == F_UNLCK)
        return 0;
    return range.l_pid;
}

static void look_at_directory(struct findings *findings, const char *path)
{
    static const char name[] = "runtime directory";
    struct stat status;
    if (lstat(path, &status) < 0) {
        bool missing = errno == ENOENT;
        findings_add(findings, SECTION, name, missing ? FINDING_NOTE : FINDING_NO, "%s: %s", path,
                     missing ? "not there yet: wpsd makes it" : strerror(errno));
    } else if (S_ISLNK(status.st_mode) || !S_ISDIR(status.st_mode)) {
        mend(findings_add(findings, SECTION, name, FINDING_NO,
                          "%s is no directory, and wpsd refuses it", path),
             "rm '%s'", path);
    } else if (status.st_uid != geteuid() && geteuid() != 0) {
        mend(findings_add(findings, SECTION, name, FINDING_NO, "%s belongs to user %u", path,
                          (unsigned)status.st_uid),
             "export WPS_RUNTIME_DIR=$HOME/.wps");
    } else if (status.st_mode & 066) {
        mend(findings_add(findings, SECTION, name, FINDING_NO,
                          "%s has the mode %04o, which lets others in: wpsd refuses it", path,
                          (unsigned)status.st_mode & 07777),
             "chmod 0700 '%s'", path);
    } else {
        pid_t pid = holder(path);
        if (pid > 0)
            findings_add(findings, SECTION, name, FINDING_OK, "%s: held by the broker with pid %d",
                         path, (int)pid);
        else
            findings_add(findings, SECTION, name, FINDING_OK, "%s: ours, and no broker holds it",
                         path);
    }
}

/* ---- what it says of itself ----------------------------------------------------------------- */

static void tell_confidence(struct findings *findings, const struct describe_view *view)
{
    bool high = text_is(view->confidence.confidence, "high");
    findings_add(findings, SECTION, "confidence", high ? FINDING_OK : FINDING_NO, "%.*s: %.*s",
                 (int)view->confidence.confidence.size, view->confidence.confidence.at,
                 (int)view->confidence.confidence_reason.size,
                 view->confidence.confidence_reason.at);
}

static void tell_limits(struct findings *findings, const struct describe_view *view)
{
    char list[sizeof((struct finding *)0)->why] = "";
    size_t used = 0;
    for (size_t i = 0; i < view->n_limits && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%.*s %llu", i ? ", " : "",
                                 (int)view->limits[i].name.size, view->limits[i].name.at,
                                 (unsigned long long)view->limits[i].value);
    findings_add(findings, SECTION, "limits", FINDING_NOTE, "%s", list);
}

static void tell(struct findings *findings, const struct describe_view *view)
{
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): errors are negative
    findings_add(findings, SECTION, "module", FINDING_OK, "%.*s %.*s: tracker %.*s, feed %.*s",
                 (int)view->name.size, view->name.at, (int)view->version.size, view->version.at,
                 (int)view->tracker.size, view->tracker.at, (int)view->feed.size, view->feed.at);
    for (size_t i = 0; i < view->n_tried; i++) {
        char what[64];
        snprintf(what, sizeof what, "%.*s", (int)view->tried[i].what.size, view->tried[i].what.at);
        findings_add(findings, SECTION, what, view->tried[i].ok ? FINDING_OK : FINDING_NO, "%.*s",
                     (int)view->tried[i].why.size, view->tried[i].why.at);
    }
    tell_confidence(findings, view);
    tell_limits(findings, view);
}

static int describe(struct findings *findings, struct broker *broker, struct wps_error *error)
{
    const struct control_request request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_DESCRIBE};
    const msgpack_object *data;
    struct describe_view view;
    int result = broker_ask(broker, &request, &data, NULL, error);
    if (result == 0)
        result = describe_reply_read(&view, data, error);
    if (result < 0)
        return result;
    findings_add(findings, SECTION, "control socket", FINDING_OK, "%s answers", broker->endpoint);
    tell(findings, &view);
    free(view.tried);
    free(view.limits);
    return 0;
}

void doctor_look_at_broker(struct findings *findings, const struct broker_options *options,
                           const char *wpsd, const char *module)
{
    struct wps_error error;
    struct broker broker = {0};
    int result = broker_open(&broker, options, &error);
    if (result == -ENOENT) {
        mend(findings_add(findings, SECTION, "runtime directory", FINDING_NO, "%s", error.message),
             "export WPS_RUNTIME_DIR=$HOME/.wps");
        return;
    }
    if (result == 0 && broker.runtime)
        look_at_directory(findings, broker.runtime);
    if (result == 0)
        result = describe(findings, &broker, &error);
    if (result < 0)
        mend(findings_add(findings, SECTION, "control socket", FINDING_NO, "%s", error.message),
             "%s --plugin %s", wpsd ? wpsd : "wpsd", module ? module : "proctrack.so");
    broker_close(&broker);
}
