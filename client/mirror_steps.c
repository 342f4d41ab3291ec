/* SPDX-License-Identifier: Apache-2.0 */

/* From no connection to a picture that follows, and back where anything fails (PROTOCOL.md, section
 * 5, step 1: a subscription is in force once an event that was published behind it arrives). */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"
#include "client/mirror_impl.h"
#include "client/scopes.h"

enum {
    SYNC_MS = 10, /* before a sync event is published once more, doubled up to the next */
    SYNC_MAX_MS = 500,
    RETRY_MS = 50, /* before another connection, likewise */
    RETRY_MAX_MS = 2000,
};

static int doubled(int wait_ms, int most_ms)
{
    return wait_ms * 2 < most_ms ? wait_ms * 2 : most_ms;
}

/* ---- down and up again ---------------------------------------------------------------------- */

void mirror_fail(struct proctrack_mirror *self)
{
    mirror_link_disconnect(&self->link);
    mirror_forget_asks(self);
    self->teller.counts.reconnects += self->stage > STAGE_CONNECTING;
    self->stage = STAGE_DOWN;
    self->next_ms = monotonic_ms() + self->retry_ms;
    self->deadline_ms = MIRROR_NEVER_MS;
    self->retry_ms = self->retry_ms ? doubled(self->retry_ms, RETRY_MAX_MS) : RETRY_MS;
}

static void connect_now(struct proctrack_mirror *self)
{
    int result = mirror_link_connect(&self->link, scope_prefix(text_of(self->scope)));
    if (result < 0) {
        wps_error_set(&self->why, result, "cannot connect to %s: %s", self->link.connection->events,
                      zmq_strerror(-result));
        mirror_fail(self);
        return;
    }
    self->stage = STAGE_CONNECTING;
    self->next_ms = MIRROR_NEVER_MS;
    self->deadline_ms = monotonic_ms() + self->timeout_ms;
}

/* ZeroMQ itself goes on trying. */
static void nobody_there(struct proctrack_mirror *self)
{
    if (self->stage == STAGE_CONNECTING)
        wps_error_set(&self->why, -ECONNREFUSED,
                      "no broker at %s: start one there (wpsd --plugin proctrack.so), or set "
                      "WPS_RUNTIME_DIR to the directory of one that runs",
                      self->link.connection->events);
}

/* ---- sync ----------------------------------------------------------------------------------- */

static void publish_sync(struct proctrack_mirror *self)
{
    const struct text scope = text_of(self->nonce);
    const struct event event = {
        .event = text_of("proctrack:sync"), .scopes = &scope, .n_scopes = 1};
    const struct reqid none = {.kind = REQID_ABSENT};
    wire_out_clear(&self->data);
    wire_out_clear(&self->out);
    event_pack(&self->data, &event);
    request_pack(&self->out, "eventpublish", &none,
                 (struct text){self->data.bytes.data, self->data.bytes.size});
    if (wire_out_failed(&self->data) || wire_out_failed(&self->out))
        self->trouble = -ENOMEM;
    else
        mirror_link_send(&self->link, MIRROR_RPC,
                         (struct text){self->out.bytes.data, self->out.bytes.size});
    self->next_ms = monotonic_ms() + self->wait_ms;
    self->wait_ms = doubled(self->wait_ms, SYNC_MAX_MS);
}

static void begin_sync(struct proctrack_mirror *self)
{
    uint64_t nonce = 0;
    if (getrandom(&nonce, sizeof nonce, GRND_NONBLOCK) < 0)
        nonce = (uintptr_t)self; /* early at boot: it is only not to be somebody else's */
    snprintf(self->nonce, sizeof self->nonce, "sync:%016" PRIx64 "-%" PRIu64, nonce, self->link.n);
    int result = mirror_link_subscribe(&self->link, self->nonce);
    if (result < 0) {
        wps_error_set(&self->why, result, "cannot subscribe at %s: %s",
                      self->link.connection->events, zmq_strerror(-result));
        mirror_fail(self);
        return;
    }
    self->stage = STAGE_SYNCING;
    self->deadline_ms = monotonic_ms() + self->timeout_ms;
    self->wait_ms = SYNC_MS;
    publish_sync(self);
}

