/* SPDX-License-Identifier: Apache-2.0 */

/* The commands of the control socket as functions. */

#include "client/blocks.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "client/answer.h"
#include "client/detail.h"
#include "schemas/control_reply.h"

/* ---- asking --------------------------------------------------------------------------------- */

/* What one command is about, begun with its defaults. */
#define REQUEST(name, id)                                                                          \
    {                                                                                              \
        CONTROL_REQUEST_DEFAULTS, .command = (name), .block_id = text_of(id)                       \
    }

/* Asks, and makes an answer with room for `size` bytes. `takes_ms`: what the command itself may
 * take. */
static int ask(struct answer **ret, struct proctrack *self, const struct control_request *request,
               uint64_t takes_ms, size_t size, struct proctrack_error *error)
{
    struct wire_out data;
    wire_out_init(&data);
    control_request_pack(&data, request);
    const struct control_question question = {
        .command = control_command_name(request->command),
        .data = {data.bytes.data, data.bytes.size},
        .may_repeat = control_client_may_repeat(request->command),
        .timeout_ms = connection_timeout(takes_ms + self->timeout_ms),
    };
    int result = wire_out_failed(&data) ? answer_no_memory(error)
                                        : answer_ask(ret, self, false, &question, size, error);
    wire_out_destroy(&data);
    return result;
}

/* What was made of an answer goes to the user, or nowhere. */
static int finish(struct answer *answer, int result, const struct wps_error *why, void *ret,
                  struct proctrack_error *error)
{
    const void *shown = answer_shown(answer);
    if (result == -EINVAL) /* the reply is not as the protocol says */
        result = -EPROTO;
    if (result < 0)
        connection_fail(error, result, why);
    if (result < 0 || !ret)
        proctrack_free(shown);
    else
        memcpy(ret, &shown, sizeof shown);
    return result;
}

/* Makes of an answer what its user reads. -EINVAL with a sentence: it is not as it should be. */
typedef int show_function(struct answer *answer, struct wps_error *error);

static int ask_and_show(struct proctrack *self, const struct control_request *request,
                        uint64_t takes_ms, size_t size, show_function *show, void *ret,
                        struct proctrack_error *error)
{
    struct wps_error why = {""};
    struct answer *answer;
    int result = ask(&answer, self, request, takes_ms, size, error);
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): errors are negative
    return result < 0 ? result : finish(answer, show(answer, &why), &why, ret, error);
}

static int no_memory(struct wps_error *error)
{
    return wps_error_system(error, -ENOMEM, "cannot read an answer");
}

/* Every string of an answer ends in NUL. */
static const char *string(struct text text)
{
    return text.at ? text.at : "";
}

/* An array of pointers to `n` zeroed structs of `size` bytes; null: no memory. */
static void *make_array(struct answer *answer, size_t n, size_t size)
{
    char **pointers = answer_memory(answer, n * sizeof *pointers);
    char *items = answer_memory(answer, n * size);
    if (!pointers || !items)
        return NULL;
    for (size_t i = 0; i < n; i++)
        pointers[i] = items + i * size;
    return pointers;
}

/* ---- what there is -------------------------------------------------------------------------- */

static int show_described(struct answer *answer, struct wps_error *error)
{
    struct proctrack_described *shown = answer_shown(answer);
    struct describe_view view;
    int result = describe_reply_read(&view, answer->of.reply.data, error);
    if (result < 0)
        return result;
    free(view.limits);
    struct proctrack_attempt *tried = answer_memory(answer, view.n_tried * sizeof *tried);
    for (size_t i = 0; tried && i < view.n_tried; i++)
        tried[i] = (struct proctrack_attempt){string(view.tried[i].what), string(view.tried[i].why),
                                              view.tried[i].ok};
    free(view.tried);
    *shown = (struct proctrack_described){
        .protocol = view.protocol,
        .name = string(view.name),
        .version = string(view.version),
        .tracker = string(view.tracker),
        .feed = string(view.feed),
        .confidence = string(view.confidence.confidence),
        .confidence_reason = string(view.confidence.confidence_reason),
        .tried = tried,
        .n_tried = view.n_tried,
    };
    return tried ? 0 : no_memory(error);
}

int proctrack_describe(struct proctrack *self, struct proctrack_described **ret,
                       struct proctrack_error *error)
{
    const struct control_request request = REQUEST(CONTROL_DESCRIBE, NULL);
    return ask_and_show(self, &request, 0, sizeof **ret, show_described, ret, error);
}

