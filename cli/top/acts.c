/* SPDX-License-Identifier: Apache-2.0 */

/* Requests to the broker, and what their answers say. */

#include "cli/top/acts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/dealer.h"
#include "cli/term.h"
#include "schemas/control_reply.h"

/* ---- its life ------------------------------------------------------------------------------- */

static int connect_socket(struct acts *self)
{
    const int none = 0, yes = 1;
    self->socket = zmq_socket(self->broker->context, ZMQ_DEALER);
    if (!self->socket || zmq_setsockopt(self->socket, ZMQ_LINGER, &none, sizeof none) < 0 ||
        zmq_setsockopt(self->socket, ZMQ_IMMEDIATE, &yes, sizeof yes) < 0 ||
        client_keys_use(&self->broker->keys, self->socket) < 0 ||
        zmq_connect(self->socket, self->broker->endpoint) < 0)
        return -errno;
    return 0;
}

int acts_open(struct acts *ret, const struct broker *broker, struct ui *ui, struct wps_error *error)
{
    *ret = (struct acts){.broker = broker, .ui = ui};
    int result = connect_socket(ret);
    if (result < 0) {
        acts_close(ret);
        return wps_error_set(error, result, "cannot connect to %s: %s", broker->endpoint,
                             zmq_strerror(-result));
    }
    return 0;
}

void acts_close(struct acts *self)
{
    if (self->socket)
        zmq_close(self->socket);
    *self = (struct acts){0};
}

/* ---- asking --------------------------------------------------------------------------------- */

static struct control_request request_of(const struct ui_action *action)
{
    return (struct control_request){
        CONTROL_REQUEST_DEFAULTS,
        .command = action->command,
        .block_id = text_of(action->block_id),
        .scope = text_of(action->scope),
        .pid = action->pid,
        .started_at_ms = action->command == CONTROL_KILL_PID ? action->started_at_ms : 0};
}

static struct acts_pending *free_place(struct acts *self)
{
    for (size_t i = 0; i < ACTS_MAX; i++)
        if (self->pending[i].number == 0)
            return &self->pending[i];
    return NULL;
}

void acts_act(void *context, const struct ui_action *action)
{
    struct acts *self = context;
    struct acts_pending *pending = free_place(self);
    const struct control_request request = request_of(action);
    char text[UI_TEXT];
    if (!pending) {
        ui_say(self->ui, UI_WARNS, false, "wait: %d requests are not answered yet", ACTS_MAX);
        return;
    }
    int result = dealer_send(self->socket, &request, ++self->number);
    if (result < 0) {
        ui_say(self->ui, UI_FAILS, false, "nothing was done: %s does not take it: %s",
               self->broker->endpoint,
               result == -EAGAIN ? "no broker is there" : zmq_strerror(-result));
        return;
    }
    int64_t wait = self->broker->timeout_ms +
                   (action->command == CONTROL_STOP_TREE ? (int64_t)request.timeout_ms : 0);
    *pending = (struct acts_pending){self->number, *action, self->ui->model->now_ms + wait};
    ui_say(self->ui, UI_SAYS, true, "asked to %s ...", ui_action_text(text, action));
}

/* ---- answers -------------------------------------------------------------------------------- */

static void tell_stopped(struct acts *self, const char *block_id, const msgpack_object *data)
{
    struct stop_reply reply;
    char took[TERM_NUMBER];
    if (stop_reply_read(&reply, data, NULL) < 0) {
        ui_say(self->ui, UI_FAILS, false, "%s: the answer makes no sense", block_id);
        return;
    }
    _cleanup_free_ struct survivor *survivors = reply.survivors;
    term_cpu(took, reply.elapsed_ms);
    if (reply.n_survivors == 0)
        ui_say(self->ui, UI_SAYS, false, "%s: %" PRIu64 " ended, %" PRIu64 " killed, %s", block_id,
               reply.exited, reply.killed, took);
    else
        ui_say(self->ui, UI_FAILS, false,
               "%s: %" PRIu64 " ended, %" PRIu64 " killed, %zu left: %" PRIu32 " (%c) %.*s",
               block_id, reply.exited, reply.killed, reply.n_survivors, survivors[0].pid,
               survivors[0].state ? survivors[0].state : '?', (int)survivors[0].command.size,
               survivors[0].command.at);
}

static void tell_started(struct acts *self, const char *block_id, const msgpack_object *data)
{
    struct block_version version;
    _cleanup_free_ uint32_t *pids = NULL;
    size_t n = 0;
    if (pids_reply_read(&version, &pids, &n, "killed", data, NULL) < 0)
        n = 0;
    ui_say(self->ui, n ? UI_SAYS : UI_WARNS, false, "%s: killed %zu started process%s", block_id, n,
           n == 1 ? "" : "es");
}

static void mark_frozen(struct acts *self, const char *block_id, bool frozen)
{
    struct model_block *block = model_find(self->ui->model, block_id);
    if (block)
        block->frozen_ms = frozen ? monotonic_ms() : 0;
    self->ui->model->changed = true;
}

static void tell_ok(struct acts *self, const struct ui_action *action, const msgpack_object *data)
{
    struct block_version version;
    char text[UI_TEXT];
    bool ok = false;
    if (ok_reply_read(&version, &ok, data, NULL) < 0 || !ok) {
        ui_say(self->ui, UI_WARNS, false, "could not %s: it is not there any more",
               ui_action_text(text, action));
    } else if (action->command == CONTROL_FREEZE || action->command == CONTROL_THAW) {
        bool freeze = action->command == CONTROL_FREEZE;
        mark_frozen(self, action->block_id, freeze);
        ui_say(self->ui, UI_SAYS, false, freeze ? "%s: frozen; t thaws it" : "%s: thawed",
               action->block_id);
    } else if (action->command == CONTROL_KILL_PID) {
        ui_say(self->ui, UI_SAYS, false, "%s: killed %" PRIu32, action->block_id, action->pid);
    } else {
        ui_say(self->ui, UI_SAYS, false, "%s: killed", action->block_id);
    }
}

static void tell(struct acts *self, const struct ui_action *action, const struct reply *reply)
{
    if (!reply->ok)
        ui_say(self->ui, UI_FAILS, false, "%s: %.*s", action->block_id, (int)reply->error.size,
               reply->error.at);
    else if (action->command == CONTROL_STOP_TREE)
        tell_stopped(self, action->block_id, reply->data);
    else if (action->command == CONTROL_KILL_STARTED)
        tell_started(self, action->block_id, reply->data);
    else
        tell_ok(self, action, reply->data);
}

static void take(void *context, const struct reply *reply)
{
    struct acts *self = context;
    for (size_t i = 0; i < ACTS_MAX; i++) {
        struct acts_pending *pending = &self->pending[i];
        if (pending->number && reply->resid.kind == REQID_UINT &&
            reply->resid.number == pending->number) {
            pending->number = 0;
            tell(self, &pending->action, reply);
            return;
        }
    }
}

void acts_read(struct acts *self)
{
    int result;
    while ((result = dealer_receive(self->socket, take, self, NULL)) == 0 || result == -EPROTO)
        ;
}

void acts_tick(struct acts *self)
{
    char text[UI_TEXT];
    for (size_t i = 0; i < ACTS_MAX; i++) {
        struct acts_pending *pending = &self->pending[i];
        if (pending->number && pending->until_ms <= self->ui->model->now_ms) {
            pending->number = 0;
            ui_say(self->ui, UI_FAILS, false, "no answer to: %s; it may still be done",
                   ui_action_text(text, &pending->action));
        }
    }
}
