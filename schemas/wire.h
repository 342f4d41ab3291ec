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
    WIRE_DEPTH_MAX = 16,   /* nested arrays and maps in a request or an event */
    WIRE_DEPTH_LIMIT = 32, /* the most that msgpack-c decodes */
    WIRE_PATH_SIZE = 128,  /* room for the path of a key in errors, and its NUL */
};

/* ---- reading -------------------------------------------------------------------------------- */

/* Checks that `bytes` begin with one whole msgpack value: nothing in it is longer than the bytes
 * that are left, and no array or map lies deeper than `depth_max` (at most WIRE_DEPTH_LIMIT; the
 * outermost one has depth 1). It takes every type of msgpack, also the ones that the protocol does
 * not use (bin, ext): who reads such a value by name is told that it has the wrong type. Time is
 * linear in `size`. On success `*ret_used` (may be null) is the value's size in bytes. -EBADMSG
 * with a sentence: cut short, too deep, or not msgpack. */
int wire_check(const void *bytes, size_t size, unsigned depth_max, size_t *ret_used,
               struct wps_error *error);

/* The same for what is passed on to readers as it is: each str in it, keys too, has to be valid
 * UTF-8. (A reader that knows str as text can make nothing of a message with one that is not.) */
int wire_check_texts(const void *bytes, size_t size, unsigned depth_max, size_t *ret_used,
                     struct wps_error *error);

/* The pairs of a map, straight from its bytes: for who needs a value as it was sent, or what can
 * still be read of a message that wire_open refuses. Depth does not matter here. */
struct wire_pairs {
    struct text rest; /* bytes not yet passed */
    uint64_t left;    /* pairs not yet passed */
};

/* `map_bytes` begin with a map. -EBADMSG: they do not. */
int wire_pairs_begin(struct wire_pairs *ret, struct text map_bytes);

/* Takes the next pair: `*ret_key` is the content of a str key, or has a null `at` where the key is
 * something else; `*ret_value` is the whole value as it was sent. 1; 0 at the end; -EBADMSG. */
int wire_pairs_next(struct wire_pairs *pairs, struct text *ret_key, struct text *ret_value);

/* The value of a str key in the bytes of a map, as it was sent (nil too). Of repeated keys the last
 * counts, as in wire_get. -ENOENT: no such key; -EBADMSG: not a map, or cut short. */
int wire_find_raw(struct text map_bytes, const char *key, struct text *ret_value);

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
    WIRE_UINT32,   /* uint32_t; the same */
    WIRE_INT,      /* int64_t */
    WIRE_MAP,      /* const msgpack_object * */
    WIRE_ARRAY,    /* const msgpack_object * */
    WIRE_STR_LIST, /* const msgpack_object *: an array whose items were seen to be valid str */
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

/* Reads the keys in `fields` from `map` into `ret` (a struct of the caller's that holds the
 * defaults). Keys that are absent or nil leave their value as it is; the bit 1 << i is set in
 * `*ret_present` (may be null) for field i that was there. `path` names the map in errors: "data".
 * -EINVAL: "data.pid: expected uint, got str", "data.pid: missing". At most 64 fields. */
int wire_read(const msgpack_object *map, const char *path, const struct wire_field *fields,
              size_t n_fields, void *ret, uint64_t *ret_present, struct wps_error *error);

/* One value, as wire_read takes it; `where` is its whole path. A nil one is of a wrong type. */
int wire_read_value(const msgpack_object *value, const char *where, enum wire_type type,
                    uint64_t max, void *ret, struct wps_error *error);

/* Writes the path of `key` (or, where it is null, of item `index`) below `path`, for errors:
 * "data.pid", "data.scopes[1]"; where `path` is "" just "pid". Returns `buffer`. */
const char *wire_path(char buffer[static WIRE_PATH_SIZE], const char *path, const char *key,
                      size_t index);

/* "uint", "str", "map" and so on, for sentences. */
const char *wire_type_name(const msgpack_object *object);

/* True where `text` is valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool wire_utf8_valid(struct text text);

/* ---- writing -------------------------------------------------------------------------------- */

/* A growing buffer with a packer on it; clear it and use it again: once it has grown, nothing is
 * allocated any more. A write that found no memory is remembered: see wire_out_failed. The packer
 * points back at the buffer, so it stays where it was made. */
struct wire_out {
    msgpack_sbuffer bytes;
    msgpack_packer packer;
    bool failed;
};

void wire_out_init(struct wire_out *out);
void wire_out_clear(struct wire_out *out);
/* Room for a message of so many bytes: to pack one takes no memory from then on. -ENOMEM: as
 * before. */
int wire_out_reserve(struct wire_out *out, size_t size);
/* Gives the bytes away, which the caller frees with free(); `*ret_size` of them are the message. In
 * their place come `reserve` bytes of room. Null: no memory for those, and nothing is given away.
 */
char *wire_out_take(struct wire_out *out, size_t reserve, size_t *ret_size);
void wire_out_destroy(struct wire_out *out);
/* True where memory ran out since the last clear: then the bytes are not a message. */
bool wire_out_failed(const struct wire_out *out);

void wire_put_map(struct wire_out *out, size_t n_pairs);
void wire_put_array(struct wire_out *out, size_t n_items);
void wire_put_text(struct wire_out *out, struct text text);
void wire_put_uint(struct wire_out *out, uint64_t value);
void wire_put_int(struct wire_out *out, int64_t value);
void wire_put_bool(struct wire_out *out, bool value);
/* A str from bytes that may not be UTF-8 (a path, a name of the system): what is broken becomes
 * U+FFFD. */
void wire_put_repaired(struct wire_out *out, struct text bytes);
/* Bytes that are one msgpack value already, unchanged. */
void wire_put_raw(struct wire_out *out, const void *bytes, size_t size);
void wire_put_object(struct wire_out *out, const msgpack_object *object);

/* Keys are literals nearly always: seen by the compiler, nobody counts their bytes. */
static inline void wire_put_str(struct wire_out *out, const char *string)
{
    wire_put_text(out, text_of(string));
}

/* A key and its value in one. */

static inline void wire_pair_text(struct wire_out *out, const char *key, struct text value)
{
    wire_put_str(out, key);
    wire_put_text(out, value);
}

static inline void wire_pair_str(struct wire_out *out, const char *key, const char *value)
{
    wire_pair_text(out, key, text_of(value));
}

static inline void wire_pair_repaired(struct wire_out *out, const char *key, struct text bytes)
{
    wire_put_str(out, key);
    wire_put_repaired(out, bytes);
}

static inline void wire_pair_uint(struct wire_out *out, const char *key, uint64_t value)
{
    wire_put_str(out, key);
    wire_put_uint(out, value);
}

static inline void wire_pair_int(struct wire_out *out, const char *key, int64_t value)
{
    wire_put_str(out, key);
    wire_put_int(out, value);
}

static inline void wire_pair_bool(struct wire_out *out, const char *key, bool value)
{
    wire_put_str(out, key);
    wire_put_bool(out, value);
}

#endif
