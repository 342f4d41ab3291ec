/* SPDX-License-Identifier: Apache-2.0 */

/* Messages of the process connector: each kind, each way to be broken, and the numbers by which
 * losses are counted. */

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "trackers/feeds/netlink_message.h"

enum { GAP_NS = 5000 };

/* A datagram as the kernel sends it; the structs are packed by its layout. */
struct datagram {
    struct nlmsghdr head;
    struct cn_msg connector;
    struct proc_event event;
} __attribute__((packed));

static struct netlink_sequence sequence;
static uint32_t number;

static void begin(void)
{
    cr_assert_eq(netlink_sequence_init(&sequence), 0);
    cr_assert_geq(sequence.n_cpus, 1);
    number = 1000;
}

static void end(void)
{
    netlink_sequence_destroy(&sequence);
}

TestSuite(netlink, .init = begin, .fini = end);

static struct datagram datagram_of(unsigned what)
{
    return (struct datagram){
        .head = {.nlmsg_len = sizeof(struct datagram), .nlmsg_type = NLMSG_DONE},
        .connector = {.id = {CN_IDX_PROC, CN_VAL_PROC},
                      .seq = number++,
                      .len = sizeof(struct proc_event)},
        .event = {.what = what, .cpu = 0, .timestamp_ns = 700},
    };
}

/* From memory of just that size, so that a sanitizer sees a read behind it. */
static bool parse_bytes(const void *bytes, size_t size, struct feed_event *ret_event)
{
    char *copy = malloc(size ? size : 1);
    cr_assert(copy);
    memcpy(copy, bytes, size);
    bool told = netlink_parse(&sequence, (struct text){copy, size}, GAP_NS, ret_event);
    free(copy);
    return told;
}

static bool parse(const struct datagram *datagram, struct feed_event *ret_event)
{
    return parse_bytes(datagram, sizeof *datagram, ret_event);
}

/* One that only counts. */
static void receive(uint32_t cpu, uint32_t seq)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_UID);
    datagram.event.cpu = cpu;
    datagram.connector.seq = seq;
    parse(&datagram, &event);
}

/* ---- kinds ---- */

Test(netlink, a_fork_is_a_birth)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_FORK);
    datagram.event.event_data.fork.parent_tgid = 10;
    datagram.event.event_data.fork.parent_pid = 11;
    datagram.event.event_data.fork.child_tgid = 20;
    datagram.event.event_data.fork.child_pid = 20;
    cr_assert(parse(&datagram, &event));
    cr_assert_eq(event.kind, FEED_FORK);
    cr_assert_eq(event.pid, 20);
    cr_assert_eq(event.parent, 10, "the process, and not the thread that forked");
    cr_assert_eq(event.time_ns, 700 + GAP_NS, "in CLOCK_BOOTTIME");
    cr_assert_eq(event.start_ns, 0, "it does not know");
    cr_assert_not(event.has_place);
    cr_assert_not(event.has_argv);
    cr_assert_not(event.has_status);
}

Test(netlink, a_fork_of_a_thread_is_one_more_thread)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_FORK);
    datagram.event.event_data.fork.child_tgid = 20;
    datagram.event.event_data.fork.child_pid = 25;
    cr_assert(parse(&datagram, &event));
    cr_assert_eq(event.kind, FEED_THREAD);
    cr_assert_eq(event.pid, 20);
    cr_assert_eq(event.tid, 25);
}

Test(netlink, an_exec_is_of_the_process_whichever_thread_did_it)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_EXEC);
    datagram.event.event_data.exec.process_tgid = 20;
    datagram.event.event_data.exec.process_pid = 20;
    cr_assert(parse(&datagram, &event));
    cr_assert_eq(event.kind, FEED_EXEC);
    cr_assert_eq(event.pid, 20);
    cr_assert_not(event.has_argv, "it is read from /proc");
}

Test(netlink, an_exit_is_of_one_thread_with_its_wait_status)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_EXIT);
    datagram.event.event_data.exit.process_tgid = 20;
    datagram.event.event_data.exit.process_pid = 25;
    datagram.event.event_data.exit.exit_code = 0x8b;
    datagram.event.event_data.exit.exit_signal = 17; /* what the parent gets */
    cr_assert(parse(&datagram, &event));
    cr_assert_eq(event.kind, FEED_THREAD_EXIT);
    cr_assert_eq(event.pid, 20);
    cr_assert_eq(event.tid, 25);
    cr_assert(event.has_status);
    cr_assert_eq(event.status, 0x8b);
}