static int show_blocks(struct answer *answer, struct wps_error *error)
{
    struct proctrack_blocks *shown = answer_shown(answer);
    struct block_summary *blocks;
    int result = list_all_reply_read(&blocks, &shown->n_blocks, answer->of.reply.data, error);
    if (result < 0)
        return result;
    struct proctrack_summary **to = make_array(answer, shown->n_blocks, sizeof **to);
    for (size_t i = 0; to && i < shown->n_blocks; i++)
        *to[i] = (struct proctrack_summary){
            .block_id = string(blocks[i].block_id),
            .confidence = string(blocks[i].confidence),
            .epoch = string(blocks[i].version.epoch),
            .seq = blocks[i].version.seq,
            .created_at_ms = blocks[i].created_at_ms,
            .n_processes = blocks[i].processes,
            .has_use = blocks[i].has_use,
            .rss_bytes = blocks[i].rss_bytes,
            .cpu_ms = blocks[i].cpu_ms,
        };
    free(blocks);
    shown->blocks = (const struct proctrack_summary *const *)to;
    return to ? 0 : no_memory(error);
}

int proctrack_list_blocks(struct proctrack *self, bool use, struct proctrack_blocks **ret,
                          struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_LIST_ALL_BLOCKS, NULL);
    request.detail = use;
    return ask_and_show(self, &request, 0, sizeof **ret, show_blocks, ret, error);
}

static void show_process(struct proctrack_process *shown, const struct process_record *record)
{
    *shown = (struct proctrack_process){
        .pid = record->pid,
        .parent_pid = record->parent_pid,
        .started_at_ms = record->started_at_ms,
        .rss_bytes = record->rss_bytes,
        .command = string(record->command),
        .scope = string(record->scope),
        .command_truncated = record->command_truncated,
        .root = record->root,
        .started = record->started,
    };
}

static int show_detail(struct answer *answer, struct proctrack_process *shown,
                       const msgpack_object *map)
{
    struct proctrack_detail *detail;
    int result = detail_read(&detail, map, (uint64_t)monotonic_ms());
    if (result == 0)
        result = answer_keep(answer, detail);
    if (result == 0)
        shown->detail = detail;
    return result;
}

static int show_processes(struct answer *answer, const struct list_reply *reply, bool detail)
{
    size_t n = reply->head.n_processes;
    struct proctrack_process **to = make_array(answer, n, sizeof **to);
    int result = to ? 0 : -ENOMEM;
    for (size_t i = 0; i < n && result == 0; i++) {
        show_process(to[i], &reply->processes[i]);
        if (detail)
            result = show_detail(answer, to[i], &reply->maps[i]);
    }
    struct proctrack_listed *shown = answer_shown(answer);
    shown->processes = (const struct proctrack_process *const *)to;
    shown->n_processes = n;
    return result;
}

static int show_listed(struct answer *answer, bool detail, struct wps_error *error)
{
    struct proctrack_listed *shown = answer_shown(answer);
    struct list_reply reply;
    int result = list_reply_read(&reply, answer->of.reply.data, error);
    if (result < 0)
        return result;
    shown->tracked = reply.head.tracked;
    shown->confidence = string(reply.head.confidence.confidence);
    shown->confidence_reason = string(reply.head.confidence.confidence_reason);
    shown->epoch = string(reply.head.version.epoch);
    shown->seq = reply.head.version.seq;
    result = show_processes(answer, &reply, detail);
    free(reply.processes);
    return result < 0 ? wps_error_system(error, result, "cannot read a list") : 0;
}

static int show_list(struct answer *answer, struct wps_error *error)
{
    return show_listed(answer, false, error);
}

static int show_list_with_detail(struct answer *answer, struct wps_error *error)
{
    return show_listed(answer, true, error);
}

int proctrack_list(struct proctrack *self, const char *block_id,
                   const struct proctrack_list_options *options, struct proctrack_listed **ret,
                   struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_LIST_BLOCK, block_id);
    struct proctrack_list_options ours;
    connection_copy_options(&ours, sizeof ours, options);
    request.scope = text_of(ours.scope);
    request.only_started = ours.only_started;
    request.detail = ours.detail;
    return ask_and_show(self, &request, 0, sizeof **ret,
                        ours.detail ? show_list_with_detail : show_list, ret, error);
}

/* ---- making, and putting processes in -------------------------------------------------------- */

static int show_ensured(struct answer *answer, struct wps_error *error)
{
    struct proctrack_ensured *shown = answer_shown(answer);
    struct ensure_reply reply;
    int result = ensure_reply_read(&reply, answer->of.reply.data, error);
    if (result < 0)
        return result;
    *shown = (struct proctrack_ensured){
        .created = reply.created,
        .confidence = string(reply.confidence.confidence),
        .confidence_reason = string(reply.confidence.confidence_reason),
        .tracker = string(reply.tracker),
        .feed = string(reply.feed),
        .procs_path = reply.procs_path.size ? reply.procs_path.at : NULL,
        .epoch = string(reply.version.epoch),
        .seq = reply.version.seq,
    };
    return 0;
}

