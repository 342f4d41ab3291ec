/* SPDX-License-Identifier: Apache-2.0 */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>

#include "base/gather.h"
#include "trackers/held.h"

static void let_pass(int ms)
{
    poll(NULL, 0, ms);
}

Test(held, a_read_that_just_began_holds_up_nobody)
{
    int first = held_begin(5), second = held_begin(5);
    cr_assert_geq(first, 0);
    cr_assert_geq(second, 0);
    cr_assert_neq(first, second);
    held_end(first);
    held_end(second);
}

Test(held, a_read_that_takes_long_keeps_others_from_that_process_alone)
{
    int read = held_begin(5);
    let_pass(HELD_MS + 10);
    cr_assert_eq(held_begin(5), -EBUSY);
    int other = held_begin(6);
    cr_assert_geq(other, 0);
    held_end(other);
    held_end(read);
    read = held_begin(5);
    cr_assert_geq(read, 0);
    held_end(read);
}

Test(held, there_is_an_end_to_how_many_may_be_under_way)
{
    int reads[HELD_MAX];
    for (int i = 0; i < HELD_MAX; i++)
        cr_assert_geq(reads[i] = held_begin(100 + (uint32_t)i), 0);
    cr_assert_eq(held_begin(5), -EBUSY);
    held_end(reads[7]);
    cr_assert_eq(held_begin(5), reads[7]);
}

Test(gather, thousands_a_second_are_gathered_and_a_few_are_not)
{
    struct gather gather;
    gather_init(&gather, GATHER_RATE);
    gather_count(&gather, 1000000);
    cr_assert_not(gather.saturated, "a window is awaited first");
    let_pass(11);
    gather_count(&gather, 1000000);
    cr_assert(gather.saturated);
    let_pass(11);
    gather_count(&gather, 1);
    cr_assert_not(gather.saturated);
}
