/* SPDX-License-Identifier: Apache-2.0 */

/* When events may be applied, when they are kept, and when a list is needed. */

#include "client/mirror_block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/mirror_change.h"

struct kept_event {
    STAILQ_ENTRY(kept_event) link;
    size_t size;
    char bytes[];
};

/* ---- epochs --------------------------------------------------------------------------------- */

static bool epoch_is(const struct mirror_epoch *epoch, struct text name)
{
    return text_is(name, epoch->name);
}

static bool epoch_is_set(const struct mirror_epoch *epoch)
{
    return epoch->name[0] != '\0';
}

static bool epoch_valid(struct text name)
{
    return name.size > 0 && name.size <= EPOCH_MAX && !memchr(name.at, '\0', name.size);
}

static struct mirror_epoch epoch_of(struct text name)
{
    struct mirror_epoch epoch = {""};
    text_copy(epoch.name, name);
    return epoch;
}

static bool is_among(const struct mirror_epoch *epochs, struct text name)
{
    for (size_t i = 0; i < MIRROR_EPOCHS; i++)
        if (epoch_is_set(&epochs[i]) && epoch_is(&epochs[i], name))
            return true;
    return false;
}

/* Remembers an epoch; the one that was remembered first makes room for it. */
static void remember(struct mirror_epoch *epochs, unsigned *n, const struct mirror_epoch *epoch)
{
    if (epoch_is_set(epoch) && !is_among(epochs, text_of(epoch->name)))
        epochs[(*n)++ % MIRROR_EPOCHS] = *epoch;
}

/* Another epoch begins, or none. What the broker names is not over, whatever was thought of it. */
static void begin(struct mirror_block *block, struct text epoch, uint64_t seq)
{
    if (epoch.size == 0)
        block->by_event = false;
    if (!epoch_is(&block->epoch, epoch))
        remember(block->past, &block->n_past, &block->epoch);
    for (size_t i = 0; i < MIRROR_EPOCHS; i++)
        if (epoch_is(&block->past[i], epoch))
            block->past[i] = (struct mirror_epoch){""};
    block->epoch = epoch_of(epoch);
    block->shown.seq = seq;
}

/* ---- its life ------------------------------------------------------------------------------- */

struct mirror_block *mirror_block_new(struct mirror_teller *teller, struct text id, int64_t now_ms)
{
    struct mirror_block *block = calloc(1, sizeof *block);
    if (!block)
        return NULL;
    block->teller = teller;
    teller->n_unsettled++;
    block->due_ms = now_ms;
    block->asked_ms = now_ms - MIRROR_BACKOFF_MAX_MS;
    members_init(&block->members);
    STAILQ_INIT(&block->kept);
    struct proctrack_block *shown = &block->shown;
    shown->block_id = strndup(id.at, id.size);
    shown->confidence = strdup("");
    shown->confidence_reason = strdup("");
    shown->tracker = strdup("");
    shown->feed = strdup("");
    shown->epoch = block->epoch.name;
    if (!shown->block_id || !shown->confidence || !shown->confidence_reason || !shown->tracker ||
        !shown->feed) {
        mirror_block_free(block);
        return NULL;
    }
    return block;
}

static void drop_kept(struct mirror_block *block)
{
    for (struct kept_event *event; (event = STAILQ_FIRST(&block->kept));) {
        STAILQ_REMOVE_HEAD(&block->kept, link);
        block->teller->kept_bytes -= event->size;
        free(event);
    }
}

void mirror_block_free(struct mirror_block *block)
{
    struct proctrack_block *shown = &block->shown;
    block->teller->n_unsettled -= block->phase != MIRROR_WHOLE;
    drop_kept(block);
    members_clear(&block->members);
    free(block->tree);
    free((char *)shown->block_id);
    free((char *)shown->confidence);
    free((char *)shown->confidence_reason);
    free((char *)shown->tracker);
    free((char *)shown->feed);
    free(block);
}

/* ---- reading an event ----------------------------------------------------------------------- */

static int read_point(struct mirror_event *ret, const struct event_doc *doc)
{
    ret->data = wire_get(&doc->doc.root, "data");
    if (!ret->data || block_point_read(&ret->at, ret->data, NULL) < 0 ||
        !epoch_valid(ret->at.epoch))
        return -EINVAL;
    return 0;
}

