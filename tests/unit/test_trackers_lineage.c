/* SPDX-License-Identifier: Apache-2.0 */

/* Who is a member under the tracker `lineage`, out of made-up tables of processes. */

#include <criterion/criterion.h>

#include "trackers/lineage_find.h"
#include "trackers/procfs.h"

enum { A = 0, B = 1, NONE = LINEAGE_NOWHERE, MANY = 20000 };

/* A process as a look at /proc shows it, and what is to be found out about it. */
struct expected {
    uint32_t pid, ppid;
    uint64_t start;
    uint32_t tag;
    uint32_t place;
    enum lineage_how how;
};

static void check(const struct expected *table, size_t n, const struct known_member *members,
                  size_t n_members, uint32_t us)
{
    struct lineage_row rows[32] = {0};
    cr_assert_leq(n, 32);
    for (size_t i = 0; i < n; i++)
        rows[n - 1 - i] = (struct lineage_row){.pid = table[i].pid,
                                               .ppid = table[i].ppid,
                                               .start_ticks = table[i].start,
                                               .tag = table[i].tag,
                                               .barred = table[i].pid <= 1};
    lineage_sort(rows, n);
    lineage_bar(rows, n, us);
    lineage_find(rows, n, members, n_members);
    lineage_find_strays(rows, n);
    for (size_t i = 0; i < n; i++) {
        const struct lineage_row *row = lineage_row(rows, n, table[i].pid);
        cr_expect_eq(row->place, table[i].place, "pid %u is in place %u", row->pid, row->place);
        cr_expect_eq(row->how, table[i].how, "pid %u was found so: %d", row->pid, row->how);
    }
}

#define CHECK(table, members, us)                                                                  \
    check(table, sizeof(table) / sizeof *(table), members, sizeof(members) / sizeof *(members), us)

static const struct known_member one_member[] = {{.pid = 10, .start_ticks = 100, .place = A}};

Test(lineage, descendants_of_a_member_are_members_to_any_depth)
{
    const struct expected table[] = {
        {1, 0, 0, NONE, NONE, LINEAGE_NOT},        {10, 1, 100, NONE, A, LINEAGE_KNOWN},
        {11, 10, 101, NONE, A, LINEAGE_BY_PARENT}, {12, 11, 101, NONE, A, LINEAGE_BY_PARENT},
        {9, 12, 102, NONE, A, LINEAGE_BY_PARENT},  {20, 1, 90, NONE, NONE, LINEAGE_NOT},
    };
    CHECK(table, one_member, 0);
}

Test(lineage, a_pid_that_another_life_has_is_no_member)
{
    const struct expected table[] = {
        {10, 1, 500, NONE, NONE, LINEAGE_NOT},
        {11, 10, 501, NONE, NONE, LINEAGE_NOT},
    };
    CHECK(table, one_member, 0);
}

Test(lineage, a_start_made_from_an_events_time_may_be_two_ticks_off)
{
    const struct known_member members[] = {
        {.pid = 10, .start_ticks = 102, .place = A, .rough = true},
        {.pid = 11, .start_ticks = 103, .place = A, .rough = true},
    };
    const struct expected table[] = {
        {10, 1, 100, NONE, A, LINEAGE_KNOWN},
        {11, 1, 100, NONE, NONE, LINEAGE_NOT},
    };
    CHECK(table, members, 0);
}

Test(lineage, a_child_of_a_member_that_ended_while_we_read_is_a_member)
{
    const struct expected table[] = {
        {12, 10, 120, NONE, A, LINEAGE_BY_PARENT},
        {13, 12, 121, NONE, A, LINEAGE_BY_PARENT},
        {14, 77, 121, NONE, NONE, LINEAGE_NOT},
    };
    CHECK(table, one_member, 0);
}

Test(lineage, a_stray_is_found_by_its_tag_and_its_children_with_it)
{
    const struct expected table[] = {
        {1, 0, 0, NONE, NONE, LINEAGE_NOT},
        {30, 1, 130, B, B, LINEAGE_BY_TAG},
        {31, 30, 131, NONE, B, LINEAGE_BY_PARENT},
    };
    CHECK(table, one_member, 0);
}

Test(lineage, the_parent_counts_more_than_the_tag)
{
    const struct expected table[] = {
        {10, 1, 100, B, A, LINEAGE_KNOWN},
        {11, 10, 101, B, A, LINEAGE_BY_PARENT},
    };
    CHECK(table, one_member, 0);
}

