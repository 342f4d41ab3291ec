/* SPDX-License-Identifier: Apache-2.0 */

/* The requests of a mirror, and what is made of their replies. */

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/mirror_impl.h"
#include "schemas/control_request.h"

/* ---- asking --------------------------------------------------------------------------------- */

static struct control_request request_of(const struct proctrack_mirror *self, enum ask_kind kind,
                                         const struct mirror_block *block)
{
    struct control_request request = {CONTROL_REQUEST_DEFAULTS};
    if (kind == ASK_LIST || kind == ASK_SAMPLE) {
        request.command = CONTROL_LIST_BLOCK;
        request.block_id = text_of(block->shown.block_id);
        request.detail = kind == ASK_SAMPLE;
    } else if (self->is_star) {
        request.command = CONTROL_LIST_ALL_BLOCKS;
    } else {
        request.command = CONTROL_CONFIDENCE_OF;
        request.block_id = text_of(self->blocks[0]->shown.block_id);
    }
    return request;
}

static int pack(struct proctrack_mirror *self, const struct control_request *request,
                uint64_t number)
{
    const struct reqid reqid = {.kind = REQID_UINT, .number = number};
    wire_out_clear(&self->data);
    wire_out_clear(&self->out);
    control_request_pack(&self->data, request);
    const struct text data = {self->data.bytes.data, self->data.bytes.size};
    request_pack(&self->out, control_command_name(request->command), &reqid, data);
    return wire_out_failed(&self->data) || wire_out_failed(&self->out) ? -ENOMEM : 0;
}

int mirror_ask(struct proctrack_mirror *self, enum ask_kind kind, struct mirror_block *block)
{
    const struct control_request request = request_of(self, kind, block);
    struct ask *ask = calloc(1, sizeof *ask);
    int result = ask ? pack(self, &request, self->n_requests + 1) : -ENOMEM;
    const struct text body = {self->out.bytes.data, self->out.bytes.size};
    if (result == 0)
        result = mirror_link_send(&self->link, MIRROR_CONTROL, body);
    if (result < 0) {
        free(ask);
        return result;
    }
    *ask = (struct ask){.reqid = ++self->n_requests,
                        .kind = kind,
                        .block = block,
                        .deadline_ms = monotonic_ms() + self->timeout_ms};
    TAILQ_INSERT_TAIL(&self->asks, ask, link);
    self->n_asks++;
    return 0;
}

static int ask_for(struct proctrack_mirror *self, struct mirror_block *block, int64_t now_ms)
{
    bool listed = block->phase == MIRROR_WANTS_LIST;
    int result = mirror_ask(self, listed ? ASK_LIST : ASK_SAMPLE, block);
    if (result < 0)
        return result;
    if (listed) {
        mirror_block_asked(block, now_ms);
    } else {
        block->wants_sample = false;
        block->sampling = true;
    }
    TAILQ_REMOVE(&self->waiting, block, waiting);
    block->is_waiting = false;
    return 1;
}

/* Those that may not be asked for yet go to the end of the queue. */
int mirror_ask_waiting(struct proctrack_mirror *self)
{
    int64_t now_ms = monotonic_ms();
    int asked = 0;
    struct mirror_block *last = TAILQ_LAST(&self->waiting, waiting_list), *block, *next;
    if (self->stage != STAGE_FOLLOWING || !last)
        return 0;
    for (block = TAILQ_FIRST(&self->waiting); block; block = next) {
        next = block == last ? NULL : TAILQ_NEXT(block, waiting);
        if (self->n_asks >= MIRROR_ASKS_MAX)
            break;
        if (block->due_ms <= now_ms) {
            int result = ask_for(self, block, now_ms);
            if (result < 0) {
                self->trouble = result == -ENOMEM ? result : self->trouble;
                break;
            }
            asked = 1;
        } else {
            TAILQ_REMOVE(&self->waiting, block, waiting);
            TAILQ_INSERT_TAIL(&self->waiting, block, waiting);
        }
    }
    return asked;
}

/* ---- which blocks there are ----------------------------------------------------------------- */

/* One block of the broker's, `exact` where none of its events may be under way. */
static void compare(struct proctrack_mirror *self, const struct block_summary *summary, bool exact)
{
    char topic[TOPIC_MAX + 1];
    if (block_id_check(summary->block_id, "block_id", NULL) < 0) {
        self->teller.counts.malformed++;
        return;
    }
    size_t size = topic_of_block(topic, summary->block_id);
    if (!mirror_wants(self, (struct text){topic, size}))
        return;
    struct mirror_block *block = mirror_make(self, summary->block_id);
    if (!block) {
        self->trouble = -ENOMEM;
        return;
    }
    block->checked = true;
    if (!text_is(summary->version.epoch, block->epoch.name) ||
        (exact && summary->version.seq > block->shown.seq))
        mirror_block_want_list(block, monotonic_ms());
    mirror_settle(self, block);
}