Test(netlink, other_kinds_are_counted_and_not_told)
{
    static const unsigned kinds[] = {PROC_EVENT_NONE,     PROC_EVENT_UID,    PROC_EVENT_GID,
                                     PROC_EVENT_SID,      PROC_EVENT_PTRACE, PROC_EVENT_COMM,
                                     PROC_EVENT_COREDUMP, 0x00000400,        0x12345678};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct feed_event event;
        struct datagram datagram = datagram_of(kinds[i]);
        cr_assert_not(parse(&datagram, &event), "%#x", kinds[i]);
    }
    cr_assert_eq(sequence.lost, 0);
    receive(0, number + 1);
    cr_assert_eq(sequence.lost, 1, "their numbers were taken in");
}

Test(netlink, an_awaited_change_of_name_is_that_of_one_thread_or_was_lost)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_COMM);
    sequence.awaited = 25;
    datagram.event.event_data.comm.process_tgid = 25;
    datagram.event.event_data.comm.process_pid = 26;
    cr_assert_not(parse(&datagram, &event));
    cr_assert_eq(sequence.awaited, 25, "another thread's");
    datagram.event.event_data.comm.process_pid = 25;
    cr_assert_not(parse(&datagram, &event));
    cr_assert_eq(sequence.awaited, 0);
    sequence.awaited = 25;
    netlink_overflowed(&sequence);
    cr_assert_eq(sequence.awaited, 0);
}

/* ---- broken ones ---- */

Test(netlink, a_message_that_is_cut_anywhere_is_no_event_and_no_loss)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_FORK);
    const size_t used = offsetof(struct datagram, event) + offsetof(struct proc_event, event_data);
    for (size_t size = 0; size < sizeof datagram; size++) {
        datagram.head.nlmsg_len = sizeof datagram;
        cr_assert_not(parse_bytes(&datagram, size, &event), "%zu bytes, told to be more", size);
        datagram.head.nlmsg_len = (uint32_t)size;
        if (size < used)
            cr_assert_not(parse_bytes(&datagram, size, &event), "%zu bytes", size);
    }
    cr_assert_eq(sequence.lost, 0);
}

/* Kernels differ in the size of the union: what is not there is 0. */
Test(netlink, an_event_of_an_older_kernel_is_read_as_far_as_it_goes)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_EXEC);
    datagram.event.event_data.exec.process_tgid = 20;
    size_t size = offsetof(struct datagram, event) + offsetof(struct proc_event, event_data) +
                  sizeof datagram.event.event_data.exec;
    datagram.head.nlmsg_len = (uint32_t)size;
    datagram.connector.len = (uint16_t)(size - offsetof(struct datagram, event));
    cr_assert(parse_bytes(&datagram, size, &event));
    cr_assert_eq(event.pid, 20);
}

Test(netlink, an_event_of_a_newer_kernel_may_be_longer)
{
    struct {
        struct datagram datagram;
        char more[64];
    } __attribute__((packed)) longer = {.datagram = datagram_of(PROC_EVENT_EXEC)};
    struct feed_event event;
    longer.datagram.event.event_data.exec.process_tgid = 20;
    longer.datagram.head.nlmsg_len = sizeof longer;
    longer.datagram.connector.len = sizeof longer - offsetof(struct datagram, event);
    cr_assert(parse_bytes(&longer, sizeof longer, &event));
    cr_assert_eq(event.pid, 20);
}

/* The connector's length counts, and not what lies behind it. */
Test(netlink, what_lies_behind_the_connectors_length_is_not_read)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_EXEC);
    datagram.event.event_data.exec.process_tgid = 20;
    datagram.connector.len = offsetof(struct proc_event, event_data);
    if (parse(&datagram, &event))
        cr_assert_eq(event.pid, 0);
    datagram.connector.len = offsetof(struct proc_event, event_data) - 1;
    cr_assert_not(parse(&datagram, &event));
    datagram.connector.len = 0;
    cr_assert_not(parse(&datagram, &event));
}

Test(netlink, a_message_of_another_connector_is_not_ours)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_EXEC);
    datagram.connector.id.idx = CN_IDX_PROC + 1;
    cr_assert_not(parse(&datagram, &event));
    datagram = datagram_of(PROC_EVENT_EXEC);
    datagram.connector.id.val = CN_VAL_PROC + 1;
    cr_assert_not(parse(&datagram, &event));
    datagram = datagram_of(PROC_EVENT_EXEC);
    datagram.head.nlmsg_type = NLMSG_ERROR;
    cr_assert_not(parse(&datagram, &event));
    receive(0, 5);
    cr_assert_eq(sequence.lost, 0, "and its number is not ours either");
}