/* The subscription is in force. */
static void end_sync(struct proctrack_mirror *self)
{
    mirror_link_unsubscribe(&self->link, self->nonce);
    self->stage = STAGE_SURVEYING;
    self->next_ms = self->deadline_ms = MIRROR_NEVER_MS; /* the request has its own */
    if (!self->is_star) {
        mirror_block_want_list(self->blocks[0], monotonic_ms());
        mirror_follow(self);
        mirror_settle(self, self->blocks[0]);
    } else if (mirror_ask(self, ASK_BLOCKS, NULL) < 0) {
        wps_error_set(&self->why, -ENOMEM, "cannot ask %s for its blocks",
                      self->link.connection->control);
        mirror_fail(self);
    }
}

void mirror_follow(struct proctrack_mirror *self)
{
    self->stage = STAGE_FOLLOWING;
    self->next_ms = monotonic_ms() + self->check_ms;
    self->retry_ms = 0;
    self->why.message[0] = '\0';
}

/* ---- what arrives --------------------------------------------------------------------------- */

static int take_happening(struct proctrack_mirror *self)
{
    int event = mirror_link_what_happened(&self->link);
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        begin_sync(self);
    } else if (event == ZMQ_EVENT_CONNECT_RETRIED) {
        nobody_there(self);
    } else if (event == ZMQ_EVENT_DISCONNECTED) {
        wps_error_set(&self->why, -ECONNRESET, "the broker at %s ended, or closed the connection",
                      self->link.connection->events);
        mirror_fail(self);
    } else if (event == -EBADMSG) {
        return 1;
    }
    return event < 0 ? event : event != 0;
}

static void take_block_event(struct proctrack_mirror *self, struct text topic, struct text body)
{
    struct event_doc doc;
    struct mirror_event event;
    int result = mirror_event_open(&event, &doc, topic, body);
    if (result <= 0) {
        self->teller.counts.malformed += result == -EINVAL;
        self->trouble = result == -ENOMEM ? result : self->trouble;
        return;
    }
    struct mirror_block *block = mirror_find(self, event.at.block_id);
    if (!block && (block = mirror_make(self, event.at.block_id)) &&
        self->stage == STAGE_FOLLOWING && event.at.seq == 1)
        mirror_block_is_new(block);
    result = block ? mirror_block_event(block, &event, monotonic_ms()) : -ENOMEM;
    self->teller.counts.malformed += result == -EINVAL;
    self->trouble = result == -ENOMEM ? result : self->trouble;
    if (block)
        mirror_settle(self, block);
    event_close(&doc);
}

static struct text bytes_of(zmq_msg_t *message)
{
    return (struct text){zmq_msg_data(message), zmq_msg_size(message)};
}

static int take_event(struct proctrack_mirror *self)
{
    zmq_msg_t topic, body;
    zmq_msg_init(&topic);
    zmq_msg_init(&body);
    int result = mirror_link_event(&self->link, &topic, &body);
    if (result == -EBADMSG) {
        self->teller.counts.malformed++;
        result = 1;
    } else if (result == 1 && text_is(bytes_of(&topic), self->nonce)) {
        if (self->stage == STAGE_SYNCING)
            end_sync(self);
    } else if (result == 1 && mirror_wants(self, bytes_of(&topic))) {
        take_block_event(self, bytes_of(&topic), bytes_of(&body));
    }
    zmq_msg_close(&topic);
    zmq_msg_close(&body);
    return result;
}

