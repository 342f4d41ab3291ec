/* SPDX-License-Identifier: Apache-2.0 */

/* UTF-8 after RFC 3629 and the Unicode standard, section 3.9; and the quoting of foreign text. */

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>

#include "schemas/quote.h"
#include "schemas/utf8.h"
#include "schemas/wire.h"

/* The definition, written out the long way: a code point of 1 to 4 bytes in its shortest form. */
static size_t encode(uint32_t point, char bytes[4])
{
    if (point < 0x80) {
        bytes[0] = (char)point;
        return 1;
    }
    size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size - 1; i > 0; i--) {
        bytes[i] = (char)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    bytes[0] = (char)(lead[size] | point);
    return size;
}

Test(utf8, every_code_point_but_the_surrogates_is_valid)
{
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        char bytes[4];
        size_t size = encode(point, bytes);
        bool surrogate = point >= 0xD800 && point <= 0xDFFF;
        struct utf8_step step = utf8_step((struct text){bytes, size});
        cr_assert_eq(step.valid, !surrogate, "U+%04X", point);
        if (!surrogate)
            cr_assert_eq(step.size, size, "U+%04X", point);
        cr_assert_eq(wire_utf8_valid((struct text){bytes, size}), !surrogate, "U+%04X", point);
    }
}

/* The first broken part of each, from tables 3-8 to 3-11 of the Unicode standard and around them.
 */
static const struct {
    const char *bytes;
    size_t size; /* of the broken part */
    bool unfinished;
} broken[] = {
    {"\x80", 1, false},         /* continuation alone */
    {"\xC0\xAF", 1, false},     /* overlong */
    {"\xC1\xBF", 1, false},     /* overlong */
    {"\xE0\x80\xBF", 1, false}, /* overlong */
    {"\xE0\x9F\xBF", 1, false}, /* overlong */
    {"\xF0\x80\x80\x80", 1, false},
    {"\xF0\x8F\xBF\xBF", 1, false},
    {"\xED\xA0\x80", 1, false},     /* surrogate */
    {"\xED\xBF\xBF", 1, false},     /* surrogate */
    {"\xF4\x90\x80\x80", 1, false}, /* beyond U+10FFFF */
    {"\xF5\x80\x80\x80", 1, false},
    {"\xFF", 1, false},
    {"\xC3z", 1, false},
    {"\xE2\x82z", 2, false},
    {"\xF0\x9F\x98z", 3, false},
    {"\xF0\x9Fz", 2, false},
    {"\xE1\x80\xE2", 2, false},
    {"\xC3", 1, true},
    {"\xE2", 1, true},
    {"\xE2\x82", 2, true},
    {"\xF0\x9F\x98", 3, true},
};

Test(utf8, a_broken_part_is_as_long_as_the_standard_says)
{
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct utf8_step step = utf8_step(text_of(broken[i].bytes));
        cr_assert_not(step.valid, "row %zu", i);
        cr_assert_eq(step.size, broken[i].size, "row %zu: %zu", i, step.size);
        cr_assert_eq(step.unfinished, broken[i].unfinished, "row %zu", i);
        cr_assert_not(wire_utf8_valid(text_of(broken[i].bytes)), "row %zu", i);
    }
}

Test(utf8, a_broken_byte_is_seen_wherever_it_stands)
{
    char bytes[40];
    for (size_t at = 0; at < sizeof bytes; at++) {
        memset(bytes, 'a', sizeof bytes);
        cr_assert(utf8_valid((struct text){bytes, sizeof bytes}));
        bytes[at] = '\xFF';
        cr_assert_not(utf8_valid((struct text){bytes, sizeof bytes}), "at %zu", at);
        cr_assert_eq(utf8_ascii_prefix((struct text){bytes, sizeof bytes}), at);
    }
}

Test(utf8, an_empty_text_and_nul_are_valid)
{
    cr_assert(utf8_valid((struct text){0}));
    cr_assert(utf8_valid((struct text){"a\0b", 3}));
}

static const struct {
    struct text text;
    const char *quoted;
} quotes[] = {
    {{"", 0}, "''"},
    {{"plain", 5}, "'plain'"},
    {{"a\0b", 3}, "'a\\x00b'"},
    {{"\x1b[31m\n\x7f", 7}, "'\\x1b[31m\\x0a\\x7f'"},
    {{"it's", 4}, "'it\\x27s'"},
    {{"a\\b", 3}, "'a\\x5cb'"},
    {{"\xc3\xa9", 2}, "'\xc3\xa9'"},
    {{"\xc2\x9b", 2}, "'\\xc2\\x9b'"},
    {{"\xff\xe2\x82", 3}, "'\\xff\\xe2\\x82'"},
};

Test(quote, foreign_text_is_harmless_and_readable)
{
    for (size_t i = 0; i < sizeof quotes / sizeof *quotes; i++) {
        char buffer[QUOTE_SIZE];
        cr_assert_str_eq(quote(buffer, quotes[i].text), quotes[i].quoted);
    }
}

Test(quote, long_text_is_cut_and_says_so)
{
    static const char *const fillers[] = {"a", "\xff", "\xc3\xa9", "\xf0\x9f\x98\x80", "\xc2\x80"};
    for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++) {
        char text[1000];
        size_t unit = strlen(fillers[i]);
        size_t size = 0;
        for (; size + unit <= sizeof text; size += unit)
            memcpy(text + size, fillers[i], unit);
        char buffer[QUOTE_SIZE];
        quote(buffer, (struct text){text, size});
        size_t length = strlen(buffer);
        cr_assert_lt(length, QUOTE_SIZE);
        cr_assert_gt(length, QUOTE_SIZE / 2);
        cr_assert_str_eq(buffer + length - 4, "...'");
        cr_assert(utf8_valid(text_of(buffer)));
    }
}
