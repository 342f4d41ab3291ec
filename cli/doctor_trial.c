/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Trying for real what a broker started here and now could do. The trackers and feeds are the
 * module's, and what it can use depends on the rights of wpsd, which may have capabilities that we
 * have not: so the very programs are started, in a directory of their own, and asked what they
 * tried. The module tries the best first and stops at the first that works, so further ones are
 * started for what was not tried yet.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/doctor.h"
#include "schemas/control_reply.h"

#define SECTION "trial"

enum { START_MS = 20000, STOP_MS = 10000 };

#define mend(finding, ...) snprintf((finding)->mend, sizeof(finding)->mend, __VA_ARGS__)

static const char *const trackers[] = {"cgroup", "lineage"};
static const char *const feeds[] = {"bpf", "netlink", "poll"};

enum { N_TRACKERS = sizeof trackers / sizeof *trackers, N_FEEDS = sizeof feeds / sizeof *feeds };

/* What came out for one of them. */
struct outcome {
    bool known, works;
    char why[sizeof((struct finding *)0)->why];
};

struct trials {
    const char *wpsd, *module;
    char directory[64];
    struct outcome tracker[N_TRACKERS], feed[N_FEEDS], scope;
    char confidence[sizeof((struct finding *)0)->why]; /* of the best */
};

/* ---- being interrupted ---------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted; /* the signal; 0: none */

static void on_signal(int number)
{
    interrupted = number;
}

static const int ends[] = {SIGHUP, SIGINT, SIGTERM};

enum { N_ENDS = sizeof ends / sizeof *ends };

/* What ends us ends the trial first. What is ignored stays ignored. */
static void catch_ends(struct sigaction before[static N_ENDS])
{
    const struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < N_ENDS; i++) {
        sigaction(ends[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN)
            sigaction(ends[i], &action, NULL);
    }
}

static void let_ends_through(const struct sigaction before[static N_ENDS])
{
    for (size_t i = 0; i < N_ENDS; i++)
        sigaction(ends[i], &before[i], NULL);
    if (interrupted)
        raise(interrupted);
}

/* ---- one broker ----------------------------------------------------------------------------- */

struct trial {
    pid_t pid;
    int log; /* its stderr */
    char line[1024];
    size_t size;
    char last[1024]; /* the newest whole line */
};

_Noreturn static void become(const struct trials *trials, const char *plugin, int log)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execl(trials->wpsd, "wpsd", "--runtime-dir", trials->directory, "--plugin", plugin,
          (char *)NULL);
    dprintf(STDERR_FILENO, " error wpsd: %s\n", strerror(errno));
    _exit(127);
}

static int start(struct trial *trial, const struct trials *trials, const char *options)
{
    _cleanup_free_ char *plugin = NULL;
    int log[2] = {-1, -1};
    if (asprintf(&plugin, "%s%s", trials->module, options) < 0) {
        plugin = NULL;
        return -ENOMEM;
    }
    if (pipe2(log, O_CLOEXEC) < 0)
        return -errno;
    /* A signal to the child before it is another program would be taken by our handler in it, and
     * be lost. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    *trial = (struct trial){.log = log[0], .pid = fork()};
    if (trial->pid == 0) {
        for (size_t i = 0; i < N_ENDS; i++)
            signal(ends[i], SIG_DFL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        become(trials, plugin, log[1]);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(log[1]);
    if (trial->pid < 0) {
        int code = -errno;
        close(log[0]);
        return code;
    }
    return 0;
}

/* Takes in what it says. 1: a whole line is in `last`; 0: it ended; -ETIMEDOUT, -EINTR. */
static int next_line(struct trial *trial, int64_t end_ms)
{
    for (;;) {
        char *newline = memchr(trial->line, '\n', trial->size);
        if (newline || trial->size == sizeof trial->line) {
            size_t used = newline ? (size_t)(newline - trial->line) : trial->size - 1;
            memcpy(trial->last, trial->line, used);
            trial->last[used] = '\0';
            trial->size -= used + 1;
            memmove(trial->line, trial->line + used + 1, trial->size);
            return 1;
        }
        int64_t left = end_ms - monotonic_ms();
        struct pollfd item = {.fd = trial->log, .events = POLLIN};
        int ready = poll(&item, 1, left > 0 ? (int)left : 0);
        if (ready <= 0)
            return ready < 0 ? -errno : -ETIMEDOUT;
        ssize_t n = read(trial->log, trial->line + trial->size, sizeof trial->line - trial->size);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        trial->size += (size_t)n;
    }
}

/* 1: it serves; else as next_line. */
static int wait_ready(struct trial *trial)
{
    int64_t end_ms = monotonic_ms() + START_MS;
    int result;
    while ((result = next_line(trial, end_ms)) == 1)
        if (strstr(trial->last, " ready: "))
            return 1;
    return result;
}

static void stop(struct trial *trial)
{
    int64_t end_ms = monotonic_ms() + STOP_MS;
    kill(trial->pid, SIGTERM);
    int result;
    while ((result = next_line(trial, end_ms)) == 1 ||
           (result == -EINTR && monotonic_ms() < end_ms))
        ;
    if (result < 0)
        kill(trial->pid, SIGKILL);
    while (waitpid(trial->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(trial->log);
}

/* ---- what came out -------------------------------------------------------------------------- */

static struct outcome *outcome_of(struct trials *trials, struct text what)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)what.size, what.at);
    for (size_t i = 0; i < N_TRACKERS; i++)
        if (strncmp(name, "tracker ", 8) == 0 && strcmp(name + 8, trackers[i]) == 0)
            return &trials->tracker[i];
    if (strcmp(name, "scope") == 0)
        return &trials->scope;
    for (size_t i = 0; i < N_FEEDS; i++)
        if (strncmp(name, "feed ", 5) == 0 && strcmp(name + 5, feeds[i]) == 0)
            return &trials->feed[i];
    return NULL;
}

