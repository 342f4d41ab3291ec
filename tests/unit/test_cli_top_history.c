/* SPDX-License-Identifier: Apache-2.0 */

/* Values over time, and their graphs. */

#include <criterion/criterion.h>
#include <stdio.h>

#include "cli/top/history.h"

/* Ten steps of a second each. */
static struct history ten(void)
{
    struct history history;
    cr_assert(history_init(&history, 10, 1000) == 0);
    return history;
}

static const char *drawn(const struct history *history, struct graph graph, unsigned line)
{
    static char text[256];
    graph_line(text, history, &graph, line);
    return text;
}

Test(history, a_step_has_its_greatest_value)
{
    struct history history = ten();
    history_put(&history, 5000, 3);
    history_put(&history, 5100, 9);
    history_put(&history, 5200, 4);
    cr_assert(history_peak(&history, 1) == 9);
    history_put(&history, 6000, 2);
    cr_assert(history_peak(&history, 1) == 4, "it was 4 when the second began");
    history_destroy(&history);
}

Test(history, steps_of_which_nothing_was_told_have_the_value_from_before)
{
    struct history history = ten();
    history_put(&history, 1000, 7);
    history_put(&history, 4000, 1);
    struct graph graph = {.width = 5, .height = 4, .steps = 1, .full = 8};
    cr_assert_str_eq(drawn(&history, graph, 0), " ....", "the fourth began with it");
    history_put(&history, 5000, 1);
    cr_assert_str_eq(drawn(&history, graph, 0), ".... ");
    history_destroy(&history);
}

Test(history, what_is_older_than_the_ring_is_forgotten)
{
    struct history history = ten();
    history_put(&history, 1000, 100);
    history_put(&history, 2000, 1);
    history_put(&history, 1000 * 1000, 1);
    cr_assert(history_peak(&history, 10) == 1);
    history_destroy(&history);
}

Test(history, what_is_not_known_is_a_gap)
{
    struct history history = ten();
    struct graph graph = {.width = 6, .height = 1, .steps = 1, .full = 2};
    history_put(&history, 1000, 2);
    history_put(&history, 2500, HISTORY_UNKNOWN);
    history_put(&history, 5500, 2);
    cr_assert_str_eq(drawn(&history, graph, 0), " ::  :");
    history_destroy(&history);
}

Test(history, nothing_is_known_at_first)
{
    struct history history = ten();
    struct graph graph = {.width = 3, .height = 1, .steps = 1, .full = 2};
    cr_assert(history_peak(&history, 10) == 0);
    cr_assert_str_eq(drawn(&history, graph, 0), "   ");
    history_destroy(&history);
}

Test(graph, ascii_has_two_heights_in_a_line)
{
    struct history history = ten();
    struct graph graph = {.width = 4, .height = 2, .steps = 1, .full = 4};
    for (int i = 0; i < 4; i++)
        history_put(&history, i * 1000, (uint64_t)(4 - i));
    cr_assert_str_eq(drawn(&history, graph, 0), "::. ");
    cr_assert_str_eq(drawn(&history, graph, 1), "::::", "a step begins with the value from before");
    history_destroy(&history);
}

Test(graph, braille_has_four_heights_and_two_columns)
{
    struct history history = ten();
    struct graph graph = {.width = 2, .height = 1, .steps = 1, .full = 4, .utf8 = 1};
    for (int i = 0; i < 4; i++)
        history_put(&history, i * 1000, (uint64_t)(i + 1));
    cr_assert_str_eq(drawn(&history, graph, 0), "⣠⣾");
    history_destroy(&history);
}

Test(graph, little_is_more_than_nothing)
{
    struct history history = ten();
    struct graph graph = {.width = 1, .height = 4, .steps = 1, .full = 1000000};
    history_put(&history, 1000, 1);
    cr_assert_str_eq(drawn(&history, graph, 3), ".");
    history_put(&history, 2000, 0);
    history_put(&history, 3000, 0);
    cr_assert_str_eq(drawn(&history, graph, 3), " ");
    history_destroy(&history);
}

Test(graph, columns_of_several_steps_do_not_change_as_they_move)
{
    struct history history = ten();
    struct graph graph = {.width = 4, .height = 1, .steps = 2, .full = 4};
    char before[256];
    for (int i = 0; i < 8; i++)
        history_put(&history, i * 1000, i == 3 ? 4 : 0);
    cr_assert_str_eq(drawn(&history, graph, 0), " :: ", "it held until the fourth began");
    snprintf(before, sizeof before, "%s", drawn(&history, graph, 0));
    history_put(&history, 8000, 0);
    cr_assert_str_eq(drawn(&history, graph, 0), "::  ", "a whole column further");
    history_put(&history, 9000, 0);
    cr_assert_str_eq(drawn(&history, graph, 0), "::  ", "and there it stays");
    history_destroy(&history);
}

Test(graph, it_says_how_many_steps_find_room)
{
    cr_assert(graph_steps(300, 60, 1) == 3);
    cr_assert(graph_steps(300, 60, 0) == 5);
    cr_assert(graph_steps(300, 200, 1) == 1);
    cr_assert(graph_steps(300, 0, 1) == 1);
}

Test(graph, tops_are_round)
{
    static const uint64_t peaks[][2] = {{0, 1}, {1, 1}, {3, 5}, {17, 20}, {501, 1000}};
    for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++)
        cr_assert(graph_round(peaks[i][0]) == peaks[i][1], "%zu", i);
    cr_assert(graph_round(UINT64_MAX) == UINT64_MAX);
}
