/* SPDX-License-Identifier: Apache-2.0 */

/* When a thread claims more than its share, told by the nice value that the kernel has for it. */

#include <criterion/criterion.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/claim.h"
#include "base/clock.h"

static const uint64_t late = CLAIM_LATE_MS * NS_PER_MS, in_time = CLAIM_LATE_MS * NS_PER_MS - 1;
static const uint64_t STAY = CLAIM_STAY_S * NS_PER_SECOND;

static int nice_now(void)
{
    return getpriority(PRIO_PROCESS, 0);
}

static void be_able(void)
{
    if (nice_now() != 0)
        cr_skip_test("run with another nice value than 0");
    if (setpriority(PRIO_PROCESS, 0, -5) < 0 || setpriority(PRIO_PROCESS, 0, 0) < 0)
        cr_skip_test("nice values may not be lowered");
}

/* In a second before `now_ns`. */
static void update(struct claim *claim, int n, uint64_t late_ns, uint64_t now_ns)
{
    for (int i = 0; i < n; i++)
        claim_update(claim, late_ns, now_ns - (uint64_t)(n - 1 - i) * NS_PER_SECOND / (uint64_t)n);
}

Test(claim, who_is_late_again_and_again_claims_until_it_was_in_time_for_long, .init = be_able)
{
    struct claim claim;
    claim_init(&claim, 5);
    cr_assert_eq(nice_now(), 0);
    update(&claim, 20, late, NS_PER_SECOND);
    cr_assert_eq(nice_now(), -5);
    update(&claim, 1, in_time, STAY + NS_PER_SECOND - 1);
    cr_assert_eq(nice_now(), -5, "not yet");
    update(&claim, 1, late, STAY);
    update(&claim, 1, 0, STAY + NS_PER_SECOND);
    cr_assert_eq(nice_now(), -5, "it was late again");
    update(&claim, 1, 0, 2 * STAY);
    cr_assert_eq(nice_now(), 0);
    update(&claim, 20, late, 3 * STAY);
    cr_assert_eq(nice_now(), -5, "again");
    claim_stop(&claim);
    cr_assert_eq(nice_now(), 0);
}

Test(claim, who_is_late_now_and_then_does_not, .init = be_able)
{
    struct claim claim;
    claim_init(&claim, 5);
    for (int i = 0; i < 1000; i++)
        update(&claim, 1, i % 10 ? in_time : late, (uint64_t)(i + 1) * CLAIM_LATE_MS * NS_PER_MS);
    cr_assert_eq(nice_now(), 0);
}

/* A backlog is read in many turns. */
Test(claim, one_halt_is_one_however_much_is_read_behind_it, .init = be_able)
{
    struct claim claim;
    claim_init(&claim, 5);
    for (int i = 0; i < 1000; i++)
        update(&claim, 1, late, NS_PER_SECOND + (uint64_t)i);
    cr_assert_eq(nice_now(), 0);
}

Test(claim, no_boost_is_none, .init = be_able)
{
    struct claim claim;
    claim_init(&claim, 0);
    update(&claim, 20, late, NS_PER_SECOND);
    cr_assert_eq(nice_now(), 0);
    cr_assert_not(claim.claims);
}

Test(claim, what_somebody_gave_it_is_left_alone, .init = be_able)
{
    struct claim claim;
    setpriority(PRIO_PROCESS, 0, 3);
    claim_init(&claim, 5);
    update(&claim, 20, late, NS_PER_SECOND);
    cr_assert_eq(nice_now(), 3);

    setpriority(PRIO_PROCESS, 0, 0);
    claim_init(&claim, 5);
    update(&claim, 20, late, NS_PER_SECOND);
    cr_assert_eq(nice_now(), -5);
    setpriority(PRIO_PROCESS, 0, -7);
    claim_stop(&claim);
    cr_assert_eq(nice_now(), -7);
    update(&claim, 20, late, NS_PER_SECOND);
    cr_assert_eq(nice_now(), -7);
}

Test(claim, who_may_not_goes_on_without)
{
    const struct rlimit none = {0, 0};
    struct claim claim;
    if (nice_now() != 0)
        cr_skip_test("run with another nice value than 0");
    if (setrlimit(RLIMIT_NICE, &none) < 0 || (geteuid() == 0 && setuid(65534) < 0))
        cr_skip_test("the right to it cannot be given up");
    claim_init(&claim, 5);
    update(&claim, 20, late, NS_PER_SECOND);
    cr_assert_eq(nice_now(), 0);
    cr_assert_not(claim.claims);
    claim_stop(&claim);
    cr_assert_eq(nice_now(), 0);
}
