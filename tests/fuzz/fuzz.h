/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

/* What the fuzzers share. Each is one file with one LLVMFuzzerTestOneInput, which libFuzzer calls
 * with bytes that it makes up. The bytes are handed on in a piece of memory of just their size, so
 * that the address sanitizer sees every read past their end. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has to hold whatever the input is. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Input that is taken apart piece by piece; behind its end all is 0 and empty. */
struct input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t take_byte(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

/* A copy of the next `size` bytes, or of what is left, with a NUL behind it; free (3). */
static inline char *take_string(struct input *input, size_t size, size_t *ret_size)
{
    if (size > input->left)
        size = input->left;
    char *copy = malloc(size + 1);
    must(copy);
    if (size)
        memcpy(copy, input->at, size);
    copy[size] = '\0';
    input->at += size;
    input->left -= size;
    if (ret_size)
        *ret_size = size;
    return copy;
}

/* The same without the NUL: a read past its end is seen. */
static inline struct text take_text(struct input *input, size_t size)
{
    if (size > input->left)
        size = input->left;
    char *copy = malloc(size ? size : 1);
    must(copy);
    if (size)
        memcpy(copy, input->at, size);
    input->at += size;
    input->left -= size;
    return (struct text){copy, size};
}

#endif