static void note(struct trials *trials, const struct describe_view *view)
{
    for (size_t i = 0; i < view->n_tried; i++) {
        struct outcome *outcome = outcome_of(trials, view->tried[i].what);
        if (!outcome || outcome->known)
            continue;
        *outcome = (struct outcome){.known = true, .works = view->tried[i].ok};
        snprintf(outcome->why, sizeof outcome->why, "%.*s", (int)view->tried[i].why.size,
                 view->tried[i].why.at);
    }
    if (!trials->confidence[0])
        snprintf(trials->confidence, sizeof trials->confidence, "%.*s: %.*s",
                 (int)view->confidence.confidence.size, view->confidence.confidence.at,
                 (int)view->confidence.confidence_reason.size,
                 view->confidence.confidence_reason.at);
}

static int ask(struct trials *trials, struct wps_error *error)
{
    const struct control_request request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_DESCRIBE};
    struct broker_options options = BROKER_OPTIONS_DEFAULT;
    struct broker broker;
    const msgpack_object *data;
    struct describe_view view;
    options.runtime_dir = trials->directory;
    int result = broker_open(&broker, &options, error);
    if (result < 0)
        return result;
    result = broker_ask(&broker, &request, &data, NULL, error);
    if (result == 0)
        result = describe_reply_read(&view, data, error);
    if (result == 0) {
        note(trials, &view);
        free(view.tried);
        free(view.limits);
    }
    broker_close(&broker);
    return result;
}

/* The sentence of a line of the log, without its time and who says it. */
static const char *sentence_of(const char *line)
{
    static const char *const heads[] = {" error wpsd: plugin proctrack: ", " error wpsd: "};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const char *found = strstr(line, heads[i]);
        if (found)
            return found + strlen(heads[i]);
    }
    return line;
}

/* One broker with these options of the module (",feed=poll"). 0, or why it does not work. */
static int try(struct trials *trials, const char *options, struct wps_error *error)
{
    struct trial trial = {0};
    int result = start(&trial, trials, options);
    if (result < 0)
        return wps_error_system(error, result, "cannot start %s", trials->wpsd);
    result = wait_ready(&trial);
    if (result == 1)
        result = ask(trials, error);
    else if (result == 0)
        result = wps_error_set(error, -ENOSYS, "%s", sentence_of(trial.last));
    else
        result = wps_error_system(error, result, "%s did not get ready", trials->wpsd);
    stop(&trial);
    return result;
}