Test(lineage, among_strays_ones_own_tag_counts_more_than_the_parents)
{
    const struct expected table[] = {
        {30, 1, 130, A, A, LINEAGE_BY_TAG},
        {31, 30, 131, B, B, LINEAGE_BY_TAG},
    };
    CHECK(table, one_member, 0);
}

Test(lineage, a_block_inside_a_block_keeps_its_own)
{
    const struct known_member members[] = {
        {.pid = 10, .start_ticks = 100, .place = A},
        {.pid = 20, .start_ticks = 110, .place = B},
    };
    const struct expected table[] = {
        {10, 1, 100, NONE, A, LINEAGE_KNOWN},
        {15, 10, 105, NONE, A, LINEAGE_BY_PARENT},
        {20, 15, 110, NONE, B, LINEAGE_KNOWN},
        {21, 20, 111, NONE, B, LINEAGE_BY_PARENT},
    };
    CHECK(table, members, 0);
}

Test(lineage, the_broker_is_never_a_member_though_all_above_and_below_it_may_be)
{
    const struct expected table[] = {
        {10, 1, 100, NONE, A, LINEAGE_KNOWN},      /* the member that started a shell */
        {11, 10, 101, NONE, A, LINEAGE_BY_PARENT}, /* the shell that started the broker */
        {12, 11, 102, A, NONE, LINEAGE_NOT},       /* the broker */
        {13, 12, 103, NONE, NONE, LINEAGE_NOT},    /* a helper of the broker's */
    };
    CHECK(table, one_member, 12);
}

Test(lineage, a_tag_of_those_above_the_broker_does_not_count)
{
    const struct expected table[] = {
        {40, 1, 140, B, NONE, LINEAGE_NOT},  /* a shell that was told a block */
        {41, 40, 141, B, NONE, LINEAGE_NOT}, /* the broker that it started */
        {42, 40, 142, B, B, LINEAGE_BY_TAG}, /* something else that it started */
    };
    CHECK(table, one_member, 41);
}

Test(lineage, init_is_nobodys_whatever_its_tag)
{
    const struct known_member members[] = {{.pid = 1, .start_ticks = 0, .place = A}};
    const struct expected table[] = {
        {1, 0, 0, A, NONE, LINEAGE_NOT},
        {5, 1, 10, NONE, NONE, LINEAGE_NOT},
    };
    CHECK(table, members, 0);
}

Test(lineage, a_circle_of_parents_that_a_torn_look_shows_ends)
{
    const struct expected table[] = {
        {50, 51, 150, NONE, NONE, LINEAGE_NOT},
        {51, 50, 151, NONE, NONE, LINEAGE_NOT},
        {52, 51, 152, NONE, NONE, LINEAGE_NOT},
    };
    CHECK(table, one_member, 0);
}

Test(lineage, nobody_at_all_is_fine)
{
    lineage_sort(NULL, 0);
    lineage_bar(NULL, 0, 1);
    lineage_find(NULL, 0, NULL, 0);
    lineage_find_strays(NULL, 0);
    cr_expect_null(lineage_row(NULL, 0, 1));
}

Test(lineage, a_chain_of_twenty_thousand_takes_no_longer_than_it_is, .timeout = 5)
{
    static struct lineage_row rows[MANY];
    const struct known_member members[] = {{.pid = MANY, .start_ticks = 1, .place = A}};
    for (uint32_t i = 0; i < MANY; i++) /* each one's parent has the next higher number */
        rows[i] = (struct lineage_row){.pid = i + 1, .ppid = i + 2, .start_ticks = 1, .tag = NONE};
    rows[MANY - 1].ppid = 0;
    lineage_find(rows, MANY, members, 1);
    for (uint32_t i = 0; i < MANY; i++)
        cr_assert_eq(rows[i].place, A);
}

Test(lineage, an_environment_is_read_as_getenv_reads_it)
{
    const char environment[] = "PATH=/bin\0XPROCTRACK_BLOCK=x\0PROCTRACK_BLOCKS=y\0"
                               "PROCTRACK_BLOCK=a.b\0PROCTRACK_BLOCK=second\0EMPTY=\0cut";
    const struct text whole = {environment, sizeof environment - 1};
    cr_expect(text_is(proc_environ_value(whole, "PROCTRACK_BLOCK"), "a.b"));
    cr_expect(text_is(proc_environ_value(whole, "PATH"), "/bin"));
    cr_expect_eq(proc_environ_value(whole, "EMPTY").size, 0);
    cr_expect_not_null(proc_environ_value(whole, "EMPTY").at);
    cr_expect_null(proc_environ_value(whole, "cut").at);
    cr_expect_null(proc_environ_value((struct text){"", 0}, "PATH").at);
}
