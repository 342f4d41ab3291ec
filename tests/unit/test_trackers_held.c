/* SPDX-License-Identifier: Apache-2.0 */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* One who reads process 5 until it is told to end, and waits for that, or computes meanwhile. */
struct reader {
    pthread_t thread;
    bool waits;
    int end[2];      /* a pipe */
    atomic_uint tid; /* once it reads */
    atomic_bool over;
};

static void *read_on(void *argument)
{
    struct reader *reader = argument;
    char byte;
    int read_number = held_begin(5);
    cr_assert_geq(read_number, 0);
    atomic_store(&reader->tid, (unsigned)syscall(SYS_gettid));
    if (reader->waits)
        cr_assert_eq(read(reader->end[0], &byte, 1), 1);
    while (!atomic_load(&reader->over))
        ;
    held_end(read_number);
    return NULL;
}

static void reader_begin(struct reader *reader)
{
    cr_assert_eq(pipe(reader->end), 0);
    cr_assert_eq(pthread_create(&reader->thread, NULL, read_on, reader), 0);
    while (!atomic_load(&reader->tid))
        let_pass(1);
    let_pass(HELD_MS + 10);
}

static void reader_end(struct reader *reader)
{
    atomic_store(&reader->over, true);
    cr_assert_eq(write(reader->end[1], "", 1), 1);
    pthread_join(reader->thread, NULL);
    close(reader->end[0]);
    close(reader->end[1]);
}

Test(held, a_read_that_hangs_keeps_others_from_that_process_alone)
{
    struct reader reader = {.waits = true};
    reader_begin(&reader);
    for (int i = 0; i < 1000 && !held_hangs(reader.tid); i++)
        let_pass(10); /* until it waits: there may be no processor for it before */
    cr_assert_eq(held_begin(5), -EBUSY);
    cr_assert(held_hangs(reader.tid));
    int other = held_begin(6);
    cr_assert_geq(other, 0);
    cr_assert_not(held_hangs((uint32_t)syscall(SYS_gettid)), "another's read");
    held_end(other);
    reader_end(&reader);
    cr_assert_not(held_hangs(reader.tid));
    int again = held_begin(5);
    cr_assert_geq(again, 0);
    held_end(again);
}

Test(held, a_read_that_only_takes_long_keeps_nobody_off)
{
    struct reader reader = {.waits = false};
    reader_begin(&reader);
    int other = held_begin(5);
    cr_assert_geq(other, 0);
    held_end(other);
    cr_assert_not(held_hangs(reader.tid));
    reader_end(&reader);
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
