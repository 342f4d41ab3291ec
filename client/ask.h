/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCTRACK_ASK_H
#define PROCTRACK_ASK_H

/*
 * Asking a broker whatever it can be asked. blocks.h has functions for what is asked most; this is
 * for the rest, and for commands that a later broker knows.
 *
 *     const struct proctrack_field fields[] = {
 *         proctrack_str("block_id", "demo"),
 *         proctrack_uint("signal", SIGUSR1),
 *     };
 *     struct proctrack_request request = PROCTRACK_REQUEST;
 *     request.command = "signal_tree";
 *     request.fields = fields;
 *     request.n_fields = 2;
 *     struct proctrack_reply *reply;
 *     if (proctrack_ask(connection, &request, &reply, &error) == 0) {
 *         n = proctrack_value_size(proctrack_value_get(reply->data, "signalled"));
 *         proctrack_free(reply);
 *     }
 *
 * Source: PROTOCOL.md, section 4, which has the commands, their data and their replies.
 */

#include "value.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- answers -------------------------------------------------------------------------------- */

/* Frees a reply, a list, or whatever else a function of this library gave and said is to be freed
 * so; null is fine. It need not be before the connection is closed. */
PROCTRACK_API void proctrack_free(const void *answer);

/* ---- one key of a request ------------------------------------------------------------------- */

enum proctrack_field_type {
    PROCTRACK_FIELD_NONE, /* the key is left out */
    PROCTRACK_FIELD_BOOL,
    PROCTRACK_FIELD_UINT,
    PROCTRACK_FIELD_INT,
    PROCTRACK_FIELD_STR,
    PROCTRACK_FIELD_STRS,
    PROCTRACK_FIELD_MSGPACK,
};

/* Made by the functions below; what it points to must live until the request was asked. */
struct proctrack_field {
    const char *key;
    enum proctrack_field_type type;
    uint64_t number;
    const void *at;
    size_t size;
};

static inline struct proctrack_field proctrack_field_of(const char *key,
                                                        enum proctrack_field_type type,
                                                        uint64_t number, const void *at,
                                                        size_t size)
{
    struct proctrack_field field;
    field.key = key;
    field.type = type;
    field.number = number;
    field.at = at;
    field.size = size;
    return field;
}

static inline struct proctrack_field proctrack_bool(const char *key, bool value)
{
    return proctrack_field_of(key, PROCTRACK_FIELD_BOOL, value, NULL, 0);
}

static inline struct proctrack_field proctrack_uint(const char *key, uint64_t value)
{
    return proctrack_field_of(key, PROCTRACK_FIELD_UINT, value, NULL, 0);
}

static inline struct proctrack_field proctrack_int(const char *key, int64_t value)
{
    return proctrack_field_of(key, PROCTRACK_FIELD_INT, (uint64_t)value, NULL, 0);
}

/* Valid UTF-8. Null: the key is left out. */
static inline struct proctrack_field proctrack_str(const char *key, const char *value)
{
    return proctrack_field_of(key, value ? PROCTRACK_FIELD_STR : PROCTRACK_FIELD_NONE, 0, value, 0);
}

/* An array of such strings. */
static inline struct proctrack_field proctrack_strs(const char *key, const char *const *values,
                                                    size_t n)
{
    return proctrack_field_of(key, PROCTRACK_FIELD_STRS, 0, values, n);
}

/* One value that the caller packed with a library of its own. */
static inline struct proctrack_field proctrack_msgpack(const char *key, const void *bytes,
                                                       size_t size)
{
    return proctrack_field_of(key, PROCTRACK_FIELD_MSGPACK, 0, bytes, size);
}

/* ---- asking --------------------------------------------------------------------------------- */

struct proctrack_request {
    uint32_t size; /* sizeof (struct proctrack_request): see PROCTRACK_REQUEST */
    const char *command;
    const struct proctrack_field *fields; /* its data */
    size_t n_fields;
    uint32_t timeout_ms; /* how long the reply may take; 0: that of the connection */
    bool rpc;            /* it is for the broker itself: `brokerinfo`, `eventpublish` and so on */
    bool repeat;         /* it does no harm twice: see proctrack_ask */
};

#define PROCTRACK_REQUEST PROCTRACK_SIZED(struct proctrack_request)

struct proctrack_reply {
    const struct proctrack_value *data; /* a map */
};

/* Asks, and waits for the reply; signals do not end the wait. `*ret` is to be freed with
 * proctrack_free; null where nobody wants to read it.
 *
 * A broker that is not there is told at once. Where it ends meanwhile, and another one took its
 * place, that one is asked if the request never left, or if `repeat` says that it may be carried
 * out twice. After a time-out the next request goes over a fresh connection.
 *
 * -EREMOTEIO: the broker refused; the sentence in `error` is its own, and errorcode says why.
 * -ENOENT, -ECONNREFUSED, -EACCES: nobody is there, or nobody that we may ask. -ECONNRESET: it
 * ended before it answered, and -ETIMEDOUT: no reply in time: it may have been, or may yet be,
 * carried out. -EPROTO: what came is no reply of this protocol. -EMSGSIZE: a request of more than 1
 * MiB. -EINVAL: no command, or a field that is none. -EMFILE, -ENOMEM. */
PROCTRACK_API int proctrack_ask(struct proctrack *self, const struct proctrack_request *request,
                                struct proctrack_reply **ret, struct proctrack_error *error);

/* Whether the broker means the same processes by their numbers as this program does: a pid is one
 * in the broker's pid namespace, and in a container ours may be another. -EXDEV: it does not. 0: it
 * does, or that cannot be known (over tcp; a broker of another user). The errors of a broker that
 * is not there are those above. */
PROCTRACK_API int proctrack_check_pids(struct proctrack *self, struct proctrack_error *error);

#ifdef __cplusplus
}
#endif

#endif
