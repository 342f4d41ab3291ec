/* SPDX-License-Identifier: Apache-2.0 */

/* The names of the protocol: what may be one, and how one covers another. */

#include "schemas/names.h"

#include <assert.h>
#include <errno.h>

#include "schemas/quote.h"
#include "schemas/utf8.h"

#define ALPHABET "A-Z a-z 0-9 . _ -"

static bool is_word_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

/* A block id, or one part of a sub-scope: `what` says which. */
static int word_check(struct text word, const char *what, const char *where,
                      struct wps_error *error)
{
    char quoted[QUOTE_SIZE];
    if (word.size == 0)
        return wps_error_set(error, -EINVAL, "%s: %s must not be empty", where, what);
    if (word.size > BLOCK_ID_MAX)
        return wps_error_set(error, -EINVAL, "%s: %s is at most %d bytes long, this one has %zu",
                             where, what, BLOCK_ID_MAX, word.size);
    for (size_t i = 0; i < word.size; i++) {
        if (!is_word_byte(word.at[i])) {
            char byte[QUOTE_SIZE];
            return wps_error_set(error, -EINVAL,
                                 "%s: %s holds %s at byte %zu; %s is made of " ALPHABET " only",
                                 where, quote(quoted, word),
                                 quote(byte, (struct text){word.at + i, 1}), i + 1, what);
        }
    }
    if (word.at[0] == '.' || word.at[0] == '-')
        return wps_error_set(error, -EINVAL,
                             "%s: %s begins with '%c'; %s may hold it, but not first", where,
                             quote(quoted, word), word.at[0], what);
    return 0;
}

int block_id_check(struct text id, const char *where, struct wps_error *error)
{
    return word_check(id, "a block id", where, error);
}

/* Takes what is before the first '/' off `rest`; false where there is no '/'. */
static bool split_part(struct text *rest, struct text *ret_part)
{
    const char *slash = rest->size > 0 ? memchr(rest->at, '/', rest->size) : NULL;
    if (!slash) {
        *ret_part = *rest;
        return false;
    }
    size_t size = (size_t)(slash - rest->at);
    *ret_part = (struct text){rest->at, size};
    *rest = (struct text){slash + 1, rest->size - size - 1};
    return true;
}

int subscope_check(struct text scope, const char *where, struct wps_error *error)
{
    bool more = true;
    for (int parts = 0; more; parts++) {
        if (parts == SUBSCOPE_PARTS_MAX)
            return wps_error_set(error, -EINVAL, "%s: at most %d parts joined by '/', as in bg/7",
                                 where, SUBSCOPE_PARTS_MAX);
        struct text part;
        more = split_part(&scope, &part);
        int result = word_check(part, "a part of a scope", where, error);
        if (result < 0)
            return result;
    }
    return 0;
}

bool subscope_covers(struct text tree, struct text scope)
{
    if (tree.size == 0)
        return true;
    if (scope.size < tree.size || !text_equal(tree, (struct text){scope.at, tree.size}))
        return false;
    return scope.size == tree.size || scope.at[tree.size] == '/';
}

int topic_check(struct text topic, const char *where, struct wps_error *error)
{
    if (topic.size > TOPIC_MAX)
        return wps_error_set(error, -EINVAL,
                             "%s: a scope is at most %d bytes long, this one has %zu", where,
                             TOPIC_MAX, topic.size);
    if (!utf8_valid(topic))
        return wps_error_set(error, -EINVAL, "%s: not valid UTF-8", where);
    return 0;
}

size_t topic_of_block(char topic[static TOPIC_MAX + 1], struct text id)
{
    const size_t prefix = sizeof TOPIC_PREFIX - 1;
    assert(id.size > 0 && id.size <= BLOCK_ID_MAX);
    memcpy(topic, TOPIC_PREFIX, prefix);
    memcpy(topic + prefix, id.at, id.size);
    topic[prefix + id.size] = '\0';
    return prefix + id.size;
}
