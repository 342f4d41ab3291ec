/* SPDX-License-Identifier: Apache-2.0 */

/* The envelopes of requests and replies. A request that is wrong is still answered, so its reqid is
 * looked for even in bytes that are not a message. */

#include "schemas/request.h"

#include <assert.h>
#include <errno.h>

static const char *const errorcode_names[] = {
    [ERRORCODE_BAD_REQUEST] = "bad_request",
    [ERRORCODE_UNKNOWN_COMMAND] = "unknown_command",
    [ERRORCODE_INVALID_ARGUMENT] = "invalid_argument",
    [ERRORCODE_NO_SUCH_BLOCK] = "no_such_block",
    [ERRORCODE_NO_SUCH_PROCESS] = "no_such_process",
    [ERRORCODE_NOT_PERMITTED] = "not_permitted",
    [ERRORCODE_NOT_SUPPORTED] = "not_supported",
    [ERRORCODE_LIMIT] = "limit",
    [ERRORCODE_TIMEOUT] = "timeout",
    [ERRORCODE_INTERNAL] = "internal",
};

const char *errorcode_name(enum errorcode code)
{
    assert((size_t)code < sizeof errorcode_names / sizeof *errorcode_names);
    return errorcode_names[code];
}

/* ---- reqid and resid ------------------------------------------------------------------------ */

static int reqid_from_str(struct reqid *ret, struct text string, const char *key,
                          struct wps_error *error)
{
    if (string.size > sizeof ret->string)
        return wps_error_set(error, -EINVAL, "%s: at most %zu bytes, got %zu", key,
                             sizeof ret->string, string.size);
    if (!wire_utf8_valid(string))
        return wps_error_set(error, -EINVAL, "%s: not valid UTF-8", key);
    ret->kind = REQID_STR;
    ret->size = (uint16_t)string.size;
    if (string.size > 0)
        memcpy(ret->string, string.at, string.size);
    return 0;
}

/* Takes a reqid or resid from `value` (null: absent). `*ret` is complete only on success. */
static int reqid_from(struct reqid *ret, const msgpack_object *value, const char *key,
                      struct wps_error *error)
{
    if (!value || value->type == MSGPACK_OBJECT_NIL) {
        ret->kind = REQID_ABSENT;
        return 0;
    }
    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        ret->kind = REQID_UINT;
        ret->number = value->via.u64;
        return 0;
    }
    if (value->type != MSGPACK_OBJECT_STR)
        return wps_error_set(error, -EINVAL, "%s: expected str or uint, got %s", key,
                             wire_type_name(value));
    return reqid_from_str(ret, (struct text){value->via.str.ptr, value->via.str.size}, key, error);
}

/* Finds a reqid in bytes that may be too many, too deep or cut short; absent where it cannot. */
static void reqid_from_broken(struct reqid *ret, struct text bytes)
{
    struct wire_pairs pairs;
    struct text key, value, found = {0};

    if (wire_pairs_begin(&pairs, bytes) < 0)
        return;
    while (wire_pairs_next(&pairs, &key, &value) > 0) {
        if (key.at && text_is(key, "reqid"))
            found = value;
    }
    struct wire_doc doc;
    if (found.at && wire_open(&doc, found.at, found.size, 0, NULL) == 0) {
        reqid_from(ret, &doc.root, "reqid", NULL);
        wire_close(&doc);
    }
}

static void put_reqid(struct wire_out *out, const char *key, const struct reqid *reqid)
{
    if (reqid->kind == REQID_UINT)
        wire_pair_uint(out, key, reqid->number);
    else if (reqid->kind == REQID_STR)
        wire_pair_text(out, key, (struct text){reqid->string, reqid->size});
}

/* ---- requests ------------------------------------------------------------------------------- */

static const struct wire_field command_field = {"command", WIRE_STR, true,
                                                offsetof(struct request, command)};
static const struct wire_field data_field = {"data", WIRE_MAP, false,
                                             offsetof(struct request, data)};

/* Reads the keys of the decoded envelope. What makes it no request is a bad request; `data` of a
 * wrong type is a wrong argument of a request that is one. */
static int read_envelope(struct request *request, enum errorcode *ret_code, struct wps_error *error)
{
    *ret_code = ERRORCODE_BAD_REQUEST;
    const msgpack_object *root = &request->doc.root;
    if (root->type != MSGPACK_OBJECT_MAP)
        return wps_error_set(error, -EINVAL,
                             "expected a map {command, reqid?, data?} as the request, got %s",
                             wire_type_name(root));
    int result = reqid_from(&request->reqid, wire_get(root, "reqid"), "reqid", error);
    if (result < 0)
        return result;
    result = wire_read(root, "", &command_field, 1, request, NULL, error);
    if (result < 0)
        return result;
    *ret_code = ERRORCODE_INVALID_ARGUMENT;
    return wire_read(root, "", &data_field, 1, request, NULL, error);
}

