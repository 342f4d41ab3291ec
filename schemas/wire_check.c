/* SPDX-License-Identifier: Apache-2.0 */

/* The walk over msgpack bytes that comes before any decoding: it believes no length beyond the
 * bytes that are there, allocates nothing and does not recurse. */

#include "schemas/wire.h"

#include <assert.h>
#include <errno.h>

#include "schemas/utf8.h"

enum kind { SCALAR, STR, ARRAY, MAP, INVALID };

/* What the first byte of a value says of the rest. */
struct form {
    uint8_t kind;
    uint8_t length_bytes; /* of the big-endian length or count that follows it */
    uint8_t payload;      /* bytes of content besides that length */
};

/* First bytes 0xc0 to 0xdf in order; the others hold their length in themselves. */
static const struct form forms[] = {
    {SCALAR, 0, 0},  /* 0xc0: nil */
    {INVALID, 0, 0}, /* 0xc1: never used */
    {SCALAR, 0, 0},  /* 0xc2: false */
    {SCALAR, 0, 0},  /* 0xc3: true */
    {SCALAR, 1, 0},  /* 0xc4: bin 8 */
    {SCALAR, 2, 0},  /* 0xc5: bin 16 */
    {SCALAR, 4, 0},  /* 0xc6: bin 32 */
    {SCALAR, 1, 1},  /* 0xc7: ext 8 */
    {SCALAR, 2, 1},  /* 0xc8: ext 16 */
    {SCALAR, 4, 1},  /* 0xc9: ext 32 */
    {SCALAR, 0, 4},  /* 0xca: float 32 */
    {SCALAR, 0, 8},  /* 0xcb: float 64 */
    {SCALAR, 0, 1},  /* 0xcc: uint 8 */
    {SCALAR, 0, 2},  /* 0xcd: uint 16 */
    {SCALAR, 0, 4},  /* 0xce: uint 32 */
    {SCALAR, 0, 8},  /* 0xcf: uint 64 */
    {SCALAR, 0, 1},  /* 0xd0: int 8 */
    {SCALAR, 0, 2},  /* 0xd1: int 16 */
    {SCALAR, 0, 4},  /* 0xd2: int 32 */
    {SCALAR, 0, 8},  /* 0xd3: int 64 */
    {SCALAR, 0, 2},  /* 0xd4: fixext 1 */
    {SCALAR, 0, 3},  /* 0xd5: fixext 2 */
    {SCALAR, 0, 5},  /* 0xd6: fixext 4 */
    {SCALAR, 0, 9},  /* 0xd7: fixext 8 */
    {SCALAR, 0, 17}, /* 0xd8: fixext 16 */
    {STR, 1, 0},     /* 0xd9: str 8 */
    {STR, 2, 0},     /* 0xda: str 16 */
    {STR, 4, 0},     /* 0xdb: str 32 */
    {ARRAY, 2, 0},   /* 0xdc: array 16 */
    {ARRAY, 4, 0},   /* 0xdd: array 32 */
    {MAP, 2, 0},     /* 0xde: map 16 */
    {MAP, 4, 0},     /* 0xdf: map 32 */
};

/* The head of one value. `items` are the values right behind it that belong to it. */
struct head {
    enum kind kind;
    size_t size;      /* of the head itself */
    uint64_t payload; /* bytes of content; 0 for arrays and maps */
    uint64_t items;
};

struct cursor {
    const uint8_t *begin; /* for positions in errors */
    const uint8_t *at;
    size_t left;
};

static struct cursor cursor_of(const void *bytes, size_t size)
{
    return (struct cursor){bytes, bytes, size};
}

static size_t position(const struct cursor *in)
{
    return (size_t)(in->at - in->begin);
}

static int cut_short(const struct cursor *in, struct wps_error *error)
{
    return wps_error_set(error, -EBADMSG,
                         "cut short: the value at byte %zu is longer than the %zu bytes left",
                         position(in), in->left);
}

