/* SPDX-License-Identifier: Apache-2.0 */

/* The scope that blocks are in, and the process that holds it. */

#include "plugin/holder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "keeper/message.h"
#include "keeper/start.h"
#include "manager/scope.h"
#include "plugin/blocks.h"
#include "plugin/intake.h"
#include "plugin/keeper.h"
#include "plugin/setup.h"
#include "trackers/cgroupfs.h"
#include "trackers/procfs.h"

enum { READY_MS = 2000, MANAGER_MS = 3000, END_MS = 1000 };

struct sitter {
    int socket, pidfd; /* -1: none */
    uint32_t pid;
};

struct holder {
    struct module *module;
    char unit[TRACKER_ROOT_NAME + sizeof ".scope"];
    char path[OPTION_TEXT_MAX + 32]; /* the program */
    char *directory;                 /* the scope's */
    char *root;                      /* in there, the tracker's */
    struct sitter sitter;
    sd_event_source *ended;
    struct mover mover;
};

/* ---- the process ---- */

static void say(const struct sitter *sitter, const struct keeper_message *message)
{
    char bytes[KEEPER_MESSAGE_MAX];
    size_t size = keeper_message_write(bytes, message);
    send(sitter->socket, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Nobody waits for its end but where it may be ours to reap. */
static void let_go(struct sitter *sitter, bool at_once)
{
    siginfo_t info;
    if (sitter->socket >= 0 && at_once)
        say(sitter, &(struct keeper_message){.verb = KEEPER_BYE});
    if (sitter->pidfd >= 0 && at_once)
        poll(&(struct pollfd){.fd = sitter->pidfd, .events = POLLIN}, 1, END_MS);
    if (sitter->pidfd >= 0) /* ours where we are init, or a child subreaper */
        waitid((idtype_t)P_PIDFD, (id_t)sitter->pidfd, &info, WEXITED | WNOHANG | __WALL);
    cleanup_close(&sitter->pidfd);
    cleanup_close(&sitter->socket);
    *sitter = (struct sitter){.socket = -1, .pidfd = -1};
}

/* Waits until it says that it runs. */
static int await_ready(struct sitter *sitter, const char *path, struct wps_error *error)
{
    char bytes[KEEPER_MESSAGE_MAX];
    struct keeper_message message;
    struct pollfd fd = {.fd = sitter->socket, .events = POLLIN};
    int r = poll(&fd, 1, READY_MS);
    ssize_t size = r > 0 ? recv(sitter->socket, bytes, sizeof bytes, MSG_DONTWAIT) : 0;
    if (size <= 0 || keeper_message_read(&message, bytes, (size_t)size) < 0)
        return wps_error_set(error, -ENOEXEC, "%.200s, which would hold a scope, does not start",
                             path);
    if (message.verb != KEEPER_READY)
        return wps_error_system(error, -(int)message.number,
                                "cannot run %.200s, which would hold a scope", path);
    sitter->pid = (uint32_t)message.number;
    sitter->pidfd = (int)syscall(SYS_pidfd_open, sitter->pid, 0);
    return 0;
}

/* Makes one, in the scope. Any thread. */
static int make(struct sitter *ret, const char *path, const char *unit, struct wps_error *error)
{
    struct sitter sitter = {.socket = -1, .pidfd = -1};
    int r = scope_reach(MANAGER_MS, error);
    r = r < 0 ? r : keeper_start_holder(path, HOLDER_MS, &sitter.socket, error);
    r = r < 0 ? r : await_ready(&sitter, path, error);
    r = r < 0 ? r : scope_hold(unit, sitter.pid, MANAGER_MS, error);
    if (r < 0) {
        let_go(&sitter, true);
        return r;
    }
    /* From now on it stays for a while where we die. */
    say(&sitter, &(struct keeper_message){.verb = KEEPER_KEEP, .number = 1, .name = "scope"});
    *ret = sitter;
    return 0;
}

/* ---- when it is killed ---- */

struct make_job {
    struct job job;
    struct holder *holder;
    struct sitter sitter;
    int result;
    struct wps_error error;
};

static int watch(struct holder *holder);

static void run_make(struct job *job)
{
    struct make_job *make_job = (struct make_job *)job;
    make_job->result =
        make(&make_job->sitter, make_job->holder->path, make_job->holder->unit, &make_job->error);
}

/* The scope had ended, as nobody was in it, and all blocks' cgroups with it. Who wants one of them
 * again makes it anew. */
static int begin_again(struct module *module, struct wps_error *error)
{
    struct block *block, *next;
    int r = tracker_renew_root(module->tracker, error);
    if (r < 0)
        return r;
    intake_renew_feed(module);
    HASH_ITER (by_id, module->registry.blocks, block, next)
        if (block->state == BLOCK_LIVE)
            blocks_remove(module, block, "expired", NULL);
    return 0;
}

static void on_made(struct job *job, void *context)
{
    struct make_job *make_job = (struct make_job *)job;
    struct holder *holder = context;
    struct module *module = holder->module;
    if (make_job->result == 0) {
        holder->sitter = make_job->sitter;
        watch(holder);
        holder_spare(module);
    }
    if (make_job->result == 0 && !module->stopping && access(holder->root, F_OK) < 0)
        make_job->result = begin_again(module, &make_job->error);
    if (make_job->result < 0 && !module->stopping) {
        setup_note(module, "scope", false, make_job->error.message);
        module_log(module, WPS_LOG_ERROR, "%s", make_job->error.message);
    }
    free(make_job);
}

/* Members hold the scope too, so there is commonly time for another one. */
static int on_ended(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct holder *holder = context;
    struct make_job *make_job = calloc(1, sizeof *make_job);
    (void)source, (void)fd, (void)events;
    module_log(holder->module, WPS_LOG_WARNING, "process %u, which holds the scope %s, has ended",
               holder->sitter.pid, holder->unit);
    holder->ended = sd_event_source_disable_unref(holder->ended);
    let_go(&holder->sitter, false);
    tracker_spare(holder->module->tracker, TRACKER_HOLDER, 0);
    if (!make_job)
        return 0;
    *make_job = (struct make_job){
        .job = {.run = run_make, .done = on_made, .context = holder, .urgent = true},
        .holder = holder,
        .sitter = {.socket = -1, .pidfd = -1},
        .result = -ECANCELED,
    };
    workers_submit(holder->module->workers, &make_job->job);
    return 0;
}

static int watch(struct holder *holder)
{
    if (holder->sitter.pidfd < 0)
        return 0; /* a kernel before 5.3: nobody tells */
    return sd_event_add_io(holder->module->event, &holder->ended, holder->sitter.pidfd, EPOLLIN,
                           on_ended, holder);
}

/* ---- where it is ---- */

/* The manager said that it is in the scope: the kernel says which cgroup that is. */
static int find_directory(struct holder *holder, struct wps_error *error)
{
    _cleanup_free_ char *path = NULL;
    int r = proc_cgroup_read(&path, holder->sitter.pid);
    if (r < 0)
        return wps_error_system(error, r, "cannot read in which cgroup the scope %s is",
                                holder->unit);
    const char *name = strrchr(path, '/');
    if (!name || strcmp(name + 1, holder->unit) != 0)
        return wps_error_set(error, -ENOTSUP,
                             "the systemd manager made the scope %s, but not in cgroup v2, where "
                             "its process is in %.200s: boot with systemd.unified_cgroup_hierarchy",
                             holder->unit, path);
    r = cgroupfs_directory_of(path, &holder->directory);
    if (r < 0)
        return wps_error_set(error, r, "the cgroup %.200s of the scope is not to be seen here",
                             path);
    char root[TRACKER_ROOT_NAME];
    tracker_root_name(root, holder->module->host.runtime_dir);
    return asprintf(&holder->root, "%s/%s", holder->directory, root) < 0
               ? wps_error_set(error, -ENOMEM, "out of memory")
               : 0;
}

/* In a worker's thread. */
static int move(void *context, const char *directory, uint32_t pid, struct wps_error *error)
{
    const struct holder *holder = context;
    size_t size = strlen(holder->directory);
    if (strncmp(directory, holder->directory, size) != 0 || directory[size] != '/')
        return wps_error_set(error, -EACCES, "%.200s is not in the scope %s", directory,
                             holder->unit);
    return scope_attach(holder->unit, directory + size, pid, MANAGER_MS, error);
}

/* ---- for the others ---- */

int holder_open(struct module *module, struct wps_error *error)
{
    char root[TRACKER_ROOT_NAME];
    struct holder *holder = calloc(1, sizeof *holder);
    if (!holder)
        return wps_error_set(error, -ENOMEM, "out of memory");
    holder->module = module;
    holder->sitter = (struct sitter){.socket = -1, .pidfd = -1};
    holder->mover = (struct mover){move, holder};
    tracker_root_name(root, module->host.runtime_dir);
    snprintf(holder->unit, sizeof holder->unit, "%s.scope", root);
    keeper_find_program(module, holder->path, sizeof holder->path);
    module->holder = holder;
    int r = make(&holder->sitter, holder->path, holder->unit, error);
    r = r < 0 ? r : find_directory(holder, error);
    if (r == 0 && (r = watch(holder)) < 0)
        wps_error_system(error, r, "cannot watch the process that holds the scope");
    if (r < 0)
        holder_close(module);
    return r;
}

const char *holder_directory(const struct holder *holder)
{
    return holder->directory;
}

const struct mover *holder_mover(const struct holder *holder)
{
    return holder ? &holder->mover : NULL;
}

void holder_spare(struct module *module)
{
    if (module->holder)
        tracker_spare(module->tracker, TRACKER_HOLDER, module->holder->sitter.pid);
}

void holder_close(struct module *module)
{
    struct holder *holder = module->holder;
    if (!holder)
        return;
    module->holder = NULL;
    sd_event_source_disable_unref(holder->ended);
    /* Blocks that are left are the next broker's. */
    let_go(&holder->sitter, !holder->root || access(holder->root, F_OK) < 0);
    free(holder->directory);
    free(holder->root);
    free(holder);
}
