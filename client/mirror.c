/* SPDX-License-Identifier: Apache-2.0 */

/* The life of a mirror, its blocks, and what is looked up in it. */

#include "client/mirror.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/mirror_impl.h"
#include "client/scopes.h"

enum {
    TIMEOUT_MS_DEFAULT = 5000,
    CHECK_MS_DEFAULT = 30000,
    KEPT_BYTES_DEFAULT = 16 * 1024 * 1024,
};

/* ---- blocks --------------------------------------------------------------------------------- */

static int compare_ids(const char *id, struct text other)
{
    size_t size = strlen(id);
    int order = memcmp(id, other.at, size < other.size ? size : other.size);
    return order ? order : size < other.size ? -1 : size > other.size;
}

/* Where the block of that id is, or would be put. */
static size_t place_of(const struct proctrack_mirror *self, struct text id, bool *ret_there)
{
    size_t from = 0, to = self->n_blocks;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = compare_ids(self->blocks[middle]->shown.block_id, id);
        if (order == 0) {
            *ret_there = true;
            return middle;
        }
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    *ret_there = false;
    return from;
}

struct mirror_block *mirror_find(const struct proctrack_mirror *self, struct text id)
{
    bool there;
    size_t place = place_of(self, id, &there);
    return there ? self->blocks[place] : NULL;
}

static int make_room(struct proctrack_mirror *self)
{
    if (self->n_blocks < self->n_room)
        return 0;
    size_t n = self->n_room ? self->n_room * 2 : 16;
    struct mirror_block **blocks = reallocarray(self->blocks, n, sizeof *blocks);
    if (!blocks)
        return -ENOMEM;
    self->blocks = blocks;
    self->n_room = n;
    return 0;
}

struct mirror_block *mirror_make(struct proctrack_mirror *self, struct text id)
{
    bool there;
    size_t place = place_of(self, id, &there);
    if (there)
        return self->blocks[place];
    struct mirror_block *block =
        make_room(self) < 0 ? NULL : mirror_block_new(&self->teller, id, monotonic_ms());
    if (!block)
        return NULL;
    struct mirror_block **at = self->blocks + place;
    memmove(at + 1, at, (self->n_blocks - place) * sizeof *at);
    *at = block;
    self->n_blocks++;
    return block;
}

static void forget(struct proctrack_mirror *self, struct mirror_block *block)
{
    bool there;
    size_t place = place_of(self, text_of(block->shown.block_id), &there);
    struct mirror_block **at = self->blocks + place;
    memmove(at, at + 1, (self->n_blocks - place - 1) * sizeof *at);
    self->n_blocks--;
    if (block->is_waiting)
        TAILQ_REMOVE(&self->waiting, block, waiting);
    if (block->gone_ms)
        TAILQ_REMOVE(&self->gone, block, in_gone);
    mirror_block_free(block);
}

static void note_gone(struct proctrack_mirror *self, struct mirror_block *block)
{
    bool gone = self->is_star && !block->present && block->phase == MIRROR_WHOLE;
    if (gone == (block->gone_ms != 0))
        return;
    if (gone)
        TAILQ_INSERT_TAIL(&self->gone, block, in_gone);
    else
        TAILQ_REMOVE(&self->gone, block, in_gone);
    block->gone_ms = gone ? monotonic_ms() : 0;
}

void mirror_settle(struct proctrack_mirror *self, struct mirror_block *block)
{
    bool wants = block->phase == MIRROR_WANTS_LIST ||
                 (block->wants_sample && block->phase == MIRROR_WHOLE && block->present);
    if (wants && !block->is_waiting)
        TAILQ_INSERT_TAIL(&self->waiting, block, waiting);
    else if (!wants && block->is_waiting)
        TAILQ_REMOVE(&self->waiting, block, waiting);
    block->is_waiting = wants;
    note_gone(self, block);
}

void mirror_forget_gone(struct proctrack_mirror *self, int64_t now_ms)
{
    struct mirror_block *block;
    while ((block = TAILQ_FIRST(&self->gone)) && !block->sampling &&
           now_ms - block->gone_ms >= MIRROR_GONE_KEPT_MS)
        forget(self, block);
}

bool mirror_wants(const struct proctrack_mirror *self, struct text topic)
{
    return self->is_star ? scope_matches(text_of(self->scope), topic) : text_is(topic, self->scope);
}

/* ---- its life ------------------------------------------------------------------------------- */