static uint64_t read_length(const uint8_t *at, unsigned n_bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n_bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* A first byte that holds its length itself, as a form would have it. */
static bool head_of_short(uint8_t byte, struct head *ret)
{
    *ret = (struct head){.kind = SCALAR, .size = 1};
    if (byte < 0x80 || byte >= 0xe0)
        return true;
    if (byte < 0x90) {
        ret->kind = MAP;
        ret->items = UINT64_C(2) * (byte & 0x0f);
    } else if (byte < 0xa0) {
        ret->kind = ARRAY;
        ret->items = byte & 0x0f;
    } else if (byte < 0xc0) {
        ret->kind = STR;
        ret->payload = byte & 0x1f;
    } else {
        return false;
    }
    return true;
}

static int head_read(const struct cursor *in, struct head *ret, struct wps_error *error)
{
    if (in->left == 0)
        return cut_short(in, error);
    if (head_of_short(in->at[0], ret))
        return 0;

    const struct form *form = &forms[in->at[0] - 0xc0];
    if (form->kind == INVALID)
        return wps_error_set(error, -EBADMSG, "not msgpack: 0x%02x at byte %zu", in->at[0],
                             position(in));
    if (in->left <= form->length_bytes)
        return cut_short(in, error);

    uint64_t length = read_length(in->at + 1, form->length_bytes);
    *ret = (struct head){.kind = form->kind, .size = (size_t)form->length_bytes + 1};
    if (form->kind == ARRAY)
        ret->items = length;
    else if (form->kind == MAP)
        ret->items = 2 * length;
    else
        ret->payload = length + form->payload;
    return 0;
}

/* Reads the head of the next value and passes it and its content, up to its first item. */
static int cursor_step(struct cursor *in, struct head *ret, struct wps_error *error)
{
    int result = head_read(in, ret, error);
    if (result < 0)
        return result;
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): errors are negative
    if (ret->payload > in->left - ret->size)
        return cut_short(in, error);
    size_t size = ret->size + (size_t)ret->payload;
    /* Every item has a byte at least, so a count that cannot be true is seen before any walking. */
    if (ret->items > in->left - size)
        return cut_short(in, error);
    in->at += size;
    in->left -= size;
    return 0;
}

/* The size of a value that says it in its first byte and holds no others; 0: of another kind. */
static size_t short_size(uint8_t byte, bool *ret_is_str)
{
    *ret_is_str = (byte & 0xe0) == 0xa0;
    if (*ret_is_str)
        return 1u + (byte & 0x1f);
    if (byte < 0x80 || byte >= 0xe0)
        return 1;
    if (byte < 0xc0)
        return 0;
    const struct form *form = &forms[byte - 0xc0];
    return form->kind == SCALAR && form->length_bytes == 0 ? 1u + form->payload : 0;
}

/* Most values are passed at a glance. `*ret_str` is the content of a str, or empty. False: it is of
 * another kind, or cut short. */
static bool pass_short(struct cursor *in, struct text *ret_str)
{
    if (in->left == 0)
        return false;
    bool is_str;
    size_t size = short_size(in->at[0], &is_str);
    if (size == 0 || size > in->left)
        return false;
    *ret_str = (struct text){(const char *)in->at + 1, is_str ? size - 1 : 0};
    in->at += size;
    in->left -= size;
    return true;
}

/* The content where `raw` is a str, else a null text. */
static struct text str_content(struct text raw)
{
    struct cursor in = cursor_of(raw.at, raw.size);
    struct head head;
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): errors are negative
    if (head_read(&in, &head, NULL) < 0 || head.kind != STR)
        return (struct text){0};
    return (struct text){raw.at + head.size, (size_t)head.payload};
}

/* Passes the next value up to its first item. `*ret_str` is the content of a str, else empty. */
static int pass(struct cursor *in, struct head *ret, struct text *ret_str, struct wps_error *error)
{
    *ret = (struct head){.kind = SCALAR};
    if (pass_short(in, ret_str))
        return 0;
    int result = cursor_step(in, ret, error);
    if (result == 0 && ret->kind == STR)
        *ret_str = (struct text){(const char *)in->at - ret->payload, (size_t)ret->payload};
    return result;
}

