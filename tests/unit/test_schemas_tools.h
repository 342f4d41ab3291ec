/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_SCHEMAS_TOOLS_H
#define TEST_SCHEMAS_TOOLS_H

/* Messages as text, so that tests read as the protocol does: "{'pid': 1, 'scopes': ['block:1']}".
 */

#include "schemas/wire.h"

/* Packs JSON in single quotes. \xNN in a string is one byte; <c1 00> are bytes as they stand; keys
 * are any value. Anything else aborts: the test itself is wrong. */
void pack_text(struct wire_out *out, const char *text);

/* Writes msgpack bytes as text, the way back of pack_text; "(not msgpack)" where they are none.
 * Returns a string to be freed. */
char *text_of_packed(const void *bytes, size_t size);

static inline struct text packed(const struct wire_out *out)
{
    return (struct text){out->bytes.data, out->bytes.size};
}

/* The bytes in a block of just their size, so that a sanitizer sees a read past their end. To be
 * freed. */
char *exact_copy(const void *bytes, size_t size);

/* Cleanup for a wire_out that a test makes. */
static inline void cleanup_wire_out(struct wire_out *out)
{
    wire_out_destroy(out);
}

#define WIRE_OUT(name)                                                                             \
    __attribute__((cleanup(cleanup_wire_out))) struct wire_out name;                               \
    wire_out_init(&name)

/* What was packed is just this message, its keys in this order. */
#define assert_packed(out, expected)                                                               \
    do {                                                                                           \
        WIRE_OUT(wanted_);                                                                         \
        pack_text(&wanted_, expected);                                                             \
        char *seen_ = text_of_packed((out)->bytes.data, (out)->bytes.size);                        \
        cr_assert(text_equal(packed(out), packed(&wanted_)), "packed %s\nand not %s", seen_,       \
                  expected);                                                                       \
        free(seen_);                                                                               \
    } while (0)

#define assert_text(text, string)                                                                  \
    cr_assert(text_is(text, string), "'%.*s' is not '%s'", (int)(text).size, (text).at, string)

#endif