static void destroy(struct proctrack_mirror *self)
{
    self->teller.closed = true;
    mirror_forget_asks(self);
    while (self->n_blocks > 0)
        forget(self, self->blocks[self->n_blocks - 1]);
    free(self->blocks);
    mirror_link_close(&self->link);
    wire_out_destroy(&self->data);
    wire_out_destroy(&self->out);
    free(self->scope);
    free(self);
}

/* A scope that a block can have: an exact one has the id of a block in it. */
static int check_scope(const char *scope, struct wps_error *error)
{
    int result = topic_check(text_of(scope), "scope", error);
    if (result < 0 || scope_is_star(text_of(scope)))
        return result;
    if (strncmp(scope, TOPIC_PREFIX, strlen(TOPIC_PREFIX)) != 0)
        return wps_error_set(error, -EINVAL,
                             "cannot mirror '%s': expected block:<id>, or a star scope as block:*",
                             scope);
    return block_id_check(text_of(scope + strlen(TOPIC_PREFIX)), "scope", error);
}

static struct proctrack_mirror *mirror_new(const struct proctrack_mirror_options *options)
{
    struct proctrack_mirror *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->teller = (struct mirror_teller){
        .mirror = self,
        .calls = options->calls,
        .arg = options->arg,
        .kept_max = options->buffer_bytes ? options->buffer_bytes : KEPT_BYTES_DEFAULT,
    };
    self->timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
    self->check_ms = options->check_ms ? options->check_ms : CHECK_MS_DEFAULT;
    self->deadline_ms = MIRROR_NEVER_MS;
    TAILQ_INIT(&self->waiting);
    TAILQ_INIT(&self->gone);
    TAILQ_INIT(&self->asks);
    wire_out_init(&self->data);
    wire_out_init(&self->out);
    return self;
}

static int begin(struct proctrack_mirror *self, struct proctrack *connection, const char *scope,
                 struct wps_error *error)
{
    self->scope = strdup(scope);
    if (!self->scope)
        return wps_error_system(error, -ENOMEM, "cannot mirror %s", scope);
    self->is_star = scope_is_star(text_of(scope));
    int result = mirror_link_open(&self->link, connection);
    if (result < 0)
        return wps_error_system(error, result, "cannot mirror %s", scope);
    if (!self->is_star && !mirror_make(self, text_of(scope + strlen(TOPIC_PREFIX))))
        return wps_error_system(error, -ENOMEM, "cannot mirror %s", scope);
    self->next_ms = monotonic_ms();
    mirror_link_wake_at(&self->link, self->next_ms);
    return 0;
}

int proctrack_mirror_open(struct proctrack_mirror **ret, struct proctrack *connection,
                          const struct proctrack_mirror_options *options,
                          struct proctrack_error *error)
{
    struct wps_error why = {""};
    struct proctrack_mirror_options ours;
    connection_copy_options(&ours, sizeof ours, options);
    const char *scope = ours.scope ? ours.scope : TOPIC_PREFIX "**";
    int result = check_scope(scope, &why);
    if (result < 0)
        return connection_fail(error, result, &why);
    struct proctrack_mirror *self = mirror_new(&ours);
    if (!self)
        return connection_fail(error, -ENOMEM, &(struct wps_error){"no memory for a mirror"});
    result = begin(self, connection, scope, &why);
    if (result < 0) {
        destroy(self);
        return connection_fail(error, result, &why);
    }
    *ret = self;
    return 0;
}

void proctrack_mirror_close(struct proctrack_mirror **self_p)
{
    struct proctrack_mirror *self = take_ptr(*self_p);
    if (!self)
        return;
    if (self->dispatching)
        self->teller.closed = true; /* dispatch ends it */
    else
        destroy(self);
}

/* ---- work ----------------------------------------------------------------------------------- */

static void tell_state(struct proctrack_mirror *self)
{
    enum proctrack_mirror_state state = PROCTRACK_REPAIRING;
    const char *why = self->why.message;
    if (self->stage == STAGE_FOLLOWING && self->teller.n_unsettled == 0)
        state = PROCTRACK_CURRENT;
    else if (*why && self->stage != STAGE_FOLLOWING)
        state = PROCTRACK_STALE;
    else if (!self->was_current)
        state = PROCTRACK_STARTING;
    else if (!*why)
        why = "something was missed: it is being listed again";
    if (state == self->state)
        return;
    /* Whatever failed is still to be made good: connecting again alone is no news. */
    if (self->state == PROCTRACK_STALE && state != PROCTRACK_CURRENT &&
        self->stage != STAGE_FOLLOWING)
        return;
    self->state = state;
    self->was_current |= state == PROCTRACK_CURRENT;
    self->teller.n_calls++;
    if (self->teller.calls.state && !self->teller.closed)
        self->teller.calls.state(self, state, state == PROCTRACK_CURRENT ? "" : why,
                                 self->teller.arg);
}