static int check(const void *bytes, size_t size, unsigned depth_max, bool texts, size_t *ret_used,
                 struct wps_error *error)
{
    struct cursor in = cursor_of(bytes, size);
    uint64_t open[WIRE_DEPTH_LIMIT]; /* items still to come in each array or map around us */
    unsigned depth = 0;

    assert(depth_max <= WIRE_DEPTH_LIMIT);
    if (size == 0)
        return wps_error_set(error, -EBADMSG, "empty: a msgpack value is expected");
    do {
        if (depth > 0)
            open[depth - 1]--;
        size_t start = position(&in);
        struct head head;
        struct text str = {0};
        int result = pass(&in, &head, &str, error);
        if (result < 0)
            return result;
        if (texts && !utf8_valid(str))
            return wps_error_set(error, -EBADMSG, "not valid UTF-8: the str at byte %zu", start);
        if (head.kind == ARRAY || head.kind == MAP) {
            if (depth == depth_max || depth == WIRE_DEPTH_LIMIT)
                return wps_error_set(error, -EBADMSG,
                                     "too deep: over %u arrays and maps in each other at byte %zu",
                                     depth, start);
            open[depth++] = head.items;
        }
        while (depth > 0 && open[depth - 1] == 0)
            depth--;
    } while (depth > 0);

    if (ret_used)
        *ret_used = position(&in);
    return 0;
}

int wire_check(const void *bytes, size_t size, unsigned depth_max, size_t *ret_used,
               struct wps_error *error)
{
    return check(bytes, size, depth_max, false, ret_used, error);
}

int wire_check_texts(const void *bytes, size_t size, unsigned depth_max, size_t *ret_used,
                     struct wps_error *error)
{
    return check(bytes, size, depth_max, true, ret_used, error);
}

/* Passes one whole value. A count of what is still to come does where depth does not matter. */
static int cursor_skip(struct cursor *in)
{
    uint64_t to_come = 1;
    while (to_come > 0) {
        struct head head;
        int result = cursor_step(in, &head, NULL);
        if (result < 0)
            return result;
        to_come += head.items - 1;
        if (to_come > in->left)
            return -EBADMSG;
    }
    return 0;
}

int wire_pairs_begin(struct wire_pairs *ret, struct text map_bytes)
{
    struct cursor in = cursor_of(map_bytes.at, map_bytes.size);
    struct head head;
    int result = cursor_step(&in, &head, NULL);
    if (result < 0)
        return result;
    if (head.kind != MAP)
        return -EBADMSG;
    *ret = (struct wire_pairs){{(const char *)in.at, in.left}, head.items / 2};
    return 0;
}

/* Passes one value; `*ret_raw` are its bytes. */
static int take_value(struct cursor *in, struct text *ret_raw)
{
    const uint8_t *start = in->at;
    int result = cursor_skip(in);
    if (result < 0)
        return result;
    *ret_raw = (struct text){(const char *)start, (size_t)(in->at - start)};
    return 0;
}

int wire_pairs_next(struct wire_pairs *pairs, struct text *ret_key, struct text *ret_value)
{
    struct text key, value;

    if (pairs->left == 0)
        return 0;
    struct cursor in = cursor_of(pairs->rest.at, pairs->rest.size);
    int result = take_value(&in, &key);
    if (result < 0)
        return result;
    result = take_value(&in, &value);
    if (result < 0)
        return result;

    pairs->rest = (struct text){(const char *)in.at, in.left};
    pairs->left--;
    *ret_key = str_content(key);
    *ret_value = value;
    return 1;
}

int wire_find_raw(struct text map_bytes, const char *key, struct text *ret_value)
{
    struct text wanted = text_of(key);
    struct text found = {0};
    struct wire_pairs pairs;

    int result = wire_pairs_begin(&pairs, map_bytes);
    if (result < 0)
        return result;
    struct text name, value;
    while ((result = wire_pairs_next(&pairs, &name, &value)) > 0) {
        if (name.at && text_equal(name, wanted))
            found = value;
    }
    if (result < 0)
        return result;
    if (!found.at)
        return -ENOENT;
    *ret_value = found;
    return 0;
}
