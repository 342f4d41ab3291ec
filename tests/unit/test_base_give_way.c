/* SPDX-License-Identifier: Apache-2.0 */

/* When a thread gives way, told by the policy that the kernel has for it. */

#include <criterion/criterion.h>
#include <sched.h>

#include "base/clock.h"
#include "base/give_way.h"

static const uint64_t often = GIVE_WAY_RATE, rarely = GIVE_WAY_RATE - 1;
static const uint64_t late = GIVE_WAY_LATE_US * UINT64_C(1000),
                      in_time = GIVE_WAY_LATE_US * 1000 - 1;

/* Whoever runs the tests may have given them another one. */
static void be_ordinary(void)
{
    if (sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}) < 0)
        cr_skip_test("run with a policy that may not be left (chrt)");
}

TestSuite(give_way, .init = be_ordinary);

/* Of these, one is enough, or so many that any share of them is. */
static void update(struct give_way *way, int n, uint64_t rate, uint64_t late_ns, uint64_t now_ns)
{
    for (int i = 0; i < n; i++)
        give_way_update(way, rate, false, late_ns, now_ns);
}

static void check_policy(int policy)
{
    cr_assert_eq(sched_getscheduler(0), policy, "it is %d, not %d", sched_getscheduler(0), policy);
}

Test(give_way, who_is_woken_rarely_does_not)
{
    struct give_way way;
    give_way_init(&way);
    update(&way, 1000, rarely, 0, 1);
    check_policy(SCHED_OTHER);
}

Test(give_way, who_is_woken_often_does_until_it_is_rare_again)
{
    struct give_way way;
    give_way_init(&way);
    check_policy(SCHED_OTHER);
    update(&way, 1, often, 0, 1);
    check_policy(SCHED_BATCH);
    update(&way, 1000, often, in_time, 2);
    check_policy(SCHED_BATCH);
    update(&way, 1, rarely, 0, 3);
    check_policy(SCHED_OTHER);
    give_way_stop(&way);
    check_policy(SCHED_OTHER);
}

Test(give_way, who_comes_late_stops_for_a_while)
{
    struct give_way way;
    give_way_init(&way);
    update(&way, 1, often, 0, 1);
    update(&way, 100, often, late, 1);
    check_policy(SCHED_OTHER);
    update(&way, 100, often, 0, NS_PER_SECOND);
    check_policy(SCHED_OTHER);
    update(&way, 1, often, 0, NS_PER_SECOND + 1);
    check_policy(SCHED_BATCH);
}

Test(give_way, one_that_is_late_now_and_then_is_no_reason)
{
    struct give_way way;
    give_way_init(&way);
    for (int i = 0; i < 1000; i++) {
        update(&way, 1, often, late, 1);
        update(&way, 10, often, 0, 1);
    }
    check_policy(SCHED_BATCH);
}

Test(give_way, what_is_gathered_is_late_on_purpose)
{
    struct give_way way;
    give_way_init(&way);
    for (int i = 0; i < 1000; i++)
        give_way_update(&way, often, true, late, 1);
    check_policy(SCHED_BATCH);
    give_way_stop(&way);
    check_policy(SCHED_OTHER);
}

Test(give_way, a_policy_that_somebody_gives_meanwhile_is_left_alone)
{
    struct give_way way;
    give_way_init(&way);
    update(&way, 1, often, 0, 1);
    cr_assert_eq(sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0}), 0);
    update(&way, 1, rarely, 0, 1);
    update(&way, 1, often, 0, 1);
    check_policy(SCHED_IDLE);
}

Test(give_way, a_policy_that_somebody_gave_is_left_alone)
{
    static const int policies[] = {SCHED_BATCH, SCHED_IDLE};
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        struct give_way way;
        cr_assert_eq(sched_setscheduler(0, policies[i], &(struct sched_param){0}), 0);
        give_way_init(&way);
        update(&way, 100, often, 0, 1);
        check_policy(policies[i]);
        update(&way, 1, rarely, 0, 1);
        give_way_stop(&way);
        check_policy(policies[i]);
    }
}
