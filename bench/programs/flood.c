/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A plugin that publishes events of the size and form of the module's own, packed one by one, as
 * fast as the broker takes them or at a rate. For each line `COUNT RATE` on the FIFO `commands` it
 * publishes so many and writes `sent COUNT FIRST-NS LAST-NS REFUSED` into the FIFO `answers`; an
 * event that the broker refuses (its queue is full) is tried again a moment later.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench/programs/bench.h"
#include "bench/programs/pace.h"
#include "broker_shim/wps_plugin.h"
#include "schemas/block_event.h"

enum { RETRY_US = 200 };

struct flood {
    const struct wps_host *host;
    char *commands, *answers;
    pthread_t thread;
    int commands_fd;
    struct wire_out out;
};

static struct text text_from(const char *string)
{
    return (struct text){string, strlen(string)};
}

static void pack(struct flood *self, uint64_t number)
{
    struct process_event event = {
        .at = {text_from("flood"), text_from("65f0c2a1-1"), number},
        .process = {.pid = (uint32_t)number % 32768 + 1,
                    .parent_pid = 4700,
                    .command = text_from("/usr/bin/node server.js --port 8080"),
                    .started = true,
                    .scope = text_from("main"),
                    .rss_bytes = 41943040,
                    .started_at_ms = 1767225600123},
    };
    wire_out_clear(&self->out);
    process_event_pack(&self->out, &event);
}

/* Returns how often it was refused. */
static uint64_t publish(struct flood *self, uint64_t number)
{
    static const char *scopes[] = {"block:flood"};
    uint64_t refused = 0;
    pack(self, number);
    struct wps_event event = {.size = sizeof event,
                              .event = EVENT_PROCESS_ADDED,
                              .sender = "flood",
                              .scopes = scopes,
                              .n_scopes = 1,
                              .data = self->out.bytes.data,
                              .data_size = self->out.bytes.size};
    while (self->host->publish(self->host->context, &event) == -EAGAIN) {
        refused++;
        nanosleep(&(struct timespec){.tv_nsec = RETRY_US * 1000}, NULL);
    }
    return refused;
}

static void answer(struct flood *self, uint64_t count, uint64_t rate)
{
    uint64_t refused = 0;
    struct pace pace = pace_begin(rate);
    for (uint64_t i = 0; i < count; i++) {
        pace_wait(&pace, i);
        refused += publish(self, i);
    }
    uint64_t last = bench_now();
    _cleanup_fclose_ FILE *file = fopen(self->answers, "we");
    if (file)
        fprintf(file, "sent %llu %llu %llu %llu\n", (unsigned long long)count,
                (unsigned long long)pace.began_ns, (unsigned long long)last,
                (unsigned long long)refused);
}

static void *run(void *plugin)
{
    struct flood *self = plugin;
    unsigned long long count, rate;
    char line[64];
    _cleanup_fclose_ FILE *file = fdopen(self->commands_fd, "r");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "%llu %llu", &count, &rate) == 2)
        answer(self, count, rate);
    return NULL;
}

static int flood_open(const struct wps_host *host, const struct wps_option *options,
                      size_t n_options, void **ret_plugin, char *error, size_t error_size)
{
    struct flood *self = calloc(1, sizeof *self);
    for (size_t i = 0; self && i < n_options; i++) {
        char **member = strcmp(options[i].key, "commands") == 0  ? &self->commands
                        : strcmp(options[i].key, "answers") == 0 ? &self->answers
                                                                 : NULL;
        if (member)
            *member = strdup(options[i].value);
    }
    if (!self || !self->commands || !self->answers) {
        snprintf(error, error_size, "the options commands and answers must name two FIFOs");
        free(self);
        return -EINVAL;
    }
    self->host = host;
    wire_out_init(&self->out);
    *ret_plugin = self;
    return 0;
}

static int flood_start(void *plugin, char *error, size_t error_size)
{
    struct flood *self = plugin;
    sigset_t all, before;
    /* For writing too, so that it has no end while drivers come and go. */
    self->commands_fd = open(self->commands, O_RDWR | O_CLOEXEC);
    if (self->commands_fd < 0) {
        snprintf(error, error_size, "cannot open %s", self->commands);
        return -errno;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int r = -pthread_create(&self->thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

/* Anything that is no command ends the thread. */
static int flood_stop(void *plugin, uint32_t deadline_ms, char *error, size_t error_size)
{
    struct flood *self = plugin;
    (void)deadline_ms, (void)error, (void)error_size;
    if (write(self->commands_fd, "end\n", 4) != 4)
        return -EIO;
    pthread_join(self->thread, NULL);
    return 0;
}

static void flood_close(void *plugin)
{
    struct flood *self = plugin;
    wire_out_destroy(&self->out);
    free(self->commands);
    free(self->answers);
    free(self);
}

__attribute__((visibility("default"))) const struct wps_plugin wps_plugin_v1 = {
    .magic = WPS_PLUGIN_MAGIC,
    .size = sizeof(struct wps_plugin),
    .minor = WPS_PLUGIN_MINOR,
    .name = "flood",
    .version = "1.0",
    .open = flood_open,
    .start = flood_start,
    .stop = flood_stop,
    .close = flood_close,
};
