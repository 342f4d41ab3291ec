/* SPDX-License-Identifier: Apache-2.0 */

/* kill_started, and waiting for the ends. */

#include "cli/stop_started.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/json.h"
#include "client/mirror.h"

/* What was killed in one block. */
struct killed {
    const char *block;
    uint32_t *pids; /* owned; null: nothing was, for it was refused */
    size_t n;
};

struct stopping {
    struct act *act;
    struct killed *all;
    size_t n;
    int64_t begun_ms;
    uint64_t begun_at_ms; /* CLOCK_REALTIME */
    struct proctrack *connection;
    struct proctrack_mirror *mirror;
    int status;
};

/* ---- killing -------------------------------------------------------------------------------- */

static int refused(struct stopping *stopping, const char *block, enum errorcode code, int result,
                   const struct wps_error *why)
{
    char sentence[sizeof why->message + BLOCK_ID_MAX];
    snprintf(sentence, sizeof sentence, "%s: %s", block, why->message);
    act_fail(&stopping->act->common, sentence);
    return result == -EREMOTEIO && code == ERRORCODE_NO_SUCH_BLOCK ? CLI_ABSENT : CLI_FAILED;
}

static void kill_in(struct stopping *stopping, struct broker *broker, struct killed *killed)
{
    struct wps_error error;
    struct block_version version;
    const msgpack_object *data;
    enum errorcode code = ERRORCODE_INTERNAL;
    const struct control_request request = {CONTROL_REQUEST_DEFAULTS,
                                            .command = CONTROL_KILL_STARTED,
                                            .block_id = text_of(killed->block)};
    int result = broker_ask(broker, &request, &data, &code, &error);
    if (result == 0)
        result = pids_reply_read(&version, &killed->pids, &killed->n, "killed", data, &error);
    if (result < 0)
        stopping->status =
            act_worse(stopping->status, refused(stopping, killed->block, code, result, &error));
}

/* ---- waiting -------------------------------------------------------------------------------- */

static int open_mirror(struct stopping *stopping, const struct broker *broker,
                       struct proctrack_error *error)
{
    struct proctrack_options options = PROCTRACK_OPTIONS;
    struct proctrack_mirror_options mirror = PROCTRACK_MIRROR_OPTIONS;
    _cleanup_free_ char *events = broker_beside(broker, "events");
    _cleanup_free_ char *rpc = broker_beside(broker, "rpc");
    options.control = broker->endpoint;
    options.events = events;
    options.rpc = rpc;
    options.zmq_context = broker->context;
    options.curve_secret = broker->curve_secret;
    options.curve_server = broker->curve_server;
    if (!events || !rpc) {
        snprintf(
            error->message, sizeof error->message,
            "--started waits for events, whose socket is known only beside a control socket of "
            "ipc://: proctrack kill --started does not wait");
        return -EINVAL;
    }
    int result = proctrack_connect(&stopping->connection, &options, error);
    return result < 0
               ? result
               : proctrack_mirror_open(&stopping->mirror, stopping->connection, &mirror, error);
}

/* The process that was killed, if it is there yet. A younger one has its pid only. */
static const struct proctrack_process *left(const struct stopping *stopping,
                                            const struct killed *killed, size_t i)
{
    const struct proctrack_block *block = proctrack_mirror_block(stopping->mirror, killed->block);
    const struct proctrack_process *process =
        block ? proctrack_block_find(block, killed->pids[i]) : NULL;
    return process && process->started_at_ms <= stopping->begun_at_ms ? process : NULL;
}

static size_t count_left(const struct stopping *stopping)
{
    size_t n = 0;
    for (size_t i = 0; i < stopping->n; i++)
        for (size_t k = 0; k < stopping->all[i].n; k++)
            n += left(stopping, &stopping->all[i], k) != NULL;
    return n;
}

/* Until none is there any more. -ETIMEDOUT: some are, or it cannot be known. */
static int wait_for_ends(struct stopping *stopping, uint64_t timeout_ms,
                         struct proctrack_error *error)
{
    int64_t end_ms = stopping->begun_ms + (int64_t)timeout_ms;
    for (int64_t now_ms; (now_ms = monotonic_ms()) < end_ms;) {
        if (proctrack_mirror_state(stopping->mirror) == PROCTRACK_CURRENT &&
            count_left(stopping) == 0)
            return 0;
        int result = proctrack_mirror_wait(stopping->mirror, (int)(end_ms - now_ms), error);
        if (result < 0 && result != -EINTR)
            return result;
    }
    return -ETIMEDOUT;
}

