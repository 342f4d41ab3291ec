/* SPDX-License-Identifier: Apache-2.0 */

/* Star scopes and subscriptions: the answers of wps, by cases and against a slow, obvious model. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "client/scopes.h"

static bool matches(const char *pattern, const char *scope)
{
    return scope_matches(text_of(pattern), text_of(scope));
}

static const struct {
    const char *pattern, *scope;
    bool matches;
} cases[] = {
    /* exact */
    {"a", "a", true},
    {"a", "b", false},
    {"a:b", "a:b", true},
    {"a:b", "a", false},
    {"a", "a:b", false},
    {"block:1", "block:10", false},
    /* one star is one part */
    {"*", "a", true},
    {"*", "a:b", false},
    {"a:*", "a:b", true},
    {"a:*", "a", false},
    {"a:*", "a:b:c", false},
    {"*:b", "a:b", true},
    {"a:*:c", "a:b:c", true},
    {"a:*:c", "a:b:d", false},
    {"*:*", "a:b", true},
    {"a*", "ab", false}, /* a star inside of a part is none */
    {"a*", "a*", true},
    {"***", "a", false},
    {"***", "***", true},
    /* two stars are all the rest, also none */
    {"**", "a", true},
    {"**", "a:b:c", true},
    {"a:**", "a:b:c", true},
    {"a:**", "a", true},
    {"a:**", "b", false},
    {"a:b:**", "a", false},
    {"a:*:**", "a:b", true},
    {"a:*:**", "a", false},
    /* and only at the end */
    {"**:a", "a", false},
    {"**:a", "b:a", false},
    {"a:**:b", "a:x:b", false},
    {"**:**", "a", false},
    {"a:**:b", "c", false},
    /* empty parts are parts */
    {"", "", true},
    {"", "a", false},
    {"*", "", true},
    {"**", "", true},
    {"a:", "a:", true},
    {"a:", "a", false},
    {"a:*", "a:", true},
    {"a:**", "a:", true},
    {":", ":", true},
    {"*:*", ":", true},
    {"*", ":", false},
    {"::*", "::x", true},
    {"a::b", "a:*:b", false}, /* stars count in the pattern alone */
    {"a:*:b", "a::b", true},
    /* more parts than the scope has */
    {"a:b:c", "a:b", false},
    {"*:*:*", "a:b", false},
    {"a:*:*:**", "a:b", false},
};

Test(scopes, star_scopes_answer_as_in_wps)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(matches(cases[i].pattern, cases[i].scope), cases[i].matches,
                     "\"%s\" on \"%s\"", cases[i].pattern, cases[i].scope);
}

/* The rules as one reads them, with everything split into parts first. */
static size_t split(char parts[8][8], const char *scope)
{
    size_t n = 0, at = 0;
    for (;; scope++) {
        if (*scope && *scope != ':') {
            parts[n][at++] = *scope;
            continue;
        }
        parts[n++][at] = '\0';
        at = 0;
        if (!*scope)
            return n;
    }
}

static bool model_matches(const char *pattern, const char *scope)
{
    char wanted[8][8], given[8][8];
    size_t n_wanted = split(wanted, pattern), n_given = split(given, scope);
    for (size_t i = 0; i < n_wanted; i++) {
        if (strcmp(wanted[i], "**") == 0)
            return i == n_wanted - 1;
        if (i >= n_given)
            return false;
        if (strcmp(wanted[i], "*") != 0 && strcmp(wanted[i], given[i]) != 0)
            return false;
    }
    return n_wanted == n_given;
}

static void random_scope(char *scope, size_t max)
{
    static const char letters[] = "ab**::*:";
    size_t size = (size_t)random() % max;
    for (size_t i = 0; i < size; i++)
        scope[i] = letters[(size_t)random() % (sizeof letters - 1)];
    scope[size] = '\0';
}

Test(scopes, random_scopes_answer_as_the_model_does)
{
    unsigned seed = (unsigned)time(NULL);
    srandom(seed);
    size_t matched = 0;
    for (int i = 0; i < 200000; i++) {
        char pattern[8], scope[8];
        random_scope(pattern, sizeof pattern);
        random_scope(scope, sizeof scope);
        bool expected = model_matches(pattern, scope);
        matched += expected;
        cr_assert_eq(matches(pattern, scope), expected, "seed %u: \"%s\" on \"%s\"", seed, pattern,
                     scope);
    }
    cr_assert_gt(matched, 1000);
}

Test(scopes, a_scope_is_a_star_scope_where_a_part_is_a_star)
{
    cr_assert(scope_is_star(text_of("*")));
    cr_assert(scope_is_star(text_of("a:**")));
    cr_assert(scope_is_star(text_of("**:a")));
    cr_assert(scope_is_star(text_of("a:*:b")));
    cr_assert_not(scope_is_star(text_of("")));
    cr_assert_not(scope_is_star(text_of("a*:b")));
    cr_assert_not(scope_is_star(text_of("***")));
}

Test(scopes, a_prefix_lets_through_all_that_can_match)
{
    srandom((unsigned)time(NULL));
    cr_assert(text_is(scope_prefix(text_of("block:*")), "block:"));
    cr_assert(text_is(scope_prefix(text_of("block:**")), "block"));
    cr_assert(text_is(scope_prefix(text_of("block:1")), "block:1"));
    cr_assert(text_is(scope_prefix(text_of("**")), ""));
    for (int i = 0; i < 100000; i++) {
        char pattern[8], scope[8];
        random_scope(pattern, sizeof pattern);
        random_scope(scope, sizeof scope);
        struct text prefix = scope_prefix(text_of(pattern));
        if (matches(pattern, scope))
            cr_assert(strlen(scope) >= prefix.size && memcmp(scope, prefix.at, prefix.size) == 0,
                      "\"%s\" on \"%s\"", pattern, scope);
    }
}

/* How often one event is delivered to a subscription that gets it once for each scope. */
static int deliveries(const struct subscription *subscription, const struct text *scopes, size_t n)
{
    if (n == 0)
        return subscription_delivers(subscription, text_of(""), scopes, 0);
    int count = 0;
    for (size_t i = 0; i < n; i++)
        count += subscription_delivers(subscription, scopes[i], scopes, n);
    return count;
}

Test(scopes, an_event_is_delivered_once_however_many_of_its_scopes_match)
{
    const struct text wanted[] = {text_of("a"), text_of("a:*"), text_of("*")};
    const struct text scopes[] = {text_of("x:y:z"), text_of("a:1"), text_of("a"), text_of("a:2")};
    const struct subscription some = {.scopes = wanted, .n_scopes = 3};
    const struct subscription all = {.all_scopes = true};
    const struct subscription none = {.scopes = wanted, .n_scopes = 0};

    cr_assert_eq(deliveries(&some, scopes, 4), 1);
    cr_assert_eq(deliveries(&all, scopes, 4), 1);
    cr_assert_eq(deliveries(&none, scopes, 4), 0);
    cr_assert_eq(deliveries(&some, scopes, 1), 0);
    cr_assert(subscription_delivers(&some, text_of("a:1"), scopes, 4),
              "with the first that matches");
}

Test(scopes, an_event_without_scopes_is_for_those_who_want_all)
{
    const struct text wanted[] = {text_of("**"), text_of("")};
    const struct subscription star = {.scopes = wanted, .n_scopes = 2};
    const struct subscription all = {.all_scopes = true};
    cr_assert_eq(deliveries(&star, NULL, 0), 0);
    cr_assert_eq(deliveries(&all, NULL, 0), 1);
    cr_assert_not(subscription_delivers(&all, text_of("a"), NULL, 0));
}
