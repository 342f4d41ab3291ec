/* SPDX-License-Identifier: Apache-2.0 */

/* Requests of any kind: their data is packed from fields. */

#include "client/ask.h"

#include <errno.h>

#include "client/answer.h"

static void put_strs(struct wire_out *out, const struct proctrack_field *field)
{
    wire_put_array(out, field->size);
    for (size_t i = 0; i < field->size; i++)
        wire_put_str(out, ((const char *const *)field->at)[i]);
}

static void put_field(struct wire_out *out, const struct proctrack_field *field)
{
    wire_put_str(out, field->key);
    switch (field->type) {
    case PROCTRACK_FIELD_BOOL:
        return wire_put_bool(out, field->number);
    case PROCTRACK_FIELD_UINT:
        return wire_put_uint(out, field->number);
    case PROCTRACK_FIELD_INT:
        return wire_put_int(out, (int64_t)field->number);
    case PROCTRACK_FIELD_STR:
        return wire_put_str(out, field->at);
    case PROCTRACK_FIELD_STRS:
        return put_strs(out, field);
    case PROCTRACK_FIELD_MSGPACK:
        return wire_put_raw(out, field->at, field->size);
    case PROCTRACK_FIELD_NONE: /* these are not put */
        return;
    }
}

static int check_field(const struct proctrack_field *field, struct wps_error *error)
{
    struct wps_error why;
    size_t used = 0;
    if (!field->key || field->type < PROCTRACK_FIELD_NONE || field->type > PROCTRACK_FIELD_MSGPACK)
        return wps_error_set(error, -EINVAL,
                             "a field of the request was not made by the functions "
                             "for fields");
    if (field->type != PROCTRACK_FIELD_MSGPACK)
        return 0;
    if (wire_check(field->at, field->size, WIRE_DEPTH_MAX, &used, &why) < 0 || used != field->size)
        return wps_error_set(error, -EINVAL, "data.%s: the bytes are not one value of msgpack",
                             field->key);
    return 0;
}

/* The map of the fields, as far as they are there. */
static int pack_fields(struct wire_out *out, const struct proctrack_request *request,
                       struct wps_error *error)
{
    size_t n = 0;
    for (size_t i = 0; i < request->n_fields; i++) {
        int result = check_field(&request->fields[i], error);
        if (result < 0)
            return result;
        n += request->fields[i].type != PROCTRACK_FIELD_NONE;
    }
    wire_put_map(out, n);
    for (size_t i = 0; i < request->n_fields; i++)
        if (request->fields[i].type != PROCTRACK_FIELD_NONE)
            put_field(out, &request->fields[i]);
    return wire_out_failed(out) ? wps_error_system(error, -ENOMEM, "cannot ask") : 0;
}

static int ask_packed(struct proctrack *self, const struct proctrack_request *request,
                      struct text data, struct proctrack_reply **ret, struct proctrack_error *error)
{
    struct answer *answer;
    const struct control_question question = {
        .command = request->command,
        .data = data,
        .may_repeat = request->repeat,
        .timeout_ms =
            connection_timeout(request->timeout_ms ? request->timeout_ms : self->timeout_ms),
    };
    int result = answer_ask(&answer, self, request->rpc, &question, sizeof **ret, error);
    if (result < 0)
        return result;
    struct proctrack_reply *reply = answer_shown(answer);
    reply->data = (const struct proctrack_value *)answer->of.reply.data;
    if (ret)
        *ret = reply;
    else
        proctrack_free(reply);
    return 0;
}

int proctrack_ask(struct proctrack *self, const struct proctrack_request *request,
                  struct proctrack_reply **ret, struct proctrack_error *error)
{
    struct proctrack_request ours;
    struct wps_error why = {""};
    struct wire_out data;
    connection_copy_options(&ours, sizeof ours, request);
    if (!ours.command)
        return connection_fail(error, -EINVAL,
                               &(struct wps_error){"cannot ask: the request has no command"});
    wire_out_init(&data);
    int result = pack_fields(&data, &ours, &why);
    if (result < 0)
        connection_fail(error, result, &why);
    else
        result =
            ask_packed(self, &ours, (struct text){data.bytes.data, data.bytes.size}, ret, error);
    wire_out_destroy(&data);
    return result;
}

int proctrack_check_pids(struct proctrack *self, struct proctrack_error *error)
{
    struct wps_error why = {""};
    struct control_client *client;
    int result = connection_client(self, false, &client, &why);
    if (result == 0)
        result = control_client_check_pids(client, &why);
    return result < 0 ? connection_fail(error, result, &why) : 0;
}
