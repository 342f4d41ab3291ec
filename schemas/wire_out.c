/* SPDX-License-Identifier: Apache-2.0 */

/* Writing: values are packed into a buffer that grows and is used again. A failed write is
 * remembered once for the whole message, so that who packs need not ask after every key. */

#include "schemas/wire.h"

#include <errno.h>
#include <stdlib.h>

#include "schemas/utf8.h"

static int write_bytes(void *context, const char *bytes, size_t size)
{
    struct wire_out *out = context;
    if (size == 0)
        return 0;
    if (out->failed || msgpack_sbuffer_write(&out->bytes, bytes, size) != 0) {
        out->failed = true;
        return -1;
    }
    return 0;
}

/* msgpack counts in 32 bits, and msgpack-c would cut a greater count off without a word. */
static bool countable(struct wire_out *out, size_t count)
{
    if (count > UINT32_MAX)
        out->failed = true;
    return count <= UINT32_MAX;
}

void wire_out_init(struct wire_out *out)
{
    *out = (struct wire_out){0};
    msgpack_sbuffer_init(&out->bytes);
    msgpack_packer_init(&out->packer, out, write_bytes);
}

void wire_out_clear(struct wire_out *out)
{
    msgpack_sbuffer_clear(&out->bytes);
    out->failed = false;
}

int wire_out_reserve(struct wire_out *out, size_t size)
{
    if (out->bytes.alloc >= size)
        return 0;
    char *data = realloc(out->bytes.data, size);
    if (!data)
        return -ENOMEM;
    out->bytes.data = data;
    out->bytes.alloc = size;
    return 0;
}

char *wire_out_take(struct wire_out *out, size_t reserve, size_t *ret_size)
{
    char *room = malloc(reserve), *taken = out->bytes.data;
    if (!room)
        return NULL;
    *ret_size = out->bytes.size;
    out->bytes = (msgpack_sbuffer){.data = room, .alloc = reserve};
    return taken;
}

void wire_out_destroy(struct wire_out *out)
{
    msgpack_sbuffer_destroy(&out->bytes);
    *out = (struct wire_out){0};
}

bool wire_out_failed(const struct wire_out *out)
{
    return out->failed;
}

void wire_put_map(struct wire_out *out, size_t n_pairs)
{
    if (countable(out, n_pairs))
        msgpack_pack_map(&out->packer, n_pairs);
}

void wire_put_array(struct wire_out *out, size_t n_items)
{
    if (countable(out, n_items))
        msgpack_pack_array(&out->packer, n_items);
}

/* A str that is shorter than this has its size in its first byte. */
enum { FIXSTR_SIZES = 32, FIXSTR = 0xa0 };

static void put_short_text(struct wire_out *out, struct text text)
{
    char bytes[FIXSTR_SIZES];
    bytes[0] = (char)(FIXSTR | text.size);
    text_copy(bytes + 1, text);
    write_bytes(out, bytes, text.size + 1);
}

void wire_put_text(struct wire_out *out, struct text text)
{
    if (text.size < FIXSTR_SIZES) {
        put_short_text(out, text); /* most are: in one piece */
        return;
    }
    if (!countable(out, text.size))
        return;
    msgpack_pack_str(&out->packer, text.size);
    msgpack_pack_str_body(&out->packer, text.at, text.size);
}

void wire_put_uint(struct wire_out *out, uint64_t value)
{
    msgpack_pack_uint64(&out->packer, value);
}

void wire_put_int(struct wire_out *out, int64_t value)
{
    msgpack_pack_int64(&out->packer, value);
}

void wire_put_bool(struct wire_out *out, bool value)
{
    if (value)
        msgpack_pack_true(&out->packer);
    else
        msgpack_pack_false(&out->packer);
}

/* A str begins with its size, so the pieces are counted before they are put. */
static size_t repaired_size(struct text bytes)
{
    size_t size = 0;
    while (bytes.size > 0) {
        struct utf8_step step = utf8_step(bytes);
        size += step.valid ? step.size : sizeof UTF8_REPLACEMENT - 1;
        bytes.at += step.size;
        bytes.size -= step.size;
    }
    return size;
}

void wire_put_repaired(struct wire_out *out, struct text bytes)
{
    if (utf8_valid(bytes)) {
        wire_put_text(out, bytes);
        return;
    }
    size_t size = repaired_size(bytes);
    if (!countable(out, size))
        return;
    msgpack_pack_str(&out->packer, size);
    while (bytes.size > 0) {
        struct utf8_step step = utf8_step(bytes);
        if (step.valid)
            write_bytes(out, bytes.at, step.size);
        else
            write_bytes(out, UTF8_REPLACEMENT, sizeof UTF8_REPLACEMENT - 1);
        bytes.at += step.size;
        bytes.size -= step.size;
    }
}

void wire_put_raw(struct wire_out *out, const void *bytes, size_t size)
{
    write_bytes(out, bytes, size);
}

void wire_put_object(struct wire_out *out, const msgpack_object *object)
{
    msgpack_pack_object(&out->packer, *object);
}
