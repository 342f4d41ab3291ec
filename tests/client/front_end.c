/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a front end does with libproctrack, from the first line to the last, in one event loop: it
 * makes a block, starts a child in it, sees it come by a mirror, stops it, sees it go, by the
 * mirror and by an event, and removes the block. Built as its users build theirs: C and C++, shared
 * and static.
 *
 *     front_end            once
 *     front_end N          N times in each of two threads, with a connection each
 *
 * Which broker: $WPS_RUNTIME_DIR. Exit status 0 where all went as it must.
 */

#include <errno.h>
#include <proctrack/proctrack.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

static const int patience_ms = 60000;

struct front_end {
    char block_id[64], scope[80];
    struct proctrack *connection;
    struct proctrack_subscriber *events;
    struct proctrack_mirror *mirror;
    int epoll;
    pid_t child;
    bool came, went, told; /* in the mirror; out of it; by an event */
};

static void check(bool right, const char *what, const struct proctrack_error *error)
{
    if (right)
        return;
    fprintf(stderr, "front_end: %s: %s\n", what, error ? error->message : "");
    exit(1);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void added(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                  const struct proctrack_process *process, void *arg)
{
    struct front_end *self = (struct front_end *)arg;
    (void)mirror;
    check(strcmp(block->block_id, self->block_id) == 0, "a process of another block", NULL);
    self->came |= process->pid == (uint32_t)self->child;
}

static void gone(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                 const struct proctrack_process *process, const struct proctrack_gone *how,
                 void *arg)
{
    struct front_end *self = (struct front_end *)arg;
    (void)mirror;
    (void)block;
    (void)how;
    self->went |= process->pid == (uint32_t)self->child;
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void watch(struct front_end *self, int fd)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN;
    event.data.fd = fd;
    check(epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl", NULL);
}

static void receive_all(struct front_end *self)
{
    const struct proctrack_event *event;
    struct proctrack_error error;
    int result;
    while ((result = proctrack_subscriber_receive(self->events, 0, &event, &error)) == 1) {
        uint64_t pid = proctrack_value_uint(proctrack_value_get(event->data, "pid"), 0);
        check(strcmp(event->scope, self->scope) == 0, "an event of another scope", NULL);
        check(strcmp(event->block_id, self->block_id) == 0, "an event of another block", NULL);
        self->told |= pid == (uint64_t)self->child;
    }
    check(result == 0, "receive", &error);
}

/* Does what there is to do until it has happened. */
static void run_until(struct front_end *self, const bool *happened, const char *what)
{
    struct proctrack_error error;
    while (!*happened) {
        struct epoll_event ready;
        check(epoll_wait(self->epoll, &ready, 1, patience_ms) == 1, what, NULL);
        if (ready.data.fd == proctrack_subscriber_fd(self->events))
            receive_all(self);
        else
            check(proctrack_mirror_dispatch(self->mirror, &error) >= 0, "dispatch", &error);
    }
}

/* ---- one life ------------------------------------------------------------------------------- */

static void begin(struct front_end *self)
{
    struct proctrack_error error;
    struct proctrack_options options = PROCTRACK_OPTIONS;
    struct proctrack_mirror_options mirrored = PROCTRACK_MIRROR_OPTIONS;
    const char *scopes[] = {self->scope};
    options.timeout_ms = (uint32_t)patience_ms;
    mirrored.scope = self->scope;
    mirrored.arg = self;
    mirrored.calls.added = added;
    mirrored.calls.gone = gone;
    check(proctrack_connect(&self->connection, &options, &error) == 0, "connect", &error);
    check(proctrack_check_pids(self->connection, &error) == 0, "check_pids", &error);
    check(proctrack_subscriber_open(&self->events, self->connection, &error) == 0, "open", &error);
    check(proctrack_subscriber_subscribe(self->events, "agent:process-exited", scopes, 1, &error) ==
              0,
          "subscribe", &error);
    check(proctrack_subscriber_sync(self->events, patience_ms, &error) == 0, "sync", &error);
    check(proctrack_mirror_open(&self->mirror, self->connection, &mirrored, &error) == 0, "mirror",
          &error);
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(self, proctrack_subscriber_fd(self->events));
    watch(self, proctrack_mirror_fd(self->mirror));
}

/* Born in the block where that can be; else assigned. */
static void start_child(struct front_end *self)
{
    char name[] = "sleep", time[] = "1000";
    char *argv[] = {name, time, NULL};
    struct proctrack_error error;
    struct proctrack_ensured *ensured;
    check(proctrack_ensure(self->connection, self->block_id, NULL, &ensured, &error) == 0, "ensure",
          &error);
    check(ensured->created && *ensured->confidence && *ensured->epoch, "what ensure gave", NULL);
    if (ensured->procs_path &&
        proctrack_birth_spawn(ensured->procs_path, argv, NULL, &self->child, &error) == 0) {
        proctrack_free(ensured);
        return;
    }
    proctrack_free(ensured);
    self->child = fork();
    if (self->child == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    struct proctrack_assign_options options = PROCTRACK_ASSIGN_OPTIONS;
    options.pid = (uint32_t)self->child;
    check(proctrack_assign(self->connection, self->block_id, &options, NULL, &error) == 0, "assign",
          &error);
}

static void look(struct front_end *self)
{
    struct proctrack_error error;
    struct proctrack_list_options options = PROCTRACK_LIST_OPTIONS;
    struct proctrack_listed *listed;
    options.detail = true;
    check(proctrack_list(self->connection, self->block_id, &options, &listed, &error) == 0, "list",
          &error);
    check(listed->tracked && listed->n_processes == 1, "one process", NULL);
    const struct proctrack_process *process = listed->processes[0];
    check(process->pid == (uint32_t)self->child, "its pid", NULL);
    check(strcmp(process->scope, "main") == 0, "its scope", NULL);
    check(process->detail && process->detail->threads == 1, "its detail", NULL);
    proctrack_free(listed);
}

static void end(struct front_end *self)
{
    struct proctrack_error error;
    struct proctrack_stopped *stopped;
    struct proctrack_removed *removed;
    check(proctrack_stop(self->connection, self->block_id, NULL, &stopped, &error) == 0, "stop",
          &error);
    check(stopped->exited + stopped->killed == 1 && stopped->n_survivors == 0, "one ended", NULL);
    proctrack_free(stopped);
    run_until(self, &self->went, "gone");
    run_until(self, &self->told, "exited");
    check(waitpid(self->child, NULL, 0) == self->child, "waitpid", NULL);
    check(proctrack_remove(self->connection, self->block_id, NULL, &removed, &error) == 0, "remove",
          &error);
    check(removed->ok && removed->n_survivors == 0, "removed", NULL);
    proctrack_free(removed);
    check(proctrack_signal(self->connection, self->block_id, NULL, SIGUSR1, NULL, &error) ==
                  -EREMOTEIO &&
              error.errorcode == PROCTRACK_NO_SUCH_BLOCK,
          "no such block", &error);
    proctrack_mirror_close(&self->mirror);
    proctrack_subscriber_close(&self->events);
    proctrack_close(&self->connection);
    close(self->epoll);
}

static void live(int number)
{
    struct front_end self;
    memset(&self, 0, sizeof self);
    snprintf(self.block_id, sizeof self.block_id, "front-end-%d-%d", (int)getpid(), number);
    snprintf(self.scope, sizeof self.scope, "block:%s", self.block_id);
    begin(&self);
    start_child(&self);
    run_until(&self, &self.came, "added");
    look(&self);
    end(&self);
}

static void *live_often(void *arg)
{
    const int *range = (const int *)arg;
    for (int i = range[0]; i < range[1]; i++)
        live(i);
    return NULL;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 1;
    int ranges[2][2] = {{0, n}, {n, 2 * n}};
    pthread_t other;
    if (argc > 1)
        check(pthread_create(&other, NULL, live_often, ranges[1]) == 0, "pthread_create", NULL);
    live_often(ranges[0]);
    if (argc > 1)
        pthread_join(other, NULL);
    printf("front_end: libproctrack %s did all it must\n", proctrack_version());
    return 0;
}