Test(netlink, random_bytes_are_never_read_beyond_their_end)
{
    uint64_t random = UINT64_C(0x2545f4914f6cdd1d);
    for (int i = 0; i < 20000; i++) {
        struct feed_event event;
        struct datagram datagram = datagram_of(PROC_EVENT_FORK);
        for (int k = 0; k < 4; k++) { /* some bytes of a good one are broken */
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            ((char *)&datagram)[random % sizeof datagram] = (char)(random >> 32);
        }
        parse_bytes(&datagram, random % (sizeof datagram + 1), &event);
        parse(&datagram, &event);
    }
}

/* ---- numbers ---- */

Test(netlink, numbers_one_behind_the_other_are_no_loss)
{
    for (uint32_t i = 0; i < 1000; i++)
        receive(0, 77 + i);
    cr_assert_eq(sequence.lost, 0);
}

Test(netlink, the_first_number_says_nothing_of_what_was_before)
{
    receive(0, 123456);
    cr_assert_eq(sequence.lost, 0);
}

Test(netlink, a_gap_is_as_many_losses_as_numbers_are_missing)
{
    receive(0, 10);
    receive(0, 15);
    cr_assert_eq(sequence.lost, 4);
    receive(0, 16);
    cr_assert_eq(sequence.lost, 4);
    receive(0, 18);
    cr_assert_eq(sequence.lost, 5);
}

Test(netlink, a_loss_is_known_before_the_event_behind_it_is_handed_over)
{
    struct feed_event event;
    receive(0, 10);
    struct datagram datagram = datagram_of(PROC_EVENT_EXEC);
    datagram.connector.seq = 13;
    cr_assert(parse(&datagram, &event));
    cr_assert_eq(sequence.lost, 2);
}

Test(netlink, every_processor_counts_for_itself)
{
    if (sequence.n_cpus < 2)
        cr_skip_test("this machine has one processor");
    receive(0, 10);
    receive(1, 500);
    receive(0, 11);
    receive(1, 501);
    cr_assert_eq(sequence.lost, 0);
    receive(1, 503);
    receive(0, 12);
    cr_assert_eq(sequence.lost, 1);
}

Test(netlink, numbers_go_round_at_their_end)
{
    receive(0, UINT32_MAX - 1);
    receive(0, UINT32_MAX);
    receive(0, 0);
    receive(0, 1);
    cr_assert_eq(sequence.lost, 0);
    receive(0, UINT32_MAX - 1 + 4); /* 2 */
    cr_assert_eq(sequence.lost, 0);
}

Test(netlink, a_gap_over_the_end_is_counted)
{
    receive(0, UINT32_MAX);
    receive(0, 3);
    cr_assert_eq(sequence.lost, 3);
}

Test(netlink, a_processor_that_is_not_there_is_left_out)
{
    struct feed_event event;
    struct datagram datagram = datagram_of(PROC_EVENT_EXEC);
    datagram.event.event_data.exec.process_tgid = 20;
    datagram.event.cpu = sequence.n_cpus;
    cr_assert(parse(&datagram, &event), "the event itself is good");
    datagram.event.cpu = UINT32_MAX;
    cr_assert(parse(&datagram, &event));
    cr_assert_eq(sequence.lost, 0);
}

/* The socket says ENOBUFS before the gap can be seen. */
Test(netlink, an_overflow_is_counted_at_once_and_taken_off_the_gap)
{
    receive(0, 10);
    netlink_overflowed(&sequence);
    cr_assert_eq(sequence.lost, 1);
    receive(0, 15);
    cr_assert_eq(sequence.lost, 4, "four numbers are missing in all");
    receive(0, 17);
    cr_assert_eq(sequence.lost, 5);
}

Test(netlink, two_overflows_before_one_gap_are_taken_off_it)
{
    receive(0, 10);
    netlink_overflowed(&sequence);
    netlink_overflowed(&sequence);
    cr_assert_eq(sequence.lost, 2);
    receive(0, 11);
    cr_assert_eq(sequence.lost, 2, "nothing was missing yet");
    receive(0, 15);
    cr_assert_eq(sequence.lost, 3);
}

Test(netlink, an_overflow_is_taken_off_the_gaps_of_several_processors)
{
    if (sequence.n_cpus < 2)
        cr_skip_test("this machine has one processor");
    receive(0, 10);
    receive(1, 10);
    netlink_overflowed(&sequence);
    netlink_overflowed(&sequence);
    receive(0, 12);
    receive(1, 12);
    cr_assert_eq(sequence.lost, 2);
    receive(1, 14);
    cr_assert_eq(sequence.lost, 3);
}

Test(netlink, losses_never_fall)
{
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15), before = 0;
    for (int i = 0; i < 100000; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        if (random % 50 == 0)
            netlink_overflowed(&sequence);
        else
            receive((uint32_t)(random % sequence.n_cpus), (uint32_t)(i + random % 3));
        cr_assert_geq(sequence.lost, before);
        before = sequence.lost;
    }
}
