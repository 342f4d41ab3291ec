/* SPDX-License-Identifier: Apache-2.0 */

/* Matching of scopes, part by part. */

#include "client/scopes.h"

/* Walks over the parts of a scope: there is always at least one. */
struct parts {
    const char *at;
    const char *end;
    bool done;
};

static struct parts parts_of(struct text scope)
{
    return (struct parts){scope.at, scope.at + scope.size, false};
}

static struct text parts_next(struct parts *parts)
{
    size_t left = (size_t)(parts->end - parts->at);
    const char *colon = left ? memchr(parts->at, ':', left) : NULL;
    struct text part = {parts->at, colon ? (size_t)(colon - parts->at) : left};
    if (colon)
        parts->at = colon + 1;
    else
        parts->done = true;
    return part;
}

static bool part_is_star(struct text part)
{
    return text_is(part, "*") || text_is(part, "**");
}

bool scope_is_star(struct text scope)
{
    for (struct parts parts = parts_of(scope); !parts.done;)
        if (part_is_star(parts_next(&parts)))
            return true;
    return false;
}

bool scope_matches(struct text pattern, struct text scope)
{
    struct parts wanted = parts_of(pattern);
    struct parts given = parts_of(scope);
    while (!wanted.done) {
        struct text want = parts_next(&wanted);
        if (text_is(want, "**"))
            return wanted.done;
        if (given.done)
            return false;
        struct text have = parts_next(&given);
        if (!text_is(want, "*") && !text_equal(want, have))
            return false;
    }
    return given.done;
}

struct text scope_prefix(struct text pattern)
{
    for (struct parts parts = parts_of(pattern); !parts.done;) {
        struct text part = parts_next(&parts);
        if (!part_is_star(part))
            continue;
        size_t size = (size_t)(part.at - pattern.at);
        /* "a:**" matches "a" too, which has no colon behind it. */
        if (text_is(part, "**") && size > 0)
            size--;
        return (struct text){pattern.at, size};
    }
    return pattern;
}

static bool wants(const struct subscription *subscription, struct text scope)
{
    for (size_t i = 0; i < subscription->n_scopes; i++)
        if (scope_matches(subscription->scopes[i], scope))
            return true;
    return false;
}

bool subscription_delivers(const struct subscription *subscription, struct text topic,
                           const struct text *scopes, size_t n_scopes)
{
    if (n_scopes == 0)
        return subscription->all_scopes && topic.size == 0;
    for (size_t i = 0; i < n_scopes; i++)
        if (subscription->all_scopes || wants(subscription, scopes[i]))
            return text_equal(scopes[i], topic);
    return false;
}
