/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

/* A view of bytes that somebody else owns: not NUL terminated, and it may hold NUL. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct text {
    const char *at; /* null only where size is 0 */
    size_t size;    /* bytes */
};

static inline struct text text_of(const char *string)
{
    return (struct text){string, string ? strlen(string) : 0};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

static inline bool text_is(struct text a, const char *string)
{
    return text_equal(a, text_of(string));
}

/* Copies the bytes to where there is room for them; no NUL. */
static inline void text_copy(char *to, struct text text)
{
    if (text.size)
        memcpy(to, text.at, text.size);
}

#endif