static int take_blocks(struct proctrack_mirror *self, const msgpack_object *data, bool exact,
                       struct wps_error *error)
{
    _cleanup_free_ struct block_summary *summaries = NULL;
    size_t n = 0;
    int result = list_all_reply_read(&summaries, &n, data, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < self->n_blocks; i++)
        self->blocks[i]->checked = false;
    for (size_t i = 0; i < n; i++)
        compare(self, &summaries[i], exact);
    for (size_t i = 0; i < self->n_blocks; i++) {
        struct mirror_block *block = self->blocks[i];
        if (block->checked || !block->present)
            continue;
        mirror_block_want_list(block, monotonic_ms()); /* it says that it is not there */
        mirror_settle(self, block);
    }
    return 0;
}

static int take_confidence(struct proctrack_mirror *self, const msgpack_object *data,
                           struct wps_error *error)
{
    struct block_version version;
    struct confidence_view view;
    int result = confidence_reply_read(&version, &view, data, error);
    if (result < 0)
        return result;
    struct mirror_block *block = self->blocks[0];
    if (!text_is(version.epoch, block->epoch.name))
        mirror_block_want_list(block, monotonic_ms());
    mirror_settle(self, block);
    return 0;
}

/* ---- replies -------------------------------------------------------------------------------- */

static struct ask *find_ask(const struct proctrack_mirror *self, const struct reqid *resid)
{
    struct ask *ask = NULL;
    if (resid->kind == REQID_UINT)
        TAILQ_FOREACH (ask, &self->asks, link)
            if (ask->reqid == resid->number)
                break;
    return ask;
}

static int take_list(struct mirror_block *block, bool sample, const msgpack_object *data,
                     struct wps_error *error)
{
    struct list_reply list = {0};
    int result = list_reply_read(&list, data, error);
    if (result < 0)
        return result;
    result = sample ? mirror_block_sample(block, &list, monotonic_ms())
                    : mirror_block_list(block, &list, monotonic_ms());
    free(list.processes);
    if (result < 0)
        wps_error_system(error, result, "what the broker lists of %s cannot be used",
                         block->shown.block_id);
    return result;
}

static int take_data(struct proctrack_mirror *self, const struct ask *ask,
                     const msgpack_object *data, struct wps_error *error)
{
    switch (ask->kind) {
    case ASK_BLOCKS:
        return take_blocks(self, data, true, error);
    case ASK_CHECK:
        return self->is_star ? take_blocks(self, data, false, error)
                             : take_confidence(self, data, error);
    case ASK_LIST:
    case ASK_SAMPLE:
        break;
    }
    return take_list(ask->block, ask->kind == ASK_SAMPLE, data, error);
}

/* What follows from a reply that could be used, or not. */
static void conclude(struct proctrack_mirror *self, const struct ask *ask, int result,
                     const struct wps_error *error)
{
    if (result == -ENOMEM)
        self->trouble = result;
    if (result < 0)
        self->why = *error;
    else
        self->why.message[0] = '\0';
    if (ask->block) {
        if (ask->kind == ASK_LIST)
            mirror_block_unanswered(ask->block, monotonic_ms()); /* where it still waits for it */
        else
            ask->block->sampling = false;
        mirror_settle(self, ask->block);
    } else if (ask->kind == ASK_CHECK) {
        self->checking = false;
    } else if (result < 0) {
        mirror_fail(self);
    } else {
        mirror_follow(self);
    }
}

static void answer(struct proctrack_mirror *self, const struct reply *reply)
{
    struct wps_error error = {""};
    struct ask *ask = find_ask(self, &reply->resid);
    if (!ask) {
        self->teller.counts.malformed++;
        return;
    }
    TAILQ_REMOVE(&self->asks, ask, link);
    self->n_asks--;
    int result = reply->ok ? take_data(self, ask, reply->data, &error)
                           : wps_error_set(&error, -EREMOTEIO, "%.*s", (int)reply->error.size,
                                           reply->error.at);
    conclude(self, ask, result, &error);
    free(ask);
}

int mirror_take_reply(struct proctrack_mirror *self)
{
    zmq_msg_t body;
    struct reply reply = {0};
    zmq_msg_init(&body);
    int result = mirror_link_reply(&self->link, MIRROR_CONTROL, &body);
    if (result == 1 && reply_open(&reply, zmq_msg_data(&body), zmq_msg_size(&body), NULL) == 0) {
        answer(self, &reply);
        reply_close(&reply);
    } else if (result == 1 || result == -EBADMSG) {
        self->teller.counts.malformed++;
        result = 1;
    }
    zmq_msg_close(&body);
    return result;
}

void mirror_forget_asks(struct proctrack_mirror *self)
{
    for (struct ask *ask; (ask = TAILQ_FIRST(&self->asks));) {
        TAILQ_REMOVE(&self->asks, ask, link);
        struct mirror_block *block = ask->block;
        if (block && ask->kind == ASK_LIST)
            mirror_block_unanswered(block, monotonic_ms());
        else if (block)
            block->sampling = false;
        if (block)
            mirror_settle(self, block);
        free(ask);
    }
    self->n_asks = 0;
    self->checking = false;
}