/* What rpc answers says nothing that the sync event itself does not. */
static int take_rpc(struct proctrack_mirror *self)
{
    zmq_msg_t body;
    zmq_msg_init(&body);
    int result = mirror_link_reply(&self->link, MIRROR_RPC, &body);
    zmq_msg_close(&body);
    return result == -EBADMSG ? 1 : result;
}

/* ---- what is due ---------------------------------------------------------------------------- */

static void too_late(struct proctrack_mirror *self)
{
    const struct proctrack *at = self->link.connection;
    const char *who = self->stage == STAGE_CONNECTING ? at->events
                      : self->stage == STAGE_SYNCING  ? at->rpc
                                                      : at->control;
    if (self->stage != STAGE_CONNECTING || !self->why.message[0])
        wps_error_set(&self->why, -ETIMEDOUT,
                      "no answer from %s in %" PRIu32
                      " ms: the broker there is busy or stopped, or without proctrack.so",
                      who, self->timeout_ms);
    if (self->stage == STAGE_CONNECTING)
        self->deadline_ms = MIRROR_NEVER_MS; /* ZeroMQ itself goes on trying */
    else
        mirror_fail(self);
}

static bool is_past(int64_t at_ms, int64_t now_ms)
{
    return at_ms != MIRROR_NEVER_MS && at_ms <= now_ms;
}

static int do_due(struct proctrack_mirror *self)
{
    int64_t now_ms = monotonic_ms();
    mirror_forget_gone(self, now_ms);
    const struct ask *oldest = TAILQ_FIRST(&self->asks);
    if (is_past(self->deadline_ms, now_ms) || (oldest && oldest->deadline_ms <= now_ms)) {
        too_late(self);
        return 1;
    }
    if (!is_past(self->next_ms, now_ms))
        return 0;
    self->next_ms = MIRROR_NEVER_MS;
    if (self->stage == STAGE_DOWN) {
        connect_now(self);
    } else if (self->stage == STAGE_SYNCING) {
        publish_sync(self);
    } else if (self->stage == STAGE_FOLLOWING) {
        self->next_ms = now_ms + self->check_ms;
        if (!self->checking && mirror_ask(self, ASK_CHECK, NULL) == 0)
            self->checking = true;
    }
    return 1;
}

static int64_t sooner(int64_t a, int64_t b)
{
    if (a == MIRROR_NEVER_MS || b == MIRROR_NEVER_MS)
        return a == MIRROR_NEVER_MS ? b : a;
    return a < b ? a : b;
}

int64_t mirror_next_due(const struct proctrack_mirror *self)
{
    int64_t due = sooner(self->next_ms, self->deadline_ms);
    const struct ask *oldest = TAILQ_FIRST(&self->asks);
    if (oldest)
        due = sooner(due, oldest->deadline_ms);
    if (self->stage != STAGE_FOLLOWING || self->n_asks >= MIRROR_ASKS_MAX)
        return due;
    const struct mirror_block *block;
    TAILQ_FOREACH (block, &self->waiting, waiting)
        due = sooner(due, block->due_ms);
    return due;
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* Replies are taken before events: what a list counts need not be applied. */
static int take_one_of_each(struct proctrack_mirror *self, int *budget)
{
    static int (*const takes[])(struct proctrack_mirror * self) = {take_happening, take_rpc,
                                                                   mirror_take_reply};
    int done = 0;
    for (size_t i = 0; i < sizeof takes / sizeof *takes; i++) {
        int result = mirror_link_is_connected(&self->link) ? takes[i](self) : 0;
        if (result < 0)
            return result;
        done |= result;
    }
    while (mirror_link_is_connected(&self->link) && *budget > 0 && !self->teller.closed) {
        int result = take_event(self);
        if (result <= 0)
            return result < 0 ? result : done;
        done = 1;
        --*budget;
    }
    return done;
}

int mirror_step(struct proctrack_mirror *self, int *budget)
{
    int done = do_due(self);
    int result = take_one_of_each(self, budget);
    if (result < 0)
        return result;
    return mirror_ask_waiting(self) | result | done;
}