int proctrack_ensure(struct proctrack *self, const char *block_id,
                     const struct proctrack_ensure_options *options, struct proctrack_ensured **ret,
                     struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_ENSURE_TRACKER, block_id);
    struct proctrack_ensure_options ours;
    connection_copy_options(&ours, sizeof ours, options);
    request.scope = text_of(ours.scope);
    request.has_on_exit = request.keep_on_exit = ours.keep_on_exit;
    request.has_on_crash = request.kill_on_crash = ours.kill_on_crash;
    return ask_and_show(self, &request, 0, sizeof **ret, show_ensured, ret, error);
}

int proctrack_assign(struct proctrack *self, const char *block_id,
                     const struct proctrack_assign_options *options, uint64_t *ret_assigned,
                     struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_ASSIGN_PROCESS, block_id);
    struct proctrack_assign_options ours;
    struct block_version version;
    struct wps_error why = {""};
    struct answer *answer;
    uint64_t assigned = 0;
    connection_copy_options(&ours, sizeof ours, options);
    request.pid = ours.pid;
    request.started_at_ms = ours.started_at_ms;
    request.scope = text_of(ours.scope);
    request.root = !ours.not_root;
    int result = ask(&answer, self, &request, 0, 0, error);
    if (result < 0)
        return result;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): errors are negative
    result = assign_reply_read(&version, &assigned, answer->of.reply.data, &why);
    if (result == 0 && ret_assigned)
        *ret_assigned = assigned;
    return finish(answer, result, &why, NULL, error);
}

/* ---- signals -------------------------------------------------------------------------------- */

/* Asks what is answered by yes or no. 1, 0. */
static int ask_ok(struct proctrack *self, const struct control_request *request,
                  struct proctrack_error *error)
{
    struct block_version version;
    struct wps_error why = {""};
    struct answer *answer;
    bool ok;
    int result = ask(&answer, self, request, 0, 0, error);
    if (result < 0)
        return result;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): errors are negative
    result = ok_reply_read(&version, &ok, answer->of.reply.data, &why);
    result = finish(answer, result, &why, NULL, error);
    return result < 0 ? result : ok;
}

int proctrack_kill(struct proctrack *self, const char *block_id, const char *scope,
                   struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_KILL_TREE, block_id);
    request.scope = text_of(scope);
    return ask_ok(self, &request, error);
}

int proctrack_kill_pid(struct proctrack *self, const char *block_id, uint32_t pid,
                       uint64_t started_at_ms, struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_KILL_PID, block_id);
    request.pid = pid;
    request.started_at_ms = started_at_ms;
    return ask_ok(self, &request, error);
}

static int freeze_or_thaw(struct proctrack *self, enum control_command command,
                          const char *block_id, const char *scope, struct proctrack_error *error)
{
    struct control_request request = REQUEST(command, block_id);
    request.scope = text_of(scope);
    int result = ask_ok(self, &request, error);
    return result < 0 ? result : 0;
}

int proctrack_freeze(struct proctrack *self, const char *block_id, const char *scope,
                     struct proctrack_error *error)
{
    return freeze_or_thaw(self, CONTROL_FREEZE, block_id, scope, error);
}

int proctrack_thaw(struct proctrack *self, const char *block_id, const char *scope,
                   struct proctrack_error *error)
{
    return freeze_or_thaw(self, CONTROL_THAW, block_id, scope, error);
}

/* Asks what is answered by pids, under that key. */
static int ask_pids(struct proctrack *self, const struct control_request *request, const char *key,
                    struct proctrack_pids **ret, struct proctrack_error *error)
{
    struct block_version version;
    struct wps_error why = {""};
    struct answer *answer;
    uint32_t *pids = NULL;
    size_t n = 0;
    int result = ask(&answer, self, request, 0, sizeof **ret, error);
    if (result < 0)
        return result;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): errors are negative
    result = pids_reply_read(&version, &pids, &n, key, answer->of.reply.data, &why);
    if (result == 0 && answer_keep(answer, pids) < 0)
        result = no_memory(&why);
    struct proctrack_pids *shown = answer_shown(answer);
    *shown = (struct proctrack_pids){pids, n};
    return finish(answer, result, &why, ret, error);
}

