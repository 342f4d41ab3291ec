/* SPDX-License-Identifier: Apache-2.0 */

/* Kept events: the rules of wps, the bounds, and nothing left over. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker_shim/history.h"

static struct wire_out scratch;

/* Adds an event whose body can be told by its sender. */
static int keep(struct history *history, const char *name, uint64_t persist, const char *sender,
                const struct text *scopes, size_t n_scopes)
{
    struct event event = {.event = text_of(name),
                          .sender = text_of(sender),
                          .persist = persist,
                          .scopes = scopes,
                          .n_scopes = n_scopes};
    struct packet *packet = packet_new(&event, &scratch);
    cr_assert_not_null(packet);
    int result = history_add(history, packet);
    packet_release(packet);
    return result;
}

struct seen {
    char text[4096];
};

static void see(void *context, const struct packet *packet)
{
    struct seen *seen = context;
    struct event_doc doc;
    cr_assert_eq(event_open(&doc, packet->body.at, packet->body.size, "", NULL), 0);
    strncat(seen->text, doc.event.sender.at, doc.event.sender.size);
    strcat(seen->text, " ");
    event_close(&doc);
}

static const char *read_all(struct history *history, const char *name, const char *scope,
                            size_t max)
{
    static struct seen seen;
    seen.text[0] = '\0';
    history_read(history, text_of(name), text_of(scope), max, see, &seen);
    return seen.text;
}

static void setup(void)
{
    wire_out_init(&scratch);
}

static void teardown(void)
{
    wire_out_destroy(&scratch);
}

TestSuite(history, .init = setup, .fini = teardown);

Test(history, each_scope_and_all_of_them_have_their_own_list)
{
    struct history *history = history_new(1 << 20, 100);
    const struct text a = text_of("a"), b = text_of("b"), both[] = {a, b};
    keep(history, "e", 5, "1", &a, 1);
    keep(history, "e", 5, "2", both, 2);
    keep(history, "e", 5, "3", NULL, 0);
    keep(history, "f", 5, "4", &a, 1);
    keep(history, "e", 0, "5", &a, 1);
    cr_assert_str_eq(read_all(history, "e", "a", 10), "1 2 ");
    cr_assert_str_eq(read_all(history, "e", "b", 10), "2 ");
    cr_assert_str_eq(read_all(history, "e", "", 10), "1 2 3 ");
    cr_assert_str_eq(read_all(history, "e", "", 2), "2 3 ");
    cr_assert_str_eq(read_all(history, "e", "", 0), "");
    cr_assert_str_eq(read_all(history, "f", "", 9), "4 ");
    cr_assert_eq(history_events(history), 4);
    history_destroy(&history);
    cr_assert_null(history);
}

Test(history, the_newest_events_n_decides_for_each_list_of_its_own)
{
    struct history *history = history_new(1 << 20, 100);
    const struct text a = text_of("a"), b = text_of("b");
    for (int i = 1; i <= 4; i++)
        keep(history, "e", 10, (const char[]){(char)('0' + i), 0}, &a, 1);
    keep(history, "e", 1, "5", &b, 1);
    cr_assert_str_eq(read_all(history, "e", "a", 10), "1 2 3 4 ");
    cr_assert_str_eq(read_all(history, "e", "", 10), "5 ");
    keep(history, "e", 2, "6", &a, 1);
    cr_assert_str_eq(read_all(history, "e", "a", 10), "4 6 ");
    cr_assert_str_eq(read_all(history, "e", "", 10), "5 6 ");
    cr_assert_eq(history_events(history), 3, "what is in no list any more is gone");
    history_destroy(&history);
}

Test(history, beyond_its_bytes_the_oldest_of_all_goes_from_all_its_lists)
{
    struct history *history = history_new(3000, 100);
    const struct text scopes[] = {text_of("a"), text_of("b")};
    int forgotten = 0;
    for (int i = 0; i < 100; i++)
        forgotten += keep(history, "e", 100, "x", scopes, 2);
    cr_assert_eq(forgotten + (int)history_events(history), 100);
    cr_assert_leq(history_bytes(history), 3000);
    cr_assert_gt(history_events(history), 3);
    keep(history, "e", 100, "last", scopes, 2);
    cr_assert_str_eq(read_all(history, "e", "b", 1), "last ");
    history_destroy(&history);
}

Test(history, lists_are_bounded_too)
{
    struct history *history = history_new(1 << 20, 10);
    for (int i = 0; i < 1000; i++) {
        char scope[16];
        snprintf(scope, sizeof scope, "s%d", i);
        const struct text text = text_of(scope);
        keep(history, "e", 100, "x", &text, 1);
    }
    cr_assert_leq(history_events(history), 10);
    cr_assert_str_eq(read_all(history, "e", "s999", 9), "x ");
    cr_assert_str_eq(read_all(history, "e", "s0", 9), "");
    history_destroy(&history);
}

Test(history, without_any_room_nothing_is_kept)
{
    struct history *history = history_new(0, 0);
    const struct text a = text_of("a");
    cr_assert_eq(keep(history, "e", 5, "1", &a, 1), 1);
    cr_assert_eq(history_events(history) + history_bytes(history), 0);
    history_destroy(&history);
}

Test(history, random_use_leaves_nothing_over)
{
    srandom((unsigned)time(NULL));
    struct history *history = history_new(20000, 20);
    const struct text scopes[] = {text_of("a"), text_of(""), text_of("b"), text_of("c:d")};
    for (int i = 0; i < 20000; i++) {
        size_t from = (size_t)random() % 4, n = (size_t)random() % (5 - from);
        cr_assert_geq(keep(history, random() % 2 ? "e" : "f", (uint64_t)(random() % 30), "x",
                           scopes + from, n),
                      0);
        cr_assert_leq(history_bytes(history), 20000);
    }
    history_destroy(&history);
}
