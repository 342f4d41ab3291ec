/* SPDX-License-Identifier: Apache-2.0 */

/* Quoting of foreign text for error sentences. */

#include "schemas/quote.h"

#include <stdint.h>
#include <stdio.h>

#include "schemas/utf8.h"

enum {
    ESCAPE_SIZE = 4,                           /* \xNN */
    TAIL_SIZE = sizeof "...'",                 /* always kept free */
    FILL_SIZE = QUOTE_SIZE - TAIL_SIZE,        /* what may be written before the tail */
    CHARACTER_SIZE_MAX = 4 * (int)ESCAPE_SIZE, /* no character needs more */
};

/* C1 controls (U+0080 to U+009F) steer terminals as much as C0 ones do. */
static bool is_plain(struct text character)
{
    uint8_t first = (uint8_t)character.at[0];
    if (character.size == 1)
        return first >= 0x20 && first < 0x7F && first != '\'' && first != '\\';
    return !(first == 0xC2 && (uint8_t)character.at[1] < 0xA0);
}

static size_t put_character(char *out, struct text character, bool valid)
{
    if (valid && is_plain(character)) {
        memcpy(out, character.at, character.size);
        return character.size;
    }
    for (size_t i = 0; i < character.size; i++)
        snprintf(out + i * ESCAPE_SIZE, ESCAPE_SIZE + 1, "\\x%02x", (uint8_t)character.at[i]);
    return character.size * ESCAPE_SIZE;
}

const char *quote(char buffer[static QUOTE_SIZE], struct text text)
{
    size_t used = 0;
    buffer[used++] = '\'';
    while (text.size > 0 && used + CHARACTER_SIZE_MAX < FILL_SIZE) {
        struct utf8_step step = utf8_step(text);
        used += put_character(buffer + used, (struct text){text.at, step.size}, step.valid);
        text.at += step.size;
        text.size -= step.size;
    }
    snprintf(buffer + used, QUOTE_SIZE - used, text.size > 0 ? "...'" : "'");
    return buffer;
}
