/* SPDX-License-Identifier: Apache-2.0 */

/* What module and keeper say to each other: nothing else is taken, and no name leads out of the
 * keeper's root. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "keeper/kept.h"
#include "keeper/message.h"

static int read_text(struct keeper_message *ret, const char *text)
{
    return keeper_message_read(ret, text, strlen(text));
}

Test(keeper_message, each_is_read_as_it_was_written)
{
    static const struct {
        const char *text;
        struct keeper_message message;
    } all[] = {
        {"+ 7 b-demo", {KEEPER_KEEP, 7, "b-demo"}},
        {"- 18446744073709551615 b-a.b_c-9", {KEEPER_LEAVE, UINT64_MAX, "b-a.b_c-9"}},
        {"bye", {KEEPER_BYE, 0, ""}},
        {"ready 4711", {KEEPER_READY, 4711, ""}},
        {"done 10", {KEEPER_DONE, 10, ""}},
        {"failed 2", {KEEPER_FAILED, 2, ""}},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct keeper_message message;
        char bytes[KEEPER_MESSAGE_MAX];
        size_t size = keeper_message_write(bytes, &all[i].message);
        cr_assert_eq(size, strlen(all[i].text));
        cr_assert_eq(memcmp(bytes, all[i].text, size), 0, "%s", all[i].text);
        cr_assert_eq(keeper_message_read(&message, bytes, size), 0, "%s", all[i].text);
        cr_assert_eq(message.verb, all[i].message.verb);
        cr_assert_eq(message.number, all[i].message.number);
        cr_assert_str_eq(message.name, all[i].message.name);
    }
}

Test(keeper_message, all_else_is_refused_and_touches_nothing)
{
    static const char *const texts[] = {
        "",
        " ",
        "+",
        "+ ",
        "+ 1",
        "+ 1 ",
        "+1 b-x",
        "+ b-x",
        "+  1 b-x",
        "+ 1  b-x",
        "+ 0 b-x",
        "+ 01 b-x",
        "+ -1 b-x",
        "+ 1x b-x",
        "+ 18446744073709551616 b-x",
        "+ 1 b-x ",
        "+ 1 b-x\n",
        "+ 1 b x",
        "* 1 b-x",
        "- 1",
        "bye ",
        "bye 1",
        "by",
        "BYE",
        "ready",
        "ready 1 x",
        "done",
        "done 1 b-x",
        "done 0",
        "failed x",
        "+ 1 b-\xc3\xa4",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct keeper_message message = {.number = 4711};
        cr_assert_eq(read_text(&message, texts[i]), -EBADMSG, "'%s'", texts[i]);
        cr_assert_eq(message.number, 4711);
    }
}

Test(keeper_message, no_name_leads_out_of_the_root)
{
    static const char *const texts[] = {
        "+ 1 .",         "+ 1 ..",   "+ 1 ../x", "+ 1 /",       "+ 1 /sys/fs/cgroup",
        "+ 1 b-x/../..", "+ 1 b-/x", "+ 1 -x",   "+ 1 .hidden", "+ 1 7",
    };
    struct keeper_message message;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_eq(read_text(&message, texts[i]), -EBADMSG, "'%s'", texts[i]);
    cr_assert_eq(keeper_message_read(&message, "+ 1 b\0c", 7), -EBADMSG, "a NUL");
}

Test(keeper_message, a_name_has_a_greatest_length)
{
    static char text[1 << 20] = "+ 1 ";
    struct keeper_message message;
    memset(text + 4, 'b', sizeof text - 5);
    cr_assert_eq(keeper_message_read(&message, text, 4 + KEEPER_NAME_MAX), 0);
    cr_assert_eq(strlen(message.name), KEEPER_NAME_MAX);
    cr_assert_eq(keeper_message_read(&message, text, 5 + KEEPER_NAME_MAX), -EBADMSG);
    cr_assert_eq(keeper_message_read(&message, text, sizeof text - 1), -EBADMSG);
}

Test(keeper_message, what_is_taken_of_random_bytes_is_written_the_same)
{
    static const char alphabet[] = "+- 0123456789b.byedonreadyfailed/\n";
    unsigned taken = 0;
    srand(4711);
    for (int round = 0; round < 300000; round++) {
        char bytes[24], again[KEEPER_MESSAGE_MAX];
        size_t size = (size_t)rand() % sizeof bytes;
        for (size_t i = 0; i < size; i++)
            bytes[i] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        if (size > 4 && rand() % 2)
            memcpy(bytes, "+ 1 ", 4);
        struct keeper_message message;
        if (keeper_message_read(&message, bytes, size) < 0)
            continue;
        taken++;
        cr_assert_eq(keeper_message_write(again, &message), size);
        cr_assert_eq(memcmp(bytes, again, size), 0);
    }
    cr_assert_gt(taken, 100);
}

/* ---- the set ---- */

static int take(struct kept **kept, enum keeper_verb verb, const char *name)
{
    struct keeper_message message = {.verb = verb, .number = 1};
    strcpy(message.name, name);
    return kept_take(kept, &message);
}

Test(keeper_kept, a_block_is_in_it_once_until_it_is_to_be_left_alone)
{
    struct kept *kept = NULL;
    cr_assert_eq(take(&kept, KEEPER_KEEP, "b-x"), 0);
    cr_assert_eq(take(&kept, KEEPER_KEEP, "b-x"), 0);
    cr_assert_eq(take(&kept, KEEPER_KEEP, "b-y"), 0);
    cr_assert_eq(HASH_CNT(by_name, kept), 2);
    cr_assert_eq(take(&kept, KEEPER_LEAVE, "b-x"), 0);
    cr_assert_eq(take(&kept, KEEPER_LEAVE, "b-x"), 0, "it is not there, and so it is to be");
    cr_assert_eq(HASH_CNT(by_name, kept), 1);
    cr_assert_str_eq(kept->name, "b-y");
    cr_assert_eq(take(&kept, KEEPER_DONE, ""), -EINVAL);
    kept_clear(&kept);
    cr_assert_null(kept);
}
