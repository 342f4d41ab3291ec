/* SPDX-License-Identifier: Apache-2.0 */

/* The control commands as a table: what each is called, which keys it needs and which it allows.
 * The rest of this file only follows that table. */

#include "schemas/control_request.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "schemas/quote.h"

/* ---- the table ------------------------------------------------------------------------------ */

/* What is read from `data`: the request, and the words that are made into its flags. */
struct keys {
    struct control_request request;
    struct text on_exit, on_crash, only;
};

enum key {
    KEY_BLOCK_ID,
    KEY_SCOPE,
    KEY_PID,
    KEY_STARTED_AT_MS,
    KEY_ROOT,
    KEY_ON_EXIT,
    KEY_ON_CRASH,
    KEY_ONLY,
    KEY_DETAIL,
    KEY_TIMEOUT_MS,
    KEY_INCLUDE_ESCAPED,
    KEY_SIGNAL,
    KEY_GRACE_MS,
    KEYS,
};

#define IN_REQUEST(member) offsetof(struct keys, request.member)

static const struct wire_field key_fields[KEYS] = {
    [KEY_BLOCK_ID] = {"block_id", WIRE_STR, false, IN_REQUEST(block_id)},
    [KEY_SCOPE] = {"scope", WIRE_STR, false, IN_REQUEST(scope)},
    [KEY_PID] = {"pid", WIRE_UINT, false, IN_REQUEST(pid), INT32_MAX},
    [KEY_STARTED_AT_MS] = {"started_at_ms", WIRE_UINT, false, IN_REQUEST(started_at_ms)},
    [KEY_ROOT] = {"root", WIRE_BOOL, false, IN_REQUEST(root)},
    [KEY_ON_EXIT] = {"on_exit", WIRE_STR, false, offsetof(struct keys, on_exit)},
    [KEY_ON_CRASH] = {"on_crash", WIRE_STR, false, offsetof(struct keys, on_crash)},
    [KEY_ONLY] = {"only", WIRE_STR, false, offsetof(struct keys, only)},
    [KEY_DETAIL] = {"detail", WIRE_BOOL, false, IN_REQUEST(detail)},
    [KEY_TIMEOUT_MS] = {"timeout_ms", WIRE_UINT, false, IN_REQUEST(timeout_ms),
                        CONTROL_TIMEOUT_MS_MAX},
    [KEY_INCLUDE_ESCAPED] = {"include_escaped", WIRE_BOOL, false, IN_REQUEST(include_escaped)},
    [KEY_SIGNAL] = {"signal", WIRE_UINT, false, IN_REQUEST(signal), CONTROL_SIGNAL_MAX},
    [KEY_GRACE_MS] = {"grace_ms", WIRE_UINT, false, IN_REQUEST(grace_ms), CONTROL_TIMEOUT_MS_MAX},
};

struct row {
    const char *name;
    unsigned required, optional; /* sets of 1 << enum key */
};

#define K(name) (1u << KEY_##name)

static const struct row rows[CONTROL_COMMANDS] = {
    [CONTROL_DESCRIBE] = {"describe", 0, 0},
    [CONTROL_ENSURE_TRACKER] = {"ensure_tracker", K(BLOCK_ID), K(SCOPE) | K(ON_EXIT) | K(ON_CRASH)},
    [CONTROL_ASSIGN_PROCESS] = {"assign_process", K(BLOCK_ID) | K(PID),
                                K(STARTED_AT_MS) | K(SCOPE) | K(ROOT)},
    [CONTROL_LIST_BLOCK] = {"list_block", K(BLOCK_ID), K(SCOPE) | K(ONLY) | K(DETAIL)},
    [CONTROL_LIST_ALL_BLOCKS] = {"list_all_blocks", 0, K(DETAIL)},
    [CONTROL_CONFIDENCE_OF] = {"confidence_of", K(BLOCK_ID), 0},
    [CONTROL_KILL_PID] = {"kill_pid", K(BLOCK_ID) | K(PID), K(STARTED_AT_MS)},
    [CONTROL_KILL_TREE] = {"kill_tree", K(BLOCK_ID), K(SCOPE)},
    [CONTROL_KILL_STARTED] = {"kill_started", K(BLOCK_ID), K(PID)},
    [CONTROL_SIGNAL_TREE] = {"signal_tree", K(BLOCK_ID) | K(SIGNAL), K(SCOPE)},
    [CONTROL_STOP_TREE] = {"stop_tree", K(BLOCK_ID),
                           K(SCOPE) | K(SIGNAL) | K(GRACE_MS) | K(TIMEOUT_MS) | K(INCLUDE_ESCAPED)},
    [CONTROL_WAIT_EMPTY] = {"wait_empty", K(BLOCK_ID) | K(TIMEOUT_MS), K(SCOPE)},
    [CONTROL_FREEZE] = {"freeze", K(BLOCK_ID), K(SCOPE)},
    [CONTROL_THAW] = {"thaw", K(BLOCK_ID), K(SCOPE)},
    [CONTROL_REMOVE] = {"remove", K(BLOCK_ID), K(TIMEOUT_MS) | K(INCLUDE_ESCAPED)},
    [CONTROL_STATS] = {"stats", 0, 0},
};