/* ---- what came of it ------------------------------------------------------------------------ */

static size_t find_survivors(const struct stopping *stopping, const struct killed *killed,
                             struct survivor *survivors)
{
    size_t n = 0;
    for (size_t i = 0; i < killed->n; i++) {
        const struct proctrack_process *process = left(stopping, killed, i);
        if (process)
            survivors[n++] = (struct survivor){.pid = process->pid,
                                               .started_at_ms = process->started_at_ms,
                                               .command = text_of(process->command)};
    }
    return n;
}

static void tell_json(const struct killed *killed, const struct survivor *survivors, size_t n,
                      int64_t took_ms)
{
    json_t *pids = json_array(), *lefts = json_array();
    for (size_t i = 0; i < killed->n; i++)
        json_array_append_new(pids, json_integer(killed->pids[i]));
    for (size_t i = 0; i < n; i++)
        json_array_append_new(lefts,
                              json_pack("{s:I,s:I,s:o}", "pid", (json_int_t)survivors[i].pid,
                                        "started_at_ms", (json_int_t)survivors[i].started_at_ms,
                                        "command", json_of_text(survivors[i].command)));
    json_line(json_pack("{s:s,s:o,s:o,s:I}", "block_id", killed->block, "killed", pids, "survivors",
                        lefts, "elapsed_ms", (json_int_t)took_ms));
}

static void tell(struct stopping *stopping, const struct killed *killed)
{
    char took[TERM_NUMBER];
    struct act *act = stopping->act;
    int64_t took_ms = monotonic_ms() - stopping->begun_ms;
    _cleanup_free_ struct survivor *survivors = calloc(killed->n + 1, sizeof *survivors);
    if (!survivors) {
        stopping->status = act_fail(&act->common, "out of memory");
        return;
    }
    size_t n = find_survivors(stopping, killed, survivors);
    if (act->common.json)
        tell_json(killed, survivors, n, took_ms);
    else
        printf("%s: %zu started process%s killed, %s\n", killed->block, killed->n,
               killed->n == 1 ? "" : "es", term_cpu(took, (uint64_t)took_ms));
    if (!act->common.json)
        act_tell_survivors(act, killed->block, survivors, n);
    if (n > 0)
        stopping->status = act_worse(stopping->status, CLI_NO);
}

static void kill_and_wait(struct stopping *stopping, struct broker *broker, uint64_t timeout_ms)
{
    struct proctrack_error error;
    int result = open_mirror(stopping, broker, &error);
    for (size_t i = 0; i < stopping->n && result == 0; i++)
        kill_in(stopping, broker, &stopping->all[i]);
    if (result == 0)
        result = wait_for_ends(stopping, timeout_ms, &error);
    if (result < 0 && result != -ETIMEDOUT)
        stopping->status = act_fail(&stopping->act->common, error.message);
    for (size_t i = 0; i < stopping->n; i++)
        if (stopping->all[i].pids)
            tell(stopping, &stopping->all[i]);
}

int stop_started(struct act *act, struct broker *broker, char *const *blocks, size_t n,
                 uint64_t timeout_ms)
{
    _cleanup_free_ struct killed *all = calloc(n + 1, sizeof *all);
    struct stopping stopping = {.act = act,
                                .all = all,
                                .n = n,
                                .begun_ms = monotonic_ms(),
                                .begun_at_ms = realtime_ms(),
                                .status = CLI_OK};
    if (!all)
        return act_fail(&act->common, "out of memory");
    act->out = term_of(STDOUT_FILENO);
    for (size_t i = 0; i < n; i++)
        all[i].block = blocks[i];
    kill_and_wait(&stopping, broker, timeout_ms);
    for (size_t i = 0; i < n; i++)
        free(all[i].pids);
    proctrack_mirror_close(&stopping.mirror);
    proctrack_close(&stopping.connection);
    return stopping.status;
}
