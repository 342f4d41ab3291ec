/* SPDX-License-Identifier: Apache-2.0 */

/* One request for each of many blocks. */

#include "cli/act.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/json.h"
#include "cli/signals.h"

enum { TICK_MS = 250 };

/* ---- small things --------------------------------------------------------------------------- */

int act_worse(int a, int b)
{
    static const int order[] = {CLI_OK, CLI_NO, CLI_ABSENT, CLI_FAILED};
    int worst = CLI_OK;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (a == order[i] || b == order[i])
            worst = order[i];
    return worst;
}

int act_fail(const struct common *common, const char *sentence)
{
    const struct term term = term_of(STDERR_FILENO);
    fflush(stdout);
    fprintf(stderr, "%s: ", common->name);
    term_put(stderr, &term, text_of(sentence));
    fputc('\n', stderr);
    return CLI_FAILED;
}

int act_open_broker(struct broker *broker, const struct common *common)
{
    struct wps_error error;
    const msgpack_object *data;
    const struct control_request describe = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_DESCRIBE};
    if (broker_open(broker, &common->broker, &error) < 0)
        return act_fail(common, error.message);
    if (broker_ask(broker, &describe, &data, NULL, &error) == 0)
        return CLI_OK;
    broker_close(broker);
    return act_fail(common, error.message);
}

int act_take_scope(struct act *act, const char *value, struct wps_error *error)
{
    act->scope = value;
    return subscope_check(text_of(value), "--scope", error);
}

void act_free_blocks(struct act_blocks *blocks)
{
    for (size_t i = 0; i < blocks->n; i++)
        free(blocks->ids[i]);
    free(blocks->ids);
    *blocks = (struct act_blocks){0};
}

int act_list_blocks(struct act_blocks *ret, struct broker *broker, struct wps_error *error)
{
    const msgpack_object *data;
    _cleanup_free_ struct block_summary *summaries = NULL;
    const struct control_request request = {CONTROL_REQUEST_DEFAULTS,
                                            .command = CONTROL_LIST_ALL_BLOCKS};
    struct act_blocks blocks = {0};
    size_t n = 0;
    int result = broker_ask(broker, &request, &data, NULL, error);
    if (result == 0)
        result = list_all_reply_read(&summaries, &n, data, error);
    if (result < 0)
        return result;
    blocks.ids = calloc(n + 1, sizeof *blocks.ids);
    for (; blocks.ids && blocks.n < n; blocks.n++) {
        const struct text id = summaries[blocks.n].block_id;
        if (!(blocks.ids[blocks.n] = strndup(id.at, id.size)))
            break;
    }
    if (!blocks.ids || blocks.n < n) {
        act_free_blocks(&blocks);
        return wps_error_system(error, -ENOMEM, "listing the blocks");
    }
    *ret = blocks;
    return 0;
}

/* ---- the line that shows who is left -------------------------------------------------------- */

static void clear_line(struct act *act)
{
    if (act->line_shown)
        fputs("\r\033[K", stderr);
    act->line_shown = false;
}

/* How many processes those blocks have that no answer came for yet. */
static uint64_t left_in(const struct act *act, const struct block_summary *summaries, size_t n)
{
    uint64_t left = 0;
    for (size_t i = 0; i < act->n_blocks; i++)
        for (size_t k = 0; k < n && !act->done[i]; k++)
            if (text_is(summaries[k].block_id, act->blocks[i]))
                left += summaries[k].processes;
    return left;
}

static void show_progress(void *context, const msgpack_object *data)
{
    struct act *act = context;
    struct block_summary *summaries;
    const struct term term = term_of(STDERR_FILENO);
    char line[512];
    size_t n, waiting = 0;
    if (list_all_reply_read(&summaries, &n, data, NULL) < 0)
        return;
    uint64_t left = left_in(act, summaries, n);
    free(summaries);
    for (size_t i = 0; i < act->n_blocks; i++)
        waiting += !act->done[i];
    int used = act->n_blocks == 1 ? snprintf(line, sizeof line, "%s %s", act->doing, act->blocks[0])
                                  : snprintf(line, sizeof line, "%s: %zu of %zu blocks to go",
                                             act->doing, waiting, act->n_blocks);
    snprintf(line + used, sizeof line - (size_t)used, ": %" PRIu64 " process%s left, %" PRId64 " s",
             left, left == 1 ? "" : "es", (monotonic_ms() - act->started_ms) / 1000);
    fprintf(stderr, "\r%.*s\033[K", (int)term.width - 1, line); /* all ASCII */
    act->line_shown = true;
}