int mirror_event_open(struct mirror_event *ret, struct event_doc *doc, struct text topic,
                      struct text bytes)
{
    static const char ours[] = "agent:";
    char expected[TOPIC_MAX + 1];
    int result = event_open(doc, bytes.at, bytes.size, "", NULL);
    if (result < 0)
        return result == -ENOMEM ? result : -EINVAL;
    *ret = (struct mirror_event){.name = doc->event.event, .bytes = bytes};
    if (ret->name.size > strlen(ours) && memcmp(ret->name.at, ours, strlen(ours)) == 0)
        result = read_point(ret, doc);
    else
        ret->data = NULL;
    if (result == 0 && ret->data) {
        size_t size = topic_of_block(expected, ret->at.block_id);
        result = text_equal(topic, (struct text){expected, size});
    }
    if (result <= 0)
        event_close(doc);
    return result;
}

/* ---- wanting a list ------------------------------------------------------------------------- */

static void set_due(struct mirror_block *block, int64_t now_ms)
{
    int64_t wait_ms = 0;
    if (now_ms - block->asked_ms >= MIRROR_BACKOFF_MAX_MS)
        block->tries = 0;
    if (block->tries > 0)
        wait_ms = MIRROR_BACKOFF_MS << (block->tries < 8 ? block->tries - 1 : 7);
    if (wait_ms > MIRROR_BACKOFF_MAX_MS)
        wait_ms = MIRROR_BACKOFF_MAX_MS;
    block->due_ms = now_ms + wait_ms;
    block->tries++;
}

void mirror_block_want_list(struct mirror_block *block, int64_t now_ms)
{
    if (block->phase != MIRROR_WHOLE)
        return;
    block->phase = MIRROR_WANTS_LIST;
    block->teller->n_unsettled++;
    set_due(block, now_ms);
    mirror_change_current(block, false);
}

static void settle(struct mirror_block *block)
{
    block->phase = MIRROR_WHOLE;
    block->teller->n_unsettled--;
}

void mirror_block_is_new(struct mirror_block *block)
{
    settle(block);
    block->shown.current = true;
}

void mirror_block_asked(struct mirror_block *block, int64_t now_ms)
{
    block->asked_ms = now_ms;
    block->phase = MIRROR_LISTING;
    block->overflowed = false;
}

static void see(struct mirror_block *block, struct text epoch)
{
    const struct mirror_epoch seen = epoch_of(epoch);
    remember(block->seen, &block->n_seen, &seen);
}

/* ---- events --------------------------------------------------------------------------------- */

static int apply(struct mirror_block *block, const struct mirror_event *event, int64_t now_ms)
{
    const struct block_point *at = &event->at;
    bool same = epoch_is(&block->epoch, at->epoch);
    bool is_mark = text_is(event->name, EVENT_BLOCK_MARK);
    bool first =
        !epoch_is_set(&block->epoch) && at->seq == 1 && text_is(event->name, EVENT_BLOCK_ADDED);
    if (same && at->seq <= block->shown.seq)
        return 0; /* known already, or a mark that agrees */
    if (is_mark || !(first || (same && at->seq - 1 == block->shown.seq))) {
        see(block, at->epoch);
        block->teller->counts.gaps++;
        mirror_block_want_list(block, now_ms);
        return 0;
    }
    begin(block, at->epoch, at->seq);
    block->by_event |= first;
    int result = mirror_change_by_event(block, event);
    if (result < 0)
        mirror_block_want_list(block, now_ms);
    else if (!block->present)
        begin(block, text_of(""), 0); /* that was block-removed */
    return result;
}

/* Keeps an event for when the list is there. */
static void keep(struct mirror_block *block, const struct mirror_event *event)
{
    struct mirror_teller *teller = block->teller;
    size_t size = sizeof(struct kept_event) + event->bytes.size;
    struct kept_event *kept = NULL;
    if (!block->overflowed && teller->kept_bytes + size <= teller->kept_max)
        kept = malloc(size);
    if (!kept) {
        teller->counts.overflows += !block->overflowed;
        block->overflowed = true;
        return; /* not seen: it may be newer than the list that is under way */
    }
    kept->size = size;
    text_copy(kept->bytes, event->bytes);
    teller->kept_bytes += size;
    STAILQ_INSERT_TAIL(&block->kept, kept, link);
}