const char *control_command_name(enum control_command command)
{
    assert((size_t)command < CONTROL_COMMANDS);
    return rows[command].name;
}

/* ---- reading -------------------------------------------------------------------------------- */

static int unknown_command(struct text name, struct wps_error *error)
{
    char quoted[QUOTE_SIZE];
    char list[512];
    size_t used = 0;
    for (size_t i = 0; i < CONTROL_COMMANDS && used < sizeof list; i++)
        used +=
            (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", rows[i].name);
    return wps_error_set(error, -ENOSYS, "command: %s is not one of %s", quote(quoted, name), list);
}

static int find_command(struct text name, enum control_command *ret, struct wps_error *error)
{
    for (size_t i = 0; i < CONTROL_COMMANDS; i++) {
        if (text_is(name, rows[i].name)) {
            *ret = (enum control_command)i;
            return 0;
        }
    }
    return unknown_command(name, error);
}

/* A word with two values: `*ret` is whether it is `yes`. */
static int read_choice(struct text word, const char *where, const char *no, const char *yes,
                       bool *ret, struct wps_error *error)
{
    char quoted[QUOTE_SIZE];
    bool is_yes = text_is(word, yes);
    if (!is_yes && !text_is(word, no))
        return wps_error_set(error, -EINVAL, "%s: expected '%s' or '%s', got %s", where, no, yes,
                             quote(quoted, word));
    *ret = is_yes;
    return 0;
}

static int read_only(struct text word, bool *ret_only_started, struct wps_error *error)
{
    char quoted[QUOTE_SIZE];
    if (!text_is(word, "started"))
        return wps_error_set(error, -EINVAL, "data.only: expected 'started', got %s",
                             quote(quoted, word));
    *ret_only_started = true;
    return 0;
}

/* The polite signal has some of the time, the kill the rest. */
static int check_times(struct control_request *request, unsigned present, struct wps_error *error)
{
    if (request->grace_ms < request->timeout_ms)
        return 0;
    if (present & K(GRACE_MS) && request->grace_ms > 0)
        return wps_error_set(error, -EINVAL,
                             "data.grace_ms: %" PRIu64 " leaves no time to kill within timeout_ms "
                             "(%" PRIu64 ")",
                             request->grace_ms, request->timeout_ms);
    request->grace_ms = request->timeout_ms / 2;
    return 0;
}

/* What the types do not say; `present` is a set of 1 << enum key. */
static int check_keys(struct keys *keys, unsigned present, struct wps_error *error)
{
    struct control_request *request = &keys->request;
    int result = 0;

    if (present & K(BLOCK_ID))
        result = block_id_check(request->block_id, "data.block_id", error);
    if (result == 0 && present & K(SCOPE))
        result = subscope_check(request->scope, "data.scope", error);
    if (result == 0 && present & K(ON_EXIT))
        result = read_choice(keys->on_exit, "data.on_exit", "kill", "keep", &request->keep_on_exit,
                             error);
    if (result == 0 && present & K(ON_CRASH))
        result = read_choice(keys->on_crash, "data.on_crash", "keep", "kill",
                             &request->kill_on_crash, error);
    if (result == 0 && present & K(ONLY))
        result = read_only(keys->only, &request->only_started, error);
    if (result == 0 && request->signal == 0)
        result = wps_error_set(error, -EINVAL, "data.signal: expected a number from 1 to %d, got 0",
                               CONTROL_SIGNAL_MAX);
    if (result == 0 && request->command == CONTROL_STOP_TREE)
        result = check_times(request, present, error);
    request->has_on_exit = present & K(ON_EXIT);
    request->has_on_crash = present & K(ON_CRASH);
    return result;
}

/* Reads the keys of one row; those that the row does not have are passed over. */
static int read_row(const struct row *row, const msgpack_object *data, struct keys *keys,
                    struct wps_error *error)
{
    struct wire_field fields[KEYS];
    enum key field_keys[KEYS];
    size_t n_fields = 0;
    uint64_t field_present;
    unsigned present = 0;

    for (unsigned key = 0; key < KEYS; key++) {
        if (!((row->required | row->optional) & 1u << key))
            continue;
        fields[n_fields] = key_fields[key];
        fields[n_fields].required = row->required & 1u << key;
        field_keys[n_fields++] = (enum key)key;
    }
    int result = wire_read(data, "data", fields, n_fields, keys, &field_present, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < n_fields; i++) {
        if (field_present & UINT64_C(1) << i)
            present |= 1u << field_keys[i];
    }
    return check_keys(keys, present, error);
}

int control_request_read(struct control_request *ret, const struct request *request,
                         enum errorcode *ret_code, struct wps_error *error)
{
    static const msgpack_object no_data = {.type = MSGPACK_OBJECT_MAP};
    struct keys keys = {.request = {CONTROL_REQUEST_DEFAULTS}};

    int result = find_command(request->command, &keys.request.command, error);
    if (result < 0) {
        *ret_code = ERRORCODE_UNKNOWN_COMMAND;
        return result;
    }
    const msgpack_object *data = request->data ? request->data : &no_data;
    result = read_row(&rows[keys.request.command], data, &keys, error);
    if (result < 0) {
        *ret_code = ERRORCODE_INVALID_ARGUMENT;
        return result;
    }
    *ret = keys.request;
    return 0;
}

/* ---- packing -------------------------------------------------------------------------------- */

/* The optional keys whose values are not the default, as a set. */
static unsigned keys_to_tell(const struct control_request *request)
{
    return (request->scope.size > 0 ? K(SCOPE) : 0) | (request->pid != 0 ? K(PID) : 0) |
           (request->started_at_ms != 0 ? K(STARTED_AT_MS) : 0) | (!request->root ? K(ROOT) : 0) |
           (request->has_on_exit ? K(ON_EXIT) : 0) | (request->has_on_crash ? K(ON_CRASH) : 0) |
           (request->only_started ? K(ONLY) : 0) | (request->detail ? K(DETAIL) : 0) |
           (request->timeout_ms != CONTROL_TIMEOUT_MS_DEFAULT ? K(TIMEOUT_MS) : 0) |
           (request->include_escaped ? K(INCLUDE_ESCAPED) : 0) |
           (request->signal != CONTROL_SIGNAL_DEFAULT ? K(SIGNAL) : 0) |
           (request->grace_ms != CONTROL_GRACE_MS_DEFAULT ? K(GRACE_MS) : 0);
}

static void put_value(struct wire_out *out, enum key key, const struct control_request *request)
{
    const char *name = key_fields[key].key;
    switch (key) {
    case KEY_BLOCK_ID:
        wire_pair_text(out, name, request->block_id);
        break;
    case KEY_SCOPE:
        wire_pair_text(out, name, request->scope);
        break;
    case KEY_PID:
        wire_pair_uint(out, name, request->pid);
        break;
    case KEY_STARTED_AT_MS:
        wire_pair_uint(out, name, request->started_at_ms);
        break;
    case KEY_ROOT:
        wire_pair_bool(out, name, request->root);
        break;
    case KEY_ON_EXIT:
        wire_pair_str(out, name, request->keep_on_exit ? "keep" : "kill");
        break;
    case KEY_ON_CRASH:
        wire_pair_str(out, name, request->kill_on_crash ? "kill" : "keep");
        break;
    case KEY_ONLY:
        wire_pair_str(out, name, "started");
        break;
    case KEY_DETAIL:
        wire_pair_bool(out, name, request->detail);
        break;
    case KEY_TIMEOUT_MS:
        wire_pair_uint(out, name, request->timeout_ms);
        break;
    case KEY_INCLUDE_ESCAPED:
        wire_pair_bool(out, name, request->include_escaped);
        break;
    case KEY_SIGNAL:
        wire_pair_uint(out, name, request->signal);
        break;
    case KEY_GRACE_MS:
        wire_pair_uint(out, name, request->grace_ms);
        break;
    case KEYS:
        break;
    }
}

void control_request_pack(struct wire_out *out, const struct control_request *request)
{
    const struct row *row = &rows[request->command];
    unsigned keys = row->required | (row->optional & keys_to_tell(request));

    wire_put_map(out, (size_t)__builtin_popcount(keys));
    for (unsigned key = 0; key < KEYS; key++) {
        if (keys & 1u << key)
            put_value(out, (enum key)key, request);
    }
}
