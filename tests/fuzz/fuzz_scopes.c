/* SPDX-License-Identifier: Apache-2.0 */

/* Scopes and the names of blocks: the matcher against its rules as one reads them. Input: pattern,
 * NUL, scope, NUL, more scopes of the event. */

#include "client/scopes.h"
#include "fuzz.h"
#include "schemas/names.h"
#include "schemas/wire.h"

enum { SCOPES_MAX = 8 };

/* The part number `n` of a scope; false: it has fewer. */
static bool part(struct text scope, size_t n, struct text *ret)
{
    const char *from = scope.at, *end = scope.at + scope.size;
    for (;; n--) {
        const char *colon = from;
        while (colon < end && *colon != ':')
            colon++;
        *ret = (struct text){from, (size_t)(colon - from)};
        if (n == 0)
            return true;
        if (colon == end)
            return false;
        from = colon + 1;
    }
}

static bool model(struct text pattern, struct text scope)
{
    for (size_t i = 0;; i++) {
        struct text want, have, after;
        bool wanted = part(pattern, i, &want), given = part(scope, i, &have);
        if (!wanted)
            return !given;
        if (text_is(want, "**"))
            return !part(pattern, i + 1, &after);
        if (!given || (!text_is(want, "*") && !text_equal(want, have)))
            return false;
    }
}

static bool begins_with(struct text text, struct text prefix)
{
    return text.size >= prefix.size && text_equal((struct text){text.at, prefix.size}, prefix);
}

static void check_pair(struct text pattern, struct text scope)
{
    bool matches = scope_matches(pattern, scope);
    must(matches == model(pattern, scope));
    if (matches)
        must(begins_with(scope, scope_prefix(pattern)));
    if (!scope_is_star(pattern))
        must(matches == text_equal(pattern, scope));
}

/* It comes once for each scope, and is delivered with one of them at most. */
static void check_delivery(struct text pattern, const struct text *scopes, size_t n)
{
    const struct subscription all = {.all_scopes = true}, one = {.scopes = &pattern, .n_scopes = 1};
    unsigned delivered = 0, matching = 0, always = 0;
    for (size_t i = 0; i < n; i++) {
        bool repeated = false;
        for (size_t k = 0; k < i; k++)
            repeated = repeated || text_equal(scopes[k], scopes[i]);
        if (repeated)
            return; /* a decoded event has each once */
        delivered += subscription_delivers(&one, scopes[i], scopes, n);
        always += subscription_delivers(&all, scopes[i], scopes, n);
        matching += scope_matches(pattern, scopes[i]);
    }
    must(delivered == (matching > 0));
    must(always == (n > 0));
}

static void check_names(struct text name)
{
    struct wps_error error = {""};
    if (block_id_check(name, "data.block_id", &error) == 0) {
        char topic[TOPIC_MAX + 1];
        must(topic_of_block(topic, name) == name.size + strlen(TOPIC_PREFIX));
        must(!memchr(name.at, '/', name.size) && name.at[0] != '.');
        must(subscope_check(name, "data.scope", NULL) == 0);
    } else {
        must(wire_utf8_valid(text_of(error.message)));
    }
    if (subscope_check(name, "data.scope", &error) == 0) {
        must(subscope_covers(name, name));
        must(name.at[0] != '/' && name.at[name.size - 1] != '/' && name.size <= SUBSCOPE_MAX);
    }
    topic_check(name, "scopes[0]", &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct text texts[SCOPES_MAX + 1];
    size_t n = 0;
    while (n <= SCOPES_MAX && (n < 2 || input.left > 0)) {
        const uint8_t *end = input.left ? memchr(input.at, '\0', input.left) : NULL;
        texts[n++] = take_text(&input, end ? (size_t)(end - input.at) : input.left);
        take_byte(&input);
    }
    check_pair(texts[0], texts[1]);
    check_delivery(texts[0], texts + 1, n - 1);
    check_names(texts[0]);
    for (size_t i = 0; i < n; i++)
        free((void *)texts[i].at);
    return 0;
}
