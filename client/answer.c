/* SPDX-License-Identifier: Apache-2.0 */

/* What is given out as one thing to free. */

#include "client/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/ask.h"

static void end_string(msgpack_object *object)
{
    if (object->via.str.size == 0)
        object->via.str.ptr = "";
    else
        ((char *)object->via.str.ptr)[object->via.str.size] = '\0';
}

/* It recurses no deeper than a message may be: WIRE_DEPTH_MAX. */
void answer_end_strings(msgpack_object *object)
{
    if (object->type == MSGPACK_OBJECT_STR)
        end_string(object);
    for (uint32_t i = 0; object->type == MSGPACK_OBJECT_ARRAY && i < object->via.array.size; i++)
        answer_end_strings(&object->via.array.ptr[i]);
    for (uint32_t i = 0; object->type == MSGPACK_OBJECT_MAP && i < object->via.map.size; i++) {
        answer_end_strings(&object->via.map.ptr[i].key);
        answer_end_strings(&object->via.map.ptr[i].val);
    }
}

struct answer *answer_new(struct control_answer *of, size_t size)
{
    struct answer *answer = calloc(1, sizeof *answer + size);
    if (!answer) {
        control_answer_close(of);
        return NULL;
    }
    answer->of = *of;
    *of = (struct control_answer){0};
    answer_end_strings(&answer->of.reply.doc.root);
    return answer;
}

int answer_no_memory(struct proctrack_error *error)
{
    return connection_fail(error, -ENOMEM, &(struct wps_error){"no memory for an answer"});
}

int answer_ask(struct answer **ret, struct proctrack *connection, bool rpc,
               const struct control_question *question, size_t size, struct proctrack_error *error)
{
    struct wps_error why = {""};
    enum errorcode refusal = ERRORCODE_INTERNAL;
    struct control_client *client;
    struct control_answer of = {0};
    int result = connection_client(connection, rpc, &client, &why);
    if (result == 0)
        result = control_client_question(client, question, &of, &refusal, &why);
    if (result < 0) {
        connection_fail(error, result, &why);
        if (result == -EREMOTEIO && error)
            error->errorcode = PROCTRACK_BAD_REQUEST + refusal;
        return result;
    }
    struct answer *answer = answer_new(&of, size);
    if (!answer)
        return answer_no_memory(error);
    *ret = answer;
    return 0;
}

void *answer_memory(struct answer *answer, size_t size)
{
    void *memory = msgpack_zone_malloc(answer->of.reply.doc.zone, size);
    return memory ? memset(memory, 0, size) : NULL;
}

int answer_keep(struct answer *answer, void *memory)
{
    if (msgpack_zone_push_finalizer(answer->of.reply.doc.zone, free, memory))
        return 0;
    free(memory);
    return -ENOMEM;
}

void proctrack_free(const void *answer)
{
    if (!answer)
        return;
    struct answer *self = (struct answer *)((char *)answer - offsetof(struct answer, room));
    control_answer_close(&self->of);
    free(self);
}
