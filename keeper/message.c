/* SPDX-License-Identifier: Apache-2.0 */

/* Packing and reading the keeper's messages. */

#include "keeper/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *word;
    bool has_number, has_name;
} forms[] = {
    [KEEPER_KEEP] = {"+", true, true},     [KEEPER_LEAVE] = {"-", true, true},
    [KEEPER_BYE] = {"bye", false, false},  [KEEPER_READY] = {"ready", true, false},
    [KEEPER_DONE] = {"done", true, false}, [KEEPER_FAILED] = {"failed", true, false},
};

/* Takes `count` bytes off the front. */
static void skip(const char **at, size_t *size, size_t count)
{
    *at += count;
    *size -= count;
}

/* Takes a space and a decimal number that is written as it should be. */
static bool take_number(const char **at, size_t *size, uint64_t *ret)
{
    uint64_t number = 0;
    if (*size < 2 || **at != ' ' || (*at)[1] == '0')
        return false;
    skip(at, size, 1);
    const char *first = *at;
    for (; *size && **at >= '0' && **at <= '9'; skip(at, size, 1))
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(**at - '0'), &number))
            return false;
    *ret = number;
    return *at > first;
}

/* Takes a space and the rest as a name: letters, digits, '.', '_' and '-', a letter first. */
static bool take_name(const char **at, size_t *size, char name[static KEEPER_NAME_MAX + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char others[] = "0123456789._-";
    if (*size < 2 || **at != ' ' || *size - 1 > KEEPER_NAME_MAX)
        return false;
    skip(at, size, 1);
    for (size_t i = 0; i < *size; i++) {
        char c = (*at)[i];
        if (c == '\0' || (!strchr(letters, c) && (i == 0 || !strchr(others, c))))
            return false;
    }
    memcpy(name, *at, *size);
    name[*size] = '\0';
    skip(at, size, *size);
    return true;
}

int keeper_message_read(struct keeper_message *ret, const char *bytes, size_t size)
{
    struct keeper_message message = {0};
    for (size_t verb = 0; verb < sizeof forms / sizeof *forms; verb++) {
        const char *at = bytes;
        size_t left = size, word = strlen(forms[verb].word);
        if (left < word || memcmp(at, forms[verb].word, word) != 0)
            continue;
        skip(&at, &left, word);
        if ((forms[verb].has_number && !take_number(&at, &left, &message.number)) ||
            (forms[verb].has_name && !take_name(&at, &left, message.name)) || left)
            return -EBADMSG;
        message.verb = (enum keeper_verb)verb;
        *ret = message;
        return 0;
    }
    return -EBADMSG;
}

size_t keeper_message_write(char bytes[static KEEPER_MESSAGE_MAX],
                            const struct keeper_message *message)
{
    char text[KEEPER_MESSAGE_MAX + 1];
    int size = snprintf(text, sizeof text, "%s", forms[message->verb].word);
    if (forms[message->verb].has_number)
        size += snprintf(text + size, sizeof text - (size_t)size, " %" PRIu64, message->number);
    if (forms[message->verb].has_name)
        size += snprintf(text + size, sizeof text - (size_t)size, " %s", message->name);
    memcpy(bytes, text, (size_t)size);
    return (size_t)size;
}
