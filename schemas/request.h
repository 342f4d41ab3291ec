/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_REQUEST_H
#define SCHEMAS_REQUEST_H

/* The envelope of a request, `{command, reqid?, data?}`, and of a reply, `{resid?, data}` or
 * `{resid?, error, errorcode}` (PROTOCOL.md, section 4). Used on control and on rpc. */

#include "schemas/wire.h"

enum {
    REQUEST_BYTES_MAX = 64 * 1024,        /* a greater one is answered `bad_request` */
    REQUEST_BYTES_ANSWERED = 1024 * 1024, /* a greater one closes the connection */
    REPLY_RESERVE = 4096, /* room that any reply_error fits in: its sentence has 1 KiB at most */
};

enum errorcode {
    ERRORCODE_BAD_REQUEST,
    ERRORCODE_UNKNOWN_COMMAND,
    ERRORCODE_INVALID_ARGUMENT,
    ERRORCODE_NO_SUCH_BLOCK,
    ERRORCODE_NO_SUCH_PROCESS,
    ERRORCODE_NOT_PERMITTED,
    ERRORCODE_NOT_SUPPORTED,
    ERRORCODE_LIMIT,
    ERRORCODE_TIMEOUT,
    ERRORCODE_INTERNAL,
};

/* "bad_request" and so on. */
const char *errorcode_name(enum errorcode code);

/* What a reply repeats: absent, a uint, or a str of at most 256 bytes (a longer one is a
 * `bad_request`, and its reply repeats none). It owns nothing and points nowhere. */
struct reqid {
    enum { REQID_ABSENT, REQID_UINT, REQID_STR } kind;
    uint64_t number;
    uint16_t size;
    char string[256];
};

struct request {
    struct wire_doc doc;
    struct reqid reqid;
    struct text command;
    const msgpack_object *data; /* a map, or null where absent */
};

/* Reads the envelope. On failure the sentence is in `error`, `*ret_code` is the errorcode to answer
 * with, and `ret->reqid` is what could be read of it, so that the reply can repeat it; nothing else
 * of `ret` may be used, and there is nothing to close. -EBADMSG, -EINVAL, -EMSGSIZE, -ENOMEM. */
int request_open(struct request *ret, const void *bytes, size_t size, enum errorcode *ret_code,
                 struct wps_error *error);

/* Frees it. A zeroed one is fine. */
void request_close(struct request *request);

/* Packs a request: what a client sends. `data` is one packed map, or size 0: absent. */
void request_pack(struct wire_out *out, const char *command, const struct reqid *reqid,
                  struct text data);

/* Begins a reply: the caller puts exactly one map, the data, behind it. */
void reply_begin(struct wire_out *out, const struct reqid *reqid);

/* A whole reply that says no. */
void reply_error(struct wire_out *out, const struct reqid *reqid, enum errorcode code,
                 const char *sentence);

/* A decoded reply: what a client receives. */
struct reply {
    struct wire_doc doc;
    struct reqid resid;
    bool ok;
    const msgpack_object *data; /* a map where ok, else null */
    struct text error;          /* where not ok */
    struct text errorcode;
};

int reply_open(struct reply *ret, const void *bytes, size_t size, struct wps_error *error);
void reply_close(struct reply *reply);

#endif