/* ---- answers -------------------------------------------------------------------------------- */

static enum errorcode code_of(struct text name)
{
    for (enum errorcode code = ERRORCODE_BAD_REQUEST; code < ERRORCODE_INTERNAL; code++)
        if (text_is(name, errorcode_name(code)))
            return code;
    return ERRORCODE_INTERNAL;
}

static int refused(struct act *act, const char *block, const struct reply *reply)
{
    char sentence[sizeof((struct wps_error *)0)->message + BLOCK_ID_MAX];
    enum errorcode code = code_of(reply->errorcode);
    snprintf(sentence, sizeof sentence, "%s: %.*s", block, (int)reply->error.size, reply->error.at);
    if (act->common.json) {
        json_t *line = json_of_block(block, NULL);
        json_object_set_new(line, "error", json_of_text(reply->error));
        json_object_set_new(line, "errorcode", json_of_text(reply->errorcode));
        json_line(line);
    }
    act_fail(&act->common, sentence);
    return code == ERRORCODE_NO_SUCH_BLOCK || code == ERRORCODE_NO_SUCH_PROCESS ? CLI_ABSENT
                                                                                : CLI_FAILED;
}

static void take(void *context, const struct answer *answer)
{
    struct act *act = context;
    const char *block = act->blocks[answer->number];
    int status;
    clear_line(act);
    act->done[answer->number] = true;
    if (!answer->reply->ok) {
        status = refused(act, block, answer->reply);
    } else {
        if (act->common.json)
            json_line(json_of_block(block, answer->reply->data));
        status = act->tell(act, block, answer->reply->data);
    }
    fflush(stdout);
    act->n_failed += status == CLI_FAILED || status == CLI_ABSENT;
    act->status = act_worse(act->status, status);
}

void act_tell_survivors(struct act *act, const char *block, const struct survivor *survivors,
                        size_t n)
{
    if (n == 0)
        return;
    printf("%s: %zu process%s left:\n", block, n, n == 1 ? " is" : "es are");
    for (size_t i = 0; i < n; i++) {
        printf("  %" PRIu32 " (state %c%s) ", survivors[i].pid,
               survivors[i].state ? survivors[i].state : '?',
               survivors[i].escaped ? ", escaped" : "");
        term_put(stdout, &act->out, survivors[i].command);
        putchar('\n');
    }
}

/* ---- all of them ---------------------------------------------------------------------------- */

static struct control_request *make_requests(const struct act *act)
{
    struct control_request *requests = calloc(act->n_blocks + 1, sizeof *requests);
    for (size_t i = 0; requests && i < act->n_blocks; i++) {
        requests[i] = act->request;
        requests[i].block_id = text_of(act->blocks[i]);
        requests[i].scope = text_of(act->scope);
    }
    return requests;
}

static void ask_all(struct act *act, struct broker *broker, const struct control_request *requests)
{
    struct wps_error error;
    int signals_fd = signals_open();
    struct asks asks = {
        .requests = requests,
        .n_requests = act->n_blocks,
        .wait_ms = act->wait_ms < 0 ? -1 : act->wait_ms + broker->timeout_ms,
        .signals_fd = signals_fd,
        .context = act,
        .answered = take,
        .ticked = act->progress && term_of(STDERR_FILENO).colour ? show_progress : NULL,
        .tick_ms = TICK_MS,
    };
    act->started_ms = monotonic_ms();
    int result = asks_run(&asks, broker, &error);
    clear_line(act);
    if (result == -EINTR)
        act_fail(&act->common, "interrupted; the broker goes on with what it was asked for");
    else if (result < 0)
        act->status = act_worse(act->status, act_fail(&act->common, error.message));
    signals_close(signals_fd, asks.signal);
}

int act_run(struct act *act, struct broker *broker, char *const *blocks, size_t n_blocks)
{
    act->out = term_of(STDOUT_FILENO);
    act->blocks = blocks;
    act->n_blocks = n_blocks;
    _cleanup_free_ bool *done = calloc(n_blocks + 1, sizeof *done);
    _cleanup_free_ struct control_request *requests = make_requests(act);
    if (!done || !requests)
        return act_fail(&act->common, "out of memory");
    act->done = done;
    ask_all(act, broker, requests);
    return act->status;
}

int act_on_words(struct act *act)
{
    struct broker broker;
    int status = act_open_broker(&broker, &act->common);
    if (status != CLI_OK)
        return status;
    status = act_run(act, &broker, act->common.words, act->common.n_words);
    broker_close(&broker);
    return status;
}
