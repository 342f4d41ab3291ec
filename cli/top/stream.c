/* SPDX-License-Identifier: Apache-2.0 */

/* The model as JSON. */

#include "cli/top/stream.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/json.h"
#include "cli/signals.h"

static json_t *process_json(const struct model_process *process)
{
    json_t *object = json_pack(
        "{s:I,s:I,s:o,s:o,s:b,s:b,s:I}", "pid", (json_int_t)process->pid, "started_at_ms",
        (json_int_t)process->started_at_ms, "command", json_of_text(text_of(process->command)),
        "scope", json_of_text(text_of(process->scope)), "root", process->root, "started",
        process->started, "rss_bytes", (json_int_t)process->rss_bytes);
    if (object && process->parent_pid)
        json_object_set_new(object, "parent_pid", json_integer(process->parent_pid));
    if (object && process->has_cpu) {
        json_object_set_new(object, "cpu_ms", json_integer((json_int_t)process->cpu_ms));
        json_object_set_new(object, "cpu_percent", json_real(process->cpu * 100.0 / MODEL_ONE_CPU));
    }
    return object;
}

static json_t *block_json(const struct model_block *block)
{
    json_t *processes = json_array();
    for (size_t i = 0; i < block->n; i++)
        if (!block->processes[i]->is_gone)
            json_array_append_new(processes, process_json(block->processes[i]));
    return json_pack("{s:s,s:I,s:f,s:o}", "block_id", block->id, "rss_bytes",
                     (json_int_t)block->rss_bytes, "cpu_percent",
                     (double)model_cpu_of(block) * 100.0 / MODEL_ONE_CPU, "processes", processes);
}

static int by_id(const struct model_block *a, const struct model_block *b)
{
    return strcmp(a->id, b->id);
}

static int put(struct model *model)
{
    struct model_block *block, *next;
    json_t *blocks = json_array();
    HASH_SORT(model->blocks, by_id);
    HASH_ITER (hh, model->blocks, block, next)
        json_array_append_new(blocks, block_json(block));
    return json_line(json_pack("{s:I,s:b,s:o}", "at_ms", (json_int_t)model->wall_ms, "current",
                               model->known, "blocks", blocks));
}

/* Every block was sampled twice, so that its use of the processor is known; or there is nobody. */
static bool is_sampled(const struct model *model)
{
    const struct model_block *block, *next;
    HASH_ITER (hh, model->blocks, block, next)
        if (block->n_live > 0 && block->sampled_before_ms == 0)
            return false;
    return model->known;
}

static int64_t sample(struct feed *feed)
{
    struct model_block *block, *next;
    int64_t wait = (int64_t)feed->interval_ms;
    HASH_ITER (hh, feed->ui->model->blocks, block, next) {
        const struct row row = {.block = block};
        int64_t left = feed_sample(feed, &row, 1);
        wait = left < wait ? left : wait;
    }
    return wait;
}

/* Waits once, and takes in what came. 1: the reader is gone, or a signal came. */
static int step(struct feed *feed, int64_t wait_ms, int signals_fd, int *ret_signal,
                struct wps_error *error)
{
    struct proctrack_error why;
    struct pollfd items[] = {{.fd = signals_fd, .events = POLLIN},
                             {.fd = STDOUT_FILENO},
                             {.fd = proctrack_mirror_fd(feed->mirror), .events = POLLIN}};
    if (poll(items, 3, (int)wait_ms) < 0 && errno != EINTR)
        return wps_error_system(error, -errno, "cannot wait");
    *ret_signal = signals_read(signals_fd);
    if (*ret_signal || items[1].revents & POLLERR)
        return 1;
    if (proctrack_mirror_dispatch(feed->mirror, &why) < 0)
        return wps_error_set(error, -EIO, "cannot go on: %s", why.message);
    return 0;
}

int stream(struct feed *feed, uint64_t n, int signals_fd, int *ret_signal, struct wps_error *error)
{
    struct model *model = feed->ui->model;
    int64_t due_ms = 0;
    signal(SIGPIPE, SIG_IGN); /* a reader that is gone is no failure */
    for (uint64_t told = 0; n == 0 || told < n;) {
        int64_t wait = sample(feed);
        int result = step(feed, wait < 50 ? wait : 50, signals_fd, ret_signal, error);
        if (result != 0)
            return result > 0 ? 0 : result;
        model_tick(model, monotonic_ms(), realtime_ms());
        if (!is_sampled(model) || model->now_ms < due_ms)
            continue;
        if (put(model) < 0)
            return errno == EPIPE ? 0 : wps_error_set(error, -EIO, "cannot write the output");
        told++;
        due_ms = model->now_ms + (int64_t)feed->interval_ms;
    }
    return 0;
}
