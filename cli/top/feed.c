/* SPDX-License-Identifier: Apache-2.0 */

/* The calls of a mirror, and when it samples. */

#include "cli/top/feed.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "schemas/names.h"

enum {
    FIRST_MS =
        700,    /* to the second sample of a block: use of the processor is between two of them */
    SHARE = 10, /* a sample may take a tenth of the time, at most */
};

/* ---- calls of the mirror -------------------------------------------------------------------- */

static bool is_wanted(const struct feed *self, const char *id)
{
    for (size_t i = 0; i < self->n_words; i++)
        if (fnmatch(self->words[i], id, 0) == 0)
            return true;
    return self->n_words == 0;
}

static void block_added(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                        void *arg)
{
    struct feed *self = arg;
    (void)mirror;
    if (is_wanted(self, block->block_id))
        proctrack_block_set_user(block, model_add_block(self->ui->model, block));
}

static void block_changed(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                          void *arg)
{
    (void)mirror;
    if (block->user)
        model_change_block(((struct feed *)arg)->ui->model, block->user, block);
}

static void block_removed(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                          const char *reason, void *arg)
{
    (void)mirror, (void)reason;
    if (block->user)
        model_remove_block(((struct feed *)arg)->ui->model, block->user);
}

static void added(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                  const struct proctrack_process *process, void *arg)
{
    bool news = block->current && proctrack_mirror_state(mirror) == PROCTRACK_CURRENT;
    if (block->user)
        proctrack_process_set_user(
            process, model_add(((struct feed *)arg)->ui->model, block->user, process, news));
}

static void changed(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                    const struct proctrack_process *process, unsigned changes, void *arg)
{
    (void)mirror, (void)block;
    if (process->user)
        model_change(((struct feed *)arg)->ui->model, process->user, process, changes);
}

static void gone(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                 const struct proctrack_process *process, const struct proctrack_gone *how,
                 void *arg)
{
    (void)mirror, (void)block;
    if (process->user)
        model_gone(((struct feed *)arg)->ui->model, process->user, how);
}

static void state(struct proctrack_mirror *mirror, enum proctrack_mirror_state now, const char *why,
                  void *arg)
{
    struct feed *self = arg;
    struct ui *ui = self->ui;
    (void)mirror;
    if (now == PROCTRACK_STALE)
        ui_say(ui, UI_FAILS, true, "no broker: shown is what was. %s", why);
    else if (now == PROCTRACK_CURRENT && ui->stale)
        ui_say(ui, UI_SAYS, false, "a broker is there again, at %s", self->endpoint);
    ui->stale = now == PROCTRACK_STALE || (ui->stale && now != PROCTRACK_CURRENT);
    model_set_known(ui->model,
                    now == PROCTRACK_CURRENT || (now == PROCTRACK_REPAIRING && ui->model->known));
}

/* ---- its life ------------------------------------------------------------------------------- */

static int fail(int code, const struct proctrack_error *why, struct wps_error *error)
{
    return wps_error_set(error, code, "%s", why->message);
}

static int open_mirror(struct feed *self, struct wps_error *error)
{
    struct proctrack_mirror_options options = PROCTRACK_MIRROR_OPTIONS;
    struct proctrack_error why;
    char topic[TOPIC_MAX + 1];
    bool is_one = self->n_words == 1 && !strpbrk(self->words[0], "*?[");
    if (is_one) {
        topic_of_block(topic, text_of(self->words[0]));
        options.scope = topic;
    }
    options.arg = self;
    options.calls = (struct proctrack_mirror_calls){
        .added = added,
        .changed = changed,
        .gone = gone,
        .block_added = block_added,
        .block_changed = block_changed,
        .block_removed = block_removed,
        .state = state,
    };
    int result = proctrack_mirror_open(&self->mirror, self->connection, &options, &why);
    return result < 0 ? fail(result, &why, error) : 0;
}

int feed_open(struct feed *self, const struct broker *broker, const struct feed_sockets *sockets,
              struct wps_error *error)
{
    struct proctrack_options options = PROCTRACK_OPTIONS;
    struct proctrack_error why;
    _cleanup_free_ char *events = broker_beside(broker, "events");
    _cleanup_free_ char *rpc = broker_beside(broker, "rpc");
    options.control = broker->endpoint;
    options.events = sockets->events ? sockets->events : events;
    options.rpc = sockets->rpc ? sockets->rpc : rpc;
    options.zmq_context = broker->context;
    options.curve_secret = broker->curve_secret;
    options.curve_server = broker->curve_server;
    if (!options.events || !options.rpc)
        return wps_error_set(error, -EINVAL,
                             "where are the events and rpc sockets? --events and --rpc say so");
    self->endpoint = broker->endpoint;
    int result = proctrack_connect(&self->connection, &options, &why);
    if (result < 0)
        return fail(result, &why, error);
    return open_mirror(self, error);
}

void feed_close(struct feed *self)
{
    proctrack_mirror_close(&self->mirror);
    proctrack_close(&self->connection);
}

/* ---- samples -------------------------------------------------------------------------------- */

/* How long to wait between two of this block. */
static int64_t pause_of(const struct feed *self, const struct model_block *block)
{
    int64_t sampled_ms = (int64_t)block->sampled_at_ms, pause = (int64_t)self->interval_ms;
    if (block->sampled_before_ms == 0 && pause > FIRST_MS)
        pause = FIRST_MS;
    int64_t took = sampled_ms > block->asked_at_ms ? sampled_ms - block->asked_at_ms : 0;
    return took * SHARE > pause ? took * SHARE : pause;
}

int64_t feed_sample(struct feed *self, const struct row *rows, size_t n)
{
    const struct model_block *last = NULL;
    int64_t now_ms = self->ui->model->now_ms, next = (int64_t)self->interval_ms;
    for (size_t i = 0; i < n && !self->ui->stale; i++) {
        struct model_block *block = rows[i].block;
        if (block == last || block->n_live == 0)
            continue;
        last = block;
        int64_t left = block->asked_at_ms ? block->asked_at_ms + pause_of(self, block) - now_ms : 0;
        if (left <= 0) {
            proctrack_mirror_sample(self->mirror, block->id);
            block->asked_at_ms = now_ms;
            left = pause_of(self, block);
        }
        next = left < next ? left : next;
    }
    return next;
}
