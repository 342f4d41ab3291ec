/* SPDX-License-Identifier: Apache-2.0 */

/* Messages as text for the tests of schemas: a packer of JSON-like text, and a printer. */

#include "test_schemas_tools.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- text to msgpack ------------------------------------------------------------------------ */

struct reader {
    const char *at;
    const char *whole;
};

static void wrong(const struct reader *in)
{
    fprintf(stderr, "not a message as text: %s\nat: %s\n", in->whole, in->at);
    abort();
}

static void skip_space(struct reader *in)
{
    while (isspace((unsigned char)*in->at))
        in->at++;
}

static bool take(struct reader *in, const char *token)
{
    skip_space(in);
    if (strncmp(in->at, token, strlen(token)) != 0)
        return false;
    in->at += strlen(token);
    return true;
}

static unsigned take_hex(struct reader *in)
{
    unsigned value;
    if (sscanf(in->at, "%2x", &value) != 1)
        wrong(in);
    in->at += 2;
    return value;
}

static void pack_string(struct wire_out *out, struct reader *in)
{
    char bytes[8192];
    size_t size = 0;
    while (*in->at != '\'') {
        if (*in->at == '\0' || size == sizeof bytes)
            wrong(in);
        if (in->at[0] == '\\' && in->at[1] == 'x') {
            in->at += 2;
            bytes[size++] = (char)take_hex(in);
        } else {
            bytes[size++] = *in->at++;
        }
    }
    in->at++;
    wire_put_text(out, (struct text){bytes, size});
}

static void pack_bytes(struct wire_out *out, struct reader *in)
{
    while (!take(in, ">")) {
        char byte = (char)take_hex(in);
        wire_put_raw(out, &byte, 1);
    }
}

static void pack_number(struct wire_out *out, struct reader *in)
{
    char *end;
    size_t size = strspn(in->at, "-0123456789.e");
    if (size == 0)
        wrong(in);
    if (memchr(in->at, '.', size))
        msgpack_pack_double(&out->packer, strtod(in->at, &end));
    else if (in->at[0] == '-')
        wire_put_int(out, strtoll(in->at, &end, 10));
    else
        wire_put_uint(out, strtoull(in->at, &end, 10));
    in->at = end;
}

static void pack_value(struct wire_out *out, struct reader *in);

/* The items go into a buffer of their own, because their count comes before them. */
static void pack_items(struct wire_out *out, struct reader *in, bool is_map)
{
    WIRE_OUT(items);
    const char *end = is_map ? "}" : "]";
    size_t n = 0;
    while (!take(in, end)) {
        if (n > 0 && !take(in, ","))
            wrong(in);
        pack_value(&items, in);
        if (is_map && !take(in, ":"))
            wrong(in);
        if (is_map)
            pack_value(&items, in);
        n++;
    }
    if (is_map)
        wire_put_map(out, n);
    else
        wire_put_array(out, n);
    wire_put_raw(out, items.bytes.data, items.bytes.size);
}

static void pack_value(struct wire_out *out, struct reader *in)
{
    if (take(in, "{"))
        pack_items(out, in, true);
    else if (take(in, "["))
        pack_items(out, in, false);
    else if (take(in, "'"))
        pack_string(out, in);
    else if (take(in, "<"))
        pack_bytes(out, in);
    else if (take(in, "true"))
        wire_put_bool(out, true);
    else if (take(in, "false"))
        wire_put_bool(out, false);
    else if (take(in, "nil"))
        msgpack_pack_nil(&out->packer);
    else
        pack_number(out, in);
}

void pack_text(struct wire_out *out, const char *text)
{
    struct reader in = {text, text};
    pack_value(out, &in);
    skip_space(&in);
    if (*in.at != '\0')
        wrong(&in);
}

/* ---- msgpack to text ------------------------------------------------------------------------ */

static void print_string(FILE *file, struct text text)
{
    fputc('\'', file);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if (isprint(byte) && byte != '\'' && byte != '\\')
            fputc(byte, file);
        else
            fprintf(file, "\\x%02x", byte);
    }
    fputc('\'', file);
}

static void print_value(FILE *file, const msgpack_object *value)
{
    switch (value->type) {
    case MSGPACK_OBJECT_STR:
        print_string(file, (struct text){value->via.str.ptr, value->via.str.size});
        break;
    case MSGPACK_OBJECT_ARRAY:
        for (uint32_t i = 0; i < value->via.array.size; i++) {
            fputs(i ? ", " : "[", file);
            print_value(file, &value->via.array.ptr[i]);
        }
        fputs(value->via.array.size ? "]" : "[]", file);
        break;
    case MSGPACK_OBJECT_MAP:
        for (uint32_t i = 0; i < value->via.map.size; i++) {
            fputs(i ? ", " : "{", file);
            print_value(file, &value->via.map.ptr[i].key);
            fputs(": ", file);
            print_value(file, &value->via.map.ptr[i].val);
        }
        fputs(value->via.map.size ? "}" : "{}", file);
        break;
    default:
        msgpack_object_print(file, *value);
    }
}

char *text_of_packed(const void *bytes, size_t size)
{
    char *text = NULL;
    size_t text_size;
    struct wire_doc doc;
    FILE *file = open_memstream(&text, &text_size);
    if (wire_open(&doc, bytes, size, WIRE_DEPTH_LIMIT, NULL) < 0) {
        fputs("(not msgpack)", file);
    } else {
        print_value(file, &doc.root);
        wire_close(&doc);
    }
    fclose(file);
    return text;
}

char *exact_copy(const void *bytes, size_t size)
{
    char *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}