/* Tries one that was not tried yet, beside what works anywhere. */
static void try_one(struct trials *trials, struct outcome *outcome, const char *format,
                    const char *name)
{
    struct wps_error error;
    char options[64];
    if (outcome->known || interrupted)
        return;
    snprintf(options, sizeof options, format, name);
    int result = try(trials, options, &error);
    if (result < 0 && !outcome->known) {
        outcome->known = true;
        snprintf(outcome->why, sizeof outcome->why, "%s", error.message);
    }
}

/* ---- telling -------------------------------------------------------------------------------- */

/* What does not work is wrong only where nothing better does. */
static void tell(struct findings *findings, const char *kind, const char *const *names,
                 const struct outcome *outcomes, size_t n)
{
    bool better = false;
    for (size_t i = 0; i < n; i++) {
        char what[64];
        const struct outcome *outcome = &outcomes[i];
        snprintf(what, sizeof what, "%s %s", kind, names[i]);
        findings_add(findings, SECTION, what,
                     outcome->works ? FINDING_OK
                     : better       ? FINDING_NOTE
                                    : FINDING_NO,
                     "%s", outcome->why);
        better = better || outcome->works;
    }
}

/* It was asked for where no cgroups could be made without. */
static void tell_scope(struct findings *findings, const struct outcome *scope)
{
    if (!scope->known)
        return;
    /* Where systemd does not run there is nobody to ask. */
    bool wanted = !scope->works && access("/run/systemd/system", F_OK) == 0;
    struct finding *finding = findings_add(findings, SECTION, "scope",
                                           scope->works ? FINDING_OK
                                           : wanted     ? FINDING_NO
                                                        : FINDING_NOTE,
                                           "%s", scope->why);
    if (!wanted)
        return;
    if (strstr(scope->why, "XDG_RUNTIME_DIR"))
        mend(finding,
             "loginctl enable-linger, then export XDG_RUNTIME_DIR=/run/user/%u (in a unit of the "
             "system: User= and Delegate=yes)",
             (unsigned)geteuid());
    else if (strstr(scope->why, "cannot be reached"))
        mend(finding, "apt-get install dbus-user-session, and log in anew");
}

static void try_all(struct findings *findings, struct trials *trials)
{
    struct wps_error error;
    int result = try(trials, "", &error);
    if (result < 0) {
        findings_add(findings, SECTION, "broker", FINDING_NO, "%s", error.message);
        return;
    }
    for (size_t i = 0; i < N_TRACKERS; i++)
        try_one(trials, &trials->tracker[i], ",feed=poll,tracker=%s", trackers[i]);
    for (size_t i = 0; i < N_FEEDS; i++)
        try_one(trials, &trials->feed[i], ",feed=%s", feeds[i]);
    tell(findings, "tracker", trackers, trials->tracker, N_TRACKERS);
    tell_scope(findings, &trials->scope);
    tell(findings, "feed", feeds, trials->feed, N_FEEDS);
    bool high = strncmp(trials->confidence, "high", 4) == 0;
    findings_add(findings, SECTION, "confidence", high ? FINDING_OK : FINDING_NO, "%s",
                 trials->confidence);
}

void doctor_try(struct findings *findings, const char *wpsd, const char *module)
{
    if (!wpsd || !module) {
        mend(findings_add(findings, SECTION, "programs", FINDING_NO,
                          "%s is not beside proctrack%s, so nothing could be tried",
                          wpsd ? "proctrack.so" : "wpsd", wpsd ? "" : " nor in $PATH"),
             "proctrack doctor --wpsd FILE --module FILE");
        return;
    }
    struct trials *trials = calloc(1, sizeof *trials);
    if (!trials) {
        findings->failed = true;
        return;
    }
    trials->wpsd = wpsd;
    trials->module = module;
    struct sigaction before[N_ENDS];
    catch_ends(before);
    strcpy(trials->directory, "/tmp/proctrack-doctor-XXXXXX");
    if (mkdtemp(trials->directory)) {
        char lock[sizeof trials->directory + 16];
        findings_add(findings, SECTION, "programs", FINDING_OK, "%s with %s", wpsd, module);
        try_all(findings, trials);
        snprintf(lock, sizeof lock, "%s/wpsd.lock", trials->directory);
        unlink(lock);
        rmdir(trials->directory);
    } else {
        findings_add(findings, SECTION, "programs", FINDING_NO,
                     "cannot make a directory in /tmp: %s", strerror(errno));
    }
    free(trials);
    let_ends_through(before);
}