/* One of an epoch that is over. */
static void take_late(struct mirror_block *block, int64_t now_ms)
{
    if (block->phase != MIRROR_WHOLE || !block->by_event)
        return;
    block->teller->counts.gaps++;
    mirror_block_want_list(block, now_ms);
}

/* Where junk took an event's place, the next one shows the gap. */
int mirror_block_event(struct mirror_block *block, const struct mirror_event *event, int64_t now_ms)
{
    block->teller->counts.events++;
    if (is_among(block->past, event->at.epoch) && block->phase != MIRROR_LISTING) {
        take_late(block, now_ms);
        return 0;
    }
    switch (block->phase) {
    case MIRROR_WANTS_LIST:
        see(block, event->at.epoch);
        return 0;
    case MIRROR_LISTING:
        keep(block, event);
        return 0;
    case MIRROR_WHOLE:
        break;
    }
    return apply(block, event, now_ms);
}

/* Calls `use` with each event that was kept, oldest first, and forgets it. */
static void each_kept(struct mirror_block *block, int64_t now_ms,
                      void (*use)(struct mirror_block *block, const struct mirror_event *event,
                                  int64_t now_ms))
{
    char topic[TOPIC_MAX + 1];
    size_t size = topic_of_block(topic, text_of(block->shown.block_id));
    for (struct kept_event *kept; (kept = STAILQ_FIRST(&block->kept));) {
        struct event_doc doc;
        struct mirror_event event;
        STAILQ_REMOVE_HEAD(&block->kept, link);
        block->teller->kept_bytes -= kept->size;
        const struct text bytes = {kept->bytes, kept->size - sizeof *kept};
        if (mirror_event_open(&event, &doc, (struct text){topic, size}, bytes) == 1) {
            use(block, &event, now_ms);
            event_close(&doc);
        }
        free(kept);
    }
}

static void catch_up(struct mirror_block *block, const struct mirror_event *event, int64_t now_ms)
{
    if (is_among(block->past, event->at.epoch))
        take_late(block, now_ms);
    else if (block->phase == MIRROR_WHOLE)
        apply(block, event, now_ms);
    else
        see(block, event->at.epoch);
}

static void see_kept(struct mirror_block *block, const struct mirror_event *event, int64_t now_ms)
{
    (void)now_ms;
    see(block, event->at.epoch);
}

void mirror_block_unanswered(struct mirror_block *block, int64_t now_ms)
{
    if (block->phase != MIRROR_LISTING)
        return;
    each_kept(block, now_ms, see_kept);
    block->phase = MIRROR_WANTS_LIST;
    set_due(block, now_ms);
}

/* ---- the list ------------------------------------------------------------------------------- */

/* The epochs that were seen before the list was asked for are over, but for its own. */
static void close_epochs(struct mirror_block *block, struct text epoch)
{
    for (size_t i = 0; i < MIRROR_EPOCHS; i++)
        if (!epoch_is(&block->seen[i], epoch))
            remember(block->past, &block->n_past, &block->seen[i]);
    memset(block->seen, 0, sizeof block->seen);
    block->n_seen = 0;
}

static int take_list(struct mirror_block *block, const struct list_reply *list)
{
    block->by_event = false;
    if (!list->head.tracked) {
        begin(block, text_of(""), 0);
        mirror_change_remove(block, PROCTRACK_GONE_MISSED, text_of(""));
        return 0;
    }
    begin(block, list->head.version.epoch, list->head.version.seq);
    return mirror_change_by_list(block, list);
}

int mirror_block_list(struct mirror_block *block, const struct list_reply *list, int64_t now_ms)
{
    const struct list_reply_head *head = &list->head;
    if (head->tracked && (!epoch_valid(head->version.epoch) || head->version.seq == 0)) {
        mirror_block_unanswered(block, now_ms);
        return -EPROTO;
    }
    block->teller->counts.lists++;
    bool overflowed = block->overflowed;
    close_epochs(block, head->tracked ? head->version.epoch : text_of(""));
    int result = take_list(block, list);
    if (result < 0) {
        mirror_block_unanswered(block, now_ms);
        return result;
    }
    settle(block);
    each_kept(block, now_ms, catch_up);
    if (overflowed)
        mirror_block_want_list(block, now_ms);
    if (block->phase == MIRROR_WHOLE)
        mirror_change_current(block, true);
    return 0;
}
