/* SPDX-License-Identifier: Apache-2.0 */

/* Block ids, sub-scopes and topics: what is one, what is none, and what is said of it. */

#include <criterion/criterion.h>
#include <errno.h>

#include "schemas/names.h"

#define LONG_ID                                                                                    \
    "0123456789012345678901234567890123456789012345678901234567890123"                             \
    "4567890123456789012345678901234567890123456789012345678901234567"

static struct wps_error error;

static struct text text_without_nul(const char *string, size_t size)
{
    return (struct text){string, size};
}
#define LITERAL(string) text_without_nul(string, sizeof string - 1)

Test(names, a_block_id_is_made_of_its_alphabet)
{
    static const char *const ids[] = {
        "a",   "Z",      "0",     "_",   "1.2.3", "a.b_c-D",
        "a..", "block-", LONG_ID, "con", "__",    "0f3c2a1e-5d5b-4b4e-9a43-2f0c5f5e8a11"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        cr_assert_eq(block_id_check(text_of(ids[i]), "data.block_id", &error), 0, "%s: %s", ids[i],
                     error.message);
}

Test(names, every_byte_outside_the_alphabet_is_refused)
{
    for (int byte = 0; byte < 256; byte++) {
        char id[3] = {'a', (char)byte, 'b'};
        bool allowed =
            byte < 128 && byte > 0 &&
            strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", byte);
        cr_assert_eq(block_id_check((struct text){id, 3}, "x", NULL), allowed ? 0 : -EINVAL,
                     "byte %d", byte);
    }
}

static const struct {
    const char *id;
    size_t size;
    const char *sentence;
} bad_ids[] = {
    {"", 0, "data.block_id: a block id must not be empty"},
    {LONG_ID "x", 129, "data.block_id: a block id is at most 128 bytes long, this one has 129"},
    {"a/b", 3,
     "data.block_id: 'a/b' holds '/' at byte 2; a block id is made of A-Z a-z 0-9 . _ - only"},
    {"a\0b", 3,
     "data.block_id: 'a\\x00b' holds '\\x00' at byte 2; a block id is made of A-Z a-z 0-9 . _ - "
     "only"},
    {"\xc3\xa9", 2,
     "data.block_id: '\xc3\xa9' holds '\\xc3' at byte 1; a block id is made of A-Z a-z 0-9 . _ - "
     "only"},
    {".a", 2, "data.block_id: '.a' begins with '.'; a block id may hold it, but not first"},
    {"-a", 2, "data.block_id: '-a' begins with '-'; a block id may hold it, but not first"},
    {"..", 2, "data.block_id: '..' begins with '.'; a block id may hold it, but not first"},
};

Test(names, a_bad_block_id_is_refused_with_the_reason)
{
    for (size_t i = 0; i < sizeof bad_ids / sizeof *bad_ids; i++) {
        struct text id = {bad_ids[i].id, bad_ids[i].size};
        cr_assert_eq(block_id_check(id, "data.block_id", &error), -EINVAL);
        cr_assert_str_eq(error.message, bad_ids[i].sentence);
        cr_assert_eq(block_id_check(id, "data.block_id", NULL), -EINVAL);
    }
}

Test(names, a_sub_scope_is_one_to_three_parts)
{
    static const char *const scopes[] = {"main", "bg/7", "a/b/c", LONG_ID "/" LONG_ID "/" LONG_ID};
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
        cr_assert_eq(subscope_check(text_of(scopes[i]), "data.scope", &error), 0, "%s",
                     error.message);
    cr_assert_eq(strlen(scopes[3]), SUBSCOPE_MAX);
}

static const struct {
    const char *scope, *sentence;
} bad_scopes[] = {
    {"", "data.scope: a part of a scope must not be empty"},
    {"/", "data.scope: a part of a scope must not be empty"},
    {"a/", "data.scope: a part of a scope must not be empty"},
    {"/a", "data.scope: a part of a scope must not be empty"},
    {"a//b", "data.scope: a part of a scope must not be empty"},
    {"a/b/c/d", "data.scope: at most 3 parts joined by '/', as in bg/7"},
    {"a/b/c/", "data.scope: at most 3 parts joined by '/', as in bg/7"},
    {"a/../b", "data.scope: '..' begins with '.'; a part of a scope may hold it, but not first"},
    {"a b", "data.scope: 'a b' holds ' ' at byte 2; a part of a scope is made of A-Z a-z 0-9 . _ - "
            "only"},
    {"a/" LONG_ID "x", "data.scope: a part of a scope is at most 128 bytes long, this one has 129"},
};

Test(names, a_bad_sub_scope_is_refused_with_the_reason)
{
    for (size_t i = 0; i < sizeof bad_scopes / sizeof *bad_scopes; i++) {
        cr_assert_eq(subscope_check(text_of(bad_scopes[i].scope), "data.scope", &error), -EINVAL,
                     "%s", bad_scopes[i].scope);
        cr_assert_str_eq(error.message, bad_scopes[i].sentence);
    }
}

static const struct {
    const char *tree, *scope;
    bool covers;
} coverings[] = {
    {"bg", "bg", true},     {"bg", "bg/7", true},  {"bg", "bg/7/x", true},   {"bg", "bgx", false},
    {"bg", "bgx/7", false}, {"bg/7", "bg", false}, {"bg/7", "bg/77", false}, {"bg/7", "bg/7", true},
    {"main", "bg", false},  {"bg", "", false},     {"", "bg/7", true},       {"", "", true},
};

Test(names, a_scope_covers_itself_and_what_is_below_it)
{
    for (size_t i = 0; i < sizeof coverings / sizeof *coverings; i++)
        cr_assert_eq(subscope_covers(text_of(coverings[i].tree), text_of(coverings[i].scope)),
                     coverings[i].covers, "'%s' and '%s'", coverings[i].tree, coverings[i].scope);
}

Test(names, a_topic_is_at_most_245_bytes_of_utf8)
{
    char topic[TOPIC_MAX + 1];
    memset(topic, 't', sizeof topic);
    cr_assert_eq(topic_check((struct text){topic, TOPIC_MAX}, "scopes[0]", &error), 0);
    cr_assert_eq(topic_check((struct text){topic, TOPIC_MAX + 1}, "scopes[0]", &error), -EINVAL);
    cr_assert_str_eq(error.message,
                     "scopes[0]: a scope is at most 245 bytes long, this one has 246");
    cr_assert_eq(topic_check((struct text){0}, "scopes[0]", &error), 0);
    cr_assert_eq(topic_check(LITERAL("\xff"), "scopes[0]", &error), -EINVAL);
    cr_assert_str_eq(error.message, "scopes[0]: not valid UTF-8");
    cr_assert_eq(topic_check(text_of("sync:1:\xc3\xa9 anything"), "scopes[0]", &error), 0);
}

Test(names, the_topic_of_a_block_is_its_id_behind_a_prefix)
{
    char topic[TOPIC_MAX + 1];
    cr_assert_eq(topic_of_block(topic, text_of("a.b-C")), 11);
    cr_assert_str_eq(topic, "block:a.b-C");
    cr_assert_eq(topic_of_block(topic, text_of(LONG_ID)), 6 + BLOCK_ID_MAX);
    cr_assert_str_eq(topic, "block:" LONG_ID);
    cr_assert_eq(topic_of_block(topic, (struct text){"7xyz", 1}), 7);
    cr_assert_str_eq(topic, "block:7");
}
