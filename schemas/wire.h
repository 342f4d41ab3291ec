/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_WIRE_H
#define SCHEMAS_WIRE_H

/*
 * msgpack for this protocol: bytes that a peer sent are checked before anything is made of them,
 * values are read by name with errors that say where, and values are packed into a growing buffer.
 *
 * No length is believed beyond its own bytes, nothing recurses, and keys that nobody asks for are
 * passed over. Nothing here is shared between threads; every object belongs to its caller.
 *
 * Source: the msgpack specification; msgpack-c does the packing and the unpacking.
 */

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

enum {
    WIRE_DEPTH_MAX = 16, /* nested arrays and maps in a request or an event */
};

/* ---- reading ------------------------------------------------------------------------------- */

/* Checks that `bytes` begin with one whole msgpack value: every declared length fits in what is
 * left, no extension types or `bin` are refused here, no array or map deeper than `depth_max`
 * (at most 32). On success `*ret_used` (may be null) is its size in bytes.
 * -EBADMSG with a sentence: cut short, too deep, or not msgpack. */
int wire_check(const void *bytes, size_t size, unsigned depth_max, size_t *ret_used,
               struct wps_error *error);

/* A decoded message. `root` and all it points to live until wire_close and as long as the bytes. */
struct wire_doc {
    msgpack_object root;
    msgpack_zone *zone;
};

/* Checks and decodes exactly one value: bytes behind it are -EBADMSG too. -ENOMEM. */
int wire_open(struct wire_doc *ret_doc, const void *bytes, size_t size, unsigned depth_max,
              struct wps_error *error);

/* Frees it. A zeroed document is fine. */
void wire_close(struct wire_doc *doc);

/* The value of a str key in a map, or null. Of repeated keys the last counts. */
const msgpack_object *wire_get(const msgpack_object *map, const char *key);

enum wire_type {
    WIRE_STR,      /* struct text; must be valid UTF-8 */
    WIRE_BOOL,     /* bool */
    WIRE_UINT,     /* uint64_t; at most `max` where that is not 0 */
    WIRE_INT,      /* int64_t */
    WIRE_MAP,      /* const msgpack_object * */
    WIRE_ARRAY,    /* const msgpack_object * */
    WIRE_STR_LIST, /* const msgpack_object *: an array whose items were seen to be str */
    WIRE_ANY,      /* const msgpack_object * */
};

/* One key of a map, and where its value goes. */
struct wire_field {
    const char *key;
    enum wire_type type;
    bool required;
    size_t offset; /* of the value in the caller's struct */
    uint64_t max;  /* greatest WIRE_UINT, or 0: any */
};

/* Reads the keys in `fields` from `map` into `ret` (a struct of the caller's that holds the defaults).
 * Keys that are absent or nil leave their value as it is; the bit 1 << i is set in `*ret_present`
 * (may be null) for field i that was there. `path` names the map in errors: "data".
 * -EINVAL: "data.pid: expected uint, got str", "data.pid: missing". At most 64 fields. */
int wire_read(const msgpack_object *map, const char *path, const struct wire_field *fields,
              size_t n_fields, void *ret, uint64_t *ret_present, struct wps_error *error);

/* "uint", "str", "map" and so on, for sentences. */
const char *wire_type_name(const msgpack_object *object);

/* True where `text` is valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool wire_utf8_valid(struct text text);

/* ---- writing ------------------------------------------------------------------------------- */

/* A growing buffer with a packer on it; clear it and use it again. A write that found no memory is
 * remembered: see wire_out_failed. */
struct wire_out {
    msgpack_sbuffer bytes;
    msgpack_packer packer;
    bool failed;
};

void wire_out_init(struct wire_out *out);
void wire_out_clear(struct wire_out *out);
void wire_out_destroy(struct wire_out *out);
/* True where memory ran out since the last clear: then the bytes are not a message. */
bool wire_out_failed(const struct wire_out *out);

void wire_put_map(struct wire_out *out, size_t n_pairs);
void wire_put_array(struct wire_out *out, size_t n_items);
void wire_put_str(struct wire_out *out, const char *string);
void wire_put_text(struct wire_out *out, struct text text);
void wire_put_uint(struct wire_out *out, uint64_t value);
void wire_put_int(struct wire_out *out, int64_t value);
void wire_put_bool(struct wire_out *out, bool value);
/* Bytes that are one msgpack value already, unchanged. */
void wire_put_raw(struct wire_out *out, const void *bytes, size_t size);
void wire_put_object(struct wire_out *out, const msgpack_object *object);

/* A key and its value in one. */
void wire_pair_str(struct wire_out *out, const char *key, const char *value);
void wire_pair_text(struct wire_out *out, const char *key, struct text value);
void wire_pair_uint(struct wire_out *out, const char *key, uint64_t value);
void wire_pair_int(struct wire_out *out, const char *key, int64_t value);
void wire_pair_bool(struct wire_out *out, const char *key, bool value);

#endif
