/* SPDX-License-Identifier: Apache-2.0 */

/* UTF-8 as RFC 3629 defines it. The lead byte tells the length and narrows the second byte, and
 * that alone keeps out overlong forms, surrogates and what lies beyond U+10FFFF. */

#include "schemas/utf8.h"

#include <stdint.h>

struct lead {
    uint8_t first, last;             /* lead bytes of this row */
    uint8_t size;                    /* of the character */
    uint8_t second_low, second_high; /* allowed second bytes */
};

static const struct lead leads[] = {
    {0xC2, 0xDF, 2, 0x80, 0xBF}, {0xE0, 0xE0, 3, 0xA0, 0xBF}, {0xE1, 0xEC, 3, 0x80, 0xBF},
    {0xED, 0xED, 3, 0x80, 0x9F}, {0xEE, 0xEF, 3, 0x80, 0xBF}, {0xF0, 0xF0, 4, 0x90, 0xBF},
    {0xF1, 0xF3, 4, 0x80, 0xBF}, {0xF4, 0xF4, 4, 0x80, 0x8F},
};

static const struct lead *lead_of(uint8_t byte)
{
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++) {
        if (byte >= leads[i].first && byte <= leads[i].last)
            return &leads[i];
    }
    return NULL;
}

struct utf8_step utf8_step(struct text text)
{
    const uint8_t *bytes = (const uint8_t *)text.at;
    if (bytes[0] < 0x80)
        return (struct utf8_step){.size = 1, .valid = true};

    const struct lead *lead = lead_of(bytes[0]);
    if (!lead)
        return (struct utf8_step){.size = 1};

    uint8_t low = lead->second_low;
    uint8_t high = lead->second_high;
    for (size_t i = 1; i < lead->size; i++) {
        if (i == text.size)
            return (struct utf8_step){.size = i, .unfinished = true};
        if (bytes[i] < low || bytes[i] > high)
            return (struct utf8_step){.size = i};
        low = 0x80;
        high = 0xBF;
    }
    return (struct utf8_step){.size = lead->size, .valid = true};
}

size_t utf8_ascii_prefix(struct text text)
{
    size_t at = 0;
    while (text.size - at >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, text.at + at, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
        at += sizeof word;
    }
    uint32_t half;
    if (text.size - at >= sizeof half) {
        memcpy(&half, text.at + at, sizeof half);
        at += half & UINT32_C(0x80808080) ? 0 : sizeof half;
    }
    while (at < text.size && (uint8_t)text.at[at] < 0x80)
        at++;
    return at;
}

bool utf8_valid(struct text text)
{
    for (;;) {
        size_t plain = utf8_ascii_prefix(text);
        if (plain == text.size)
            return true;
        struct utf8_step step = utf8_step((struct text){text.at + plain, text.size - plain});
        if (!step.valid)
            return false;
        text.at += plain + step.size;
        text.size -= plain + step.size;
    }
}