static int open_bytes(struct request *request, const void *bytes, size_t size,
                      enum errorcode *ret_code, struct wps_error *error)
{
    *ret_code = ERRORCODE_BAD_REQUEST;
    if (size > REQUEST_BYTES_MAX)
        return wps_error_set(error, -EMSGSIZE, "a request is at most %d bytes, this one has %zu",
                             REQUEST_BYTES_MAX, size);
    struct wps_error detail;
    int result = wire_open(&request->doc, bytes, size, WIRE_DEPTH_MAX, &detail);
    if (result == -ENOMEM)
        *ret_code = ERRORCODE_INTERNAL;
    if (result < 0)
        return wps_error_set(error, result, "the request cannot be read: %s", detail.message);
    return 0;
}

int request_open(struct request *ret, const void *bytes, size_t size, enum errorcode *ret_code,
                 struct wps_error *error)
{
    struct request request = {0};
    enum errorcode code;

    int result = open_bytes(&request, bytes, size, &code, error);
    if (result < 0) {
        *ret = (struct request){0};
        reqid_from_broken(&ret->reqid, (struct text){bytes, size});
        *ret_code = code;
        return result;
    }
    result = read_envelope(&request, &code, error);
    if (result < 0) {
        wire_close(&request.doc);
        *ret = (struct request){.reqid = request.reqid};
        *ret_code = code;
        return result;
    }
    *ret = request;
    return 0;
}

void request_close(struct request *request)
{
    wire_close(&request->doc);
    *request = (struct request){0};
}

void request_pack(struct wire_out *out, const char *command, const struct reqid *reqid,
                  struct text data)
{
    bool has_reqid = reqid && reqid->kind != REQID_ABSENT;
    wire_put_map(out, 1 + has_reqid + (data.size > 0));
    wire_pair_str(out, "command", command);
    if (has_reqid)
        put_reqid(out, "reqid", reqid);
    if (data.size > 0) {
        wire_put_str(out, "data");
        wire_put_raw(out, data.at, data.size);
    }
}

/* ---- replies -------------------------------------------------------------------------------- */

/* Begins the map of a reply of which `n_others` keys follow. */
static void begin(struct wire_out *out, const struct reqid *reqid, size_t n_others)
{
    bool has_resid = reqid && reqid->kind != REQID_ABSENT;
    wire_put_map(out, has_resid + n_others);
    if (has_resid)
        put_reqid(out, "resid", reqid);
}

void reply_begin(struct wire_out *out, const struct reqid *reqid)
{
    begin(out, reqid, 1);
    wire_put_str(out, "data");
}

void reply_error(struct wire_out *out, const struct reqid *reqid, enum errorcode code,
                 const char *sentence)
{
    begin(out, reqid, 2);
    /* A sentence that was cut to fit may end within a character. */
    wire_pair_repaired(out, "error", text_of(sentence));
    wire_pair_str(out, "errorcode", errorcode_name(code));
}

static const struct wire_field error_fields[] = {
    {"error", WIRE_STR, true, offsetof(struct reply, error)},
    {"errorcode", WIRE_STR, true, offsetof(struct reply, errorcode)},
};
static const struct wire_field reply_data_field = {"data", WIRE_MAP, true,
                                                   offsetof(struct reply, data)};

static int read_reply(struct reply *reply, struct wps_error *error)
{
    const msgpack_object *root = &reply->doc.root;
    if (root->type != MSGPACK_OBJECT_MAP)
        return wps_error_set(error, -EINVAL, "expected a map as the reply, got %s",
                             wire_type_name(root));
    int result = reqid_from(&reply->resid, wire_get(root, "resid"), "resid", error);
    if (result < 0)
        return result;
    const msgpack_object *sentence = wire_get(root, "error");
    reply->ok = !sentence || sentence->type == MSGPACK_OBJECT_NIL;
    if (reply->ok)
        return wire_read(root, "", &reply_data_field, 1, reply, NULL, error);
    return wire_read(root, "", error_fields, 2, reply, NULL, error);
}

int reply_open(struct reply *ret, const void *bytes, size_t size, struct wps_error *error)
{
    struct reply reply = {0};
    int result = wire_open(&reply.doc, bytes, size, WIRE_DEPTH_MAX, error);
    if (result < 0)
        return result;
    result = read_reply(&reply, error);
    if (result < 0) {
        wire_close(&reply.doc);
        return result;
    }
    *ret = reply;
    return 0;
}

void reply_close(struct reply *reply)
{
    wire_close(&reply->doc);
    *reply = (struct reply){0};
}
