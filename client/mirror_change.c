/* SPDX-License-Identifier: Apache-2.0 */

/* Each change of the picture and its call, in one place. */

#include "client/mirror_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"

/* ---- calls ---------------------------------------------------------------------------------- */

/* Counts a call, and says whether it is to be made. */
static bool to_be_told(struct mirror_teller *teller, bool wanted)
{
    if (teller->closed)
        return false;
    teller->n_calls++;
    return wanted;
}

static void tell_added(struct mirror_block *block, const struct member *member)
{
    struct mirror_teller *teller = block->teller;
    if (to_be_told(teller, teller->calls.added))
        teller->calls.added(teller->mirror, &block->shown, &member->shown, teller->arg);
}

static void tell_changed(struct mirror_block *block, const struct member *member, unsigned changes)
{
    struct mirror_teller *teller = block->teller;
    if (changes && to_be_told(teller, teller->calls.changed))
        teller->calls.changed(teller->mirror, &block->shown, &member->shown, changes, teller->arg);
}

static void tell_gone(struct mirror_block *block, const struct member *member,
                      const struct proctrack_gone *how)
{
    struct mirror_teller *teller = block->teller;
    if (to_be_told(teller, teller->calls.gone))
        teller->calls.gone(teller->mirror, &block->shown, &member->shown, how, teller->arg);
}

static void tell_block_added(struct mirror_block *block)
{
    struct mirror_teller *teller = block->teller;
    if (to_be_told(teller, teller->calls.block_added))
        teller->calls.block_added(teller->mirror, &block->shown, teller->arg);
}

static void tell_block_changed(struct mirror_block *block)
{
    struct mirror_teller *teller = block->teller;
    if (to_be_told(teller, teller->calls.block_changed))
        teller->calls.block_changed(teller->mirror, &block->shown, teller->arg);
}

static void tell_block_removed(struct mirror_block *block, const char *reason)
{
    struct mirror_teller *teller = block->teller;
    if (to_be_told(teller, teller->calls.block_removed))
        teller->calls.block_removed(teller->mirror, &block->shown, reason, teller->arg);
}

/* ---- members -------------------------------------------------------------------------------- */

static int put(struct mirror_block *block, const struct process_record *record, unsigned changes)
{
    struct member *member = members_find(&block->members, record->pid, record->started_at_ms);
    if (!member) {
        int result = members_add(&block->members, record, &member);
        if (result < 0)
            return result;
        block->shown.n_processes = block->members.n;
        tell_added(block, member);
        return 0;
    }
    int updated = member_update(member, record);
    if (updated < 0)
        return updated;
    tell_changed(block, member, changes | (unsigned)updated);
    return 0;
}

static void take_away(struct mirror_block *block, struct member *member,
                      const struct proctrack_gone *how)
{
    members_remove(&block->members, member);
    block->shown.n_processes = block->members.n;
    tell_gone(block, member, how);
    member_free(member);
}

#define NOT_TOLD .exit_code = -1, .reason = "", .where = ""

/* ---- the block itself ----------------------------------------------------------------------- */

/* 1: it says something else now; 0: the same; -ENOMEM. */
static int renew(const char **shown, struct text text)
{
    if (strlen(*shown) == text.size && memcmp(*shown, text.at ? text.at : "", text.size) == 0)
        return 0;
    char *copy = strndup(text.size ? text.at : "", text.size);
    if (!copy)
        return -ENOMEM;
    free((char *)*shown);
    *shown = copy;
    return 1;
}

/* Several values of one block: 1 where any is new. Null texts are not known, and stay. */
static int renew_all(struct proctrack_block *shown, const struct block_state *state)
{
    const struct {
        const char **shown;
        struct text text;
    } values[] = {
        {&shown->confidence, state->confidence},
        {&shown->confidence_reason, state->confidence_reason},
        {&shown->tracker, state->tracker},
        {&shown->feed, state->feed},
    };
    int changed = 0;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        int result = values[i].text.at ? renew(values[i].shown, values[i].text) : 0;
        if (result < 0)
            return result;
        changed |= result;
    }
    return changed;
}

/* It is there, and so on; tells it where that is new. */
static int block_is(struct mirror_block *block, const struct block_state *state, bool always)
{
    int changed = renew_all(&block->shown, state);
    if (changed < 0)
        return changed;
    if (!block->present) {
        block->present = true;
        tell_block_added(block);
    } else if (changed || always) {
        tell_block_changed(block);
    }
    return 0;
}

void mirror_change_remove(struct mirror_block *block, enum proctrack_gone_how how,
                          struct text reason)
{
    const struct proctrack_gone gone = {.how = how, NOT_TOLD};
    char word[32];
    for (struct member *member; (member = TAILQ_FIRST(&block->members.list));)
        take_away(block, member, &gone);
    if (!block->present)
        return;
    block->present = false;
    snprintf(word, sizeof word, "%.*s", (int)reason.size, reason.size ? reason.at : "");
    tell_block_removed(block, word);
    block->shown.user = NULL;
}

void mirror_change_current(struct mirror_block *block, bool current)
{
    if (block->shown.current == current)
        return;
    block->shown.current = current;
    if (block->present)
        tell_block_changed(block);
}

/* ---- by an event ---------------------------------------------------------------------------- */

static int by_record(struct mirror_block *block, const struct mirror_event *event, unsigned changes)
{
    struct process_event what;
    int result = process_event_read(&what, event->data, NULL);
    return result < 0 ? result : put(block, &what.process, changes);
}