static int do_all(struct proctrack_mirror *self)
{
    int budget = MIRROR_BATCH, result;
    do
        result = mirror_step(self, &budget);
    while (result == 1 && budget > 0 && !self->teller.closed);
    if (result < 0)
        return result;
    if (!self->teller.closed)
        tell_state(self);
    mirror_link_wake_at(&self->link, result == 1 ? 0 : mirror_next_due(self));
    return 0;
}

static int fail_dispatch(struct proctrack_error *error, int code)
{
    struct wps_error why = {""};
    wps_error_set(&why, code, "the mirror cannot go on: %s", zmq_strerror(-code));
    return connection_fail(error, code, &why);
}

int proctrack_mirror_dispatch(struct proctrack_mirror *self, struct proctrack_error *error)
{
    if (self->dispatching)
        return fail_dispatch(error, -EBUSY);
    self->dispatching = true;
    self->trouble = 0;
    uint64_t before = self->teller.n_calls;
    int result = do_all(self);
    self->dispatching = false;
    if (self->teller.closed) {
        destroy(self);
        return 0;
    }
    if (result == 0)
        result = self->trouble;
    return result < 0 ? fail_dispatch(error, result) : (int)(self->teller.n_calls - before);
}

int proctrack_mirror_wait(struct proctrack_mirror *self, int timeout_ms,
                          struct proctrack_error *error)
{
    struct pollfd fd = {.fd = self->link.epoll, .events = POLLIN};
    if (self->dispatching)
        return fail_dispatch(error, -EBUSY);
    int ready = poll(&fd, 1, timeout_ms);
    if (ready < 0)
        return fail_dispatch(error, -errno);
    return ready == 0 ? 0 : proctrack_mirror_dispatch(self, error);
}

int proctrack_mirror_fd(const struct proctrack_mirror *self)
{
    return self->link.epoll;
}

enum proctrack_mirror_state proctrack_mirror_state(const struct proctrack_mirror *self)
{
    return self->state;
}

int proctrack_mirror_sample(struct proctrack_mirror *self, const char *block_id)
{
    struct mirror_block *block = mirror_find(self, text_of(block_id));
    if (!block || !block->present)
        return -ENOENT;
    if (self->stage != STAGE_FOLLOWING || block->phase != MIRROR_WHOLE || block->sampling)
        return 0;
    block->wants_sample = true;
    mirror_settle(self, block);
    mirror_link_wake_at(&self->link, 0);
    return 0;
}

void proctrack_mirror_counts(const struct proctrack_mirror *self, struct proctrack_counts *ret,
                             size_t size)
{
    memset(ret, 0, size);
    memcpy(ret, &self->teller.counts, size < sizeof *ret ? size : sizeof *ret);
}

/* ---- look-ups ------------------------------------------------------------------------------- */

const struct proctrack_block *proctrack_mirror_next(const struct proctrack_mirror *self,
                                                    const struct proctrack_block *after)
{
    bool there = false;
    size_t place = after ? place_of(self, text_of(after->block_id), &there) : 0;
    for (place += there; place < self->n_blocks; place++)
        if (self->blocks[place]->present)
            return &self->blocks[place]->shown;
    return NULL;
}

const struct proctrack_block *proctrack_mirror_block(const struct proctrack_mirror *self,
                                                     const char *block_id)
{
    const struct mirror_block *block = mirror_find(self, text_of(block_id));
    return block && block->present ? &block->shown : NULL;
}

const struct proctrack_process *proctrack_block_next(const struct proctrack_block *block,
                                                     const struct proctrack_process *after)
{
    const struct member_list *list = &((const struct mirror_block *)block)->members.list;
    const struct member *next =
        after ? TAILQ_NEXT((const struct member *)after, link) : TAILQ_FIRST(list);
    return next ? &next->shown : NULL;
}

const struct proctrack_process *proctrack_block_find(const struct proctrack_block *block,
                                                     uint32_t pid)
{
    const struct member *member =
        members_find(&((const struct mirror_block *)block)->members, pid, 0);
    return member ? &member->shown : NULL;
}

void proctrack_process_set_user(const struct proctrack_process *process, void *user)
{
    ((struct member *)process)->shown.user = user;
}

void proctrack_block_set_user(const struct proctrack_block *block, void *user)
{
    ((struct mirror_block *)block)->shown.user = user;
}