int proctrack_kill_started(struct proctrack *self, const char *block_id, uint32_t pid,
                           struct proctrack_pids **ret, struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_KILL_STARTED, block_id);
    request.pid = pid;
    return ask_pids(self, &request, "killed", ret, error);
}

int proctrack_signal(struct proctrack *self, const char *block_id, const char *scope, int signal,
                     struct proctrack_pids **ret, struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_SIGNAL_TREE, block_id);
    request.scope = text_of(scope);
    request.signal = (uint64_t)signal;
    return ask_pids(self, &request, "signalled", ret, error);
}

/* ---- ends ----------------------------------------------------------------------------------- */

/* Takes over the survivors of a reply: null where there is no memory. */
static const struct proctrack_survivor *const *show_survivors(struct answer *answer,
                                                              struct survivor *survivors, size_t n)
{
    struct proctrack_survivor **to = make_array(answer, n, sizeof **to);
    for (size_t i = 0; to && i < n; i++)
        *to[i] = (struct proctrack_survivor){
            .pid = survivors[i].pid,
            .started_at_ms = survivors[i].started_at_ms,
            .command = string(survivors[i].command),
            .state = survivors[i].state,
            .escaped = survivors[i].escaped,
        };
    free(survivors);
    return (const struct proctrack_survivor *const *)to;
}

static int show_stopped(struct answer *answer, struct wps_error *error)
{
    struct proctrack_stopped *shown = answer_shown(answer);
    struct stop_reply reply;
    int result = stop_reply_read(&reply, answer->of.reply.data, error);
    if (result < 0)
        return result;
    *shown = (struct proctrack_stopped){
        .exited = reply.exited,
        .killed = reply.killed,
        .elapsed_ms = reply.elapsed_ms,
        .survivors = show_survivors(answer, reply.survivors, reply.n_survivors),
        .n_survivors = reply.n_survivors,
    };
    return shown->survivors ? 0 : no_memory(error);
}

int proctrack_stop(struct proctrack *self, const char *block_id,
                   const struct proctrack_stop_options *options, struct proctrack_stopped **ret,
                   struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_STOP_TREE, block_id);
    struct proctrack_stop_options ours;
    connection_copy_options(&ours, sizeof ours, options);
    request.scope = text_of(ours.scope);
    request.include_escaped = ours.include_escaped;
    if (ours.signal)
        request.signal = (uint64_t)ours.signal;
    if (ours.grace_ms)
        request.grace_ms = ours.grace_ms;
    if (ours.timeout_ms)
        request.timeout_ms = ours.timeout_ms;
    return ask_and_show(self, &request, request.timeout_ms, sizeof **ret, show_stopped, ret, error);
}

int proctrack_wait_empty(struct proctrack *self, const char *block_id, const char *scope,
                         uint32_t timeout_ms, uint64_t *ret_remaining,
                         struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_WAIT_EMPTY, block_id);
    struct block_version version;
    struct wps_error why = {""};
    struct answer *answer;
    bool empty = false;
    uint64_t remaining = 0;
    request.scope = text_of(scope);
    request.timeout_ms = timeout_ms;
    int result = ask(&answer, self, &request, timeout_ms, 0, error);
    if (result < 0)
        return result;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): errors are negative
    result = wait_reply_read(&version, &empty, &remaining, answer->of.reply.data, &why);
    if (result == 0 && ret_remaining)
        *ret_remaining = remaining;
    result = finish(answer, result, &why, NULL, error);
    return result < 0 ? result : empty;
}

static int show_removed(struct answer *answer, struct wps_error *error)
{
    struct proctrack_removed *shown = answer_shown(answer);
    struct remove_reply reply;
    int result = remove_reply_read(&reply, answer->of.reply.data, error);
    if (result < 0)
        return result;
    *shown = (struct proctrack_removed){
        .ok = reply.ok,
        .survivors = show_survivors(answer, reply.survivors, reply.n_survivors),
        .n_survivors = reply.n_survivors,
    };
    return shown->survivors ? 0 : no_memory(error);
}

int proctrack_remove(struct proctrack *self, const char *block_id,
                     const struct proctrack_remove_options *options, struct proctrack_removed **ret,
                     struct proctrack_error *error)
{
    struct control_request request = REQUEST(CONTROL_REMOVE, block_id);
    struct proctrack_remove_options ours;
    connection_copy_options(&ours, sizeof ours, options);
    request.include_escaped = ours.include_escaped;
    if (ours.timeout_ms)
        request.timeout_ms = ours.timeout_ms;
    return ask_and_show(self, &request, request.timeout_ms, sizeof **ret, show_removed, ret, error);
}