static int by_added(struct mirror_block *block, const struct mirror_event *event)
{
    return by_record(block, event, 0);
}

static int by_exec(struct mirror_block *block, const struct mirror_event *event)
{
    return by_record(block, event, PROCTRACK_CHANGED_EXEC);
}

static int by_exit(struct mirror_block *block, const struct mirror_event *event)
{
    struct process_exit what;
    int result = process_exit_read(&what, event->data, NULL);
    if (result < 0)
        return result;
    struct proctrack_gone gone = {.how = PROCTRACK_GONE_EXITED,
                                  NOT_TOLD,
                                  .runtime_ms = what.runtime_ms,
                                  .cpu_ms = what.cpu_ms,
                                  .max_rss_bytes = what.max_rss_bytes};
    if (what.has_status && WIFEXITED(what.status))
        gone.exit_code = WEXITSTATUS(what.status);
    if (what.has_status && WIFSIGNALED(what.status)) {
        gone.signal = WTERMSIG(what.status);
        gone.core_dumped = WCOREDUMP(what.status);
    }
    struct member *member = members_find(&block->members, what.pid, what.started_at_ms);
    if (member)
        take_away(block, member, &gone);
    return 0;
}

static int by_escape(struct mirror_block *block, const struct mirror_event *event)
{
    struct process_escape what;
    int result = process_escape_read(&what, event->data, NULL);
    if (result < 0)
        return result;
    struct member *member = members_find(&block->members, what.pid, what.started_at_ms);
    if (!member)
        return 0;
    char reason[32];
    snprintf(reason, sizeof reason, "%.*s", (int)what.reason.size, what.reason.at);
    _cleanup_free_ char *where = strndup(what.where.size ? what.where.at : "", what.where.size);
    if (!where)
        return -ENOMEM;
    const struct proctrack_gone gone = {
        .how = PROCTRACK_GONE_ESCAPED, .exit_code = -1, .reason = reason, .where = where};
    take_away(block, member, &gone);
    return 0;
}

static int by_state(struct mirror_block *block, const struct mirror_event *event)
{
    struct block_state what;
    int result = block_state_read(&what, event->data, NULL);
    return result < 0 ? result : block_is(block, &what, true);
}

static int by_removal(struct mirror_block *block, const struct mirror_event *event)
{
    struct block_removed what;
    int result = block_removed_read(&what, event->data, NULL);
    if (result == 0)
        mirror_change_remove(block, PROCTRACK_GONE_UNTRACKED, what.reason);
    return result;
}

int mirror_change_by_event(struct mirror_block *block, const struct mirror_event *event)
{
    static const struct {
        const char *name;
        int (*apply)(struct mirror_block *block, const struct mirror_event *event);
    } events[] = {
        {EVENT_PROCESS_ADDED, by_added},    {EVENT_PROCESS_EXEC, by_exec},
        {EVENT_PROCESS_CHANGED, by_added},  {EVENT_PROCESS_EXITED, by_exit},
        {EVENT_PROCESS_ESCAPED, by_escape}, {EVENT_BLOCK_ADDED, by_state},
        {EVENT_BLOCK_CHANGED, by_state},    {EVENT_BLOCK_REMOVED, by_removal},
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (text_is(event->name, events[i].name))
            return events[i].apply(block, event);
    return 0; /* a resync, whose difference follows; or of a later version: it is counted */
}

/* ---- by a list ------------------------------------------------------------------------------ */

/* Marks whoever is in the list; the others are gone. Exits are told before births, as a pid that
 * came again would have it. */
static void sweep(struct mirror_block *block, const struct list_reply *list)
{
    const struct proctrack_gone missed = {.how = PROCTRACK_GONE_MISSED, NOT_TOLD};
    struct member *member, *next;
    TAILQ_FOREACH (member, &block->members.list, link)
        member->listed = false;
    for (size_t i = 0; i < list->head.n_processes; i++) {
        const struct process_record *record = &list->processes[i];
        member = members_find(&block->members, record->pid, record->started_at_ms);
        if (member)
            member->listed = true;
    }
    for (member = TAILQ_FIRST(&block->members.list); member; member = next) {
        next = TAILQ_NEXT(member, link);
        if (!member->listed)
            take_away(block, member, &missed);
    }
}

int mirror_change_by_list(struct mirror_block *block, const struct list_reply *list)
{
    const struct confidence_view *view = &list->head.confidence;
    const struct block_state state = {.confidence = view->confidence,
                                      .confidence_reason = view->confidence_reason};
    int result = block_is(block, &state, false);
    if (result < 0)
        return result;
    sweep(block, list);
    for (size_t i = 0; i < list->head.n_processes && result == 0; i++)
        result = put(block, &list->processes[i], 0);
    return result;
}

int mirror_block_sample(struct mirror_block *block, const struct list_reply *list, int64_t now_ms)
{
    int result = 0;
    block->sampling = false;
    for (size_t i = 0; i < list->head.n_processes; i++) {
        const struct process_record *record = &list->processes[i];
        struct member *member = members_find(&block->members, record->pid, record->started_at_ms);
        if (!member)
            continue;
        result = member_sample(member, record, &list->maps[i], (uint64_t)now_ms);
        if (result < 0)
            return result;
        tell_changed(block, member, PROCTRACK_CHANGED_DETAIL);
    }
    return 0;
}
