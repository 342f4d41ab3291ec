/* SPDX-License-Identifier: Apache-2.0 */

/* The queue between the plugins' threads and the broker's. */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include "broker_shim/event_queue.h"

static struct event_queue *queue_of(size_t events, size_t bytes)
{
    struct event_queue *queue;
    struct wps_error error;
    cr_assert_eq(event_queue_new(&queue, events, bytes, &error), 0, "%s", error.message);
    return queue;
}

static int put(struct event_queue *queue, const char *name, bool *ret_warn)
{
    struct event event = {.event = text_of(name)};
    bool ignored = false;
    return event_queue_put(queue, &event, ret_warn ? ret_warn : &ignored);
}

static bool readable(const struct event_queue *queue)
{
    struct pollfd fd = {.fd = event_queue_fd(queue), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static size_t take(struct event_queue *queue, size_t max)
{
    size_t n = 0;
    for (struct packet *packet = event_queue_take(queue, max), *next; packet; packet = next, n++) {
        next = packet->next;
        packet_release(packet);
    }
    return n;
}

Test(event_queue, what_is_put_first_is_taken_first_and_packed)
{
    struct event_queue *queue = queue_of(10, 10000);
    const struct text scopes[] = {text_of("a"), text_of("b")};
    struct event event = {.event = text_of("e"), .scopes = scopes, .n_scopes = 2, .persist = 99999};
    bool warn;
    cr_assert_eq(event_queue_put(queue, &event, &warn), 0);
    cr_assert_eq(put(queue, "second", NULL), 0);

    struct packet *first = event_queue_take(queue, 10), *second = first->next;
    cr_assert(text_is(first->event, "e"));
    cr_assert_eq(first->n_scopes, 2);
    cr_assert(text_is(first->scopes[1], "b"));
    cr_assert_eq(first->persist, EVENT_PERSIST_MAX);
    struct event_doc doc;
    struct wps_error error;
    cr_assert_eq(event_open(&doc, first->body.at, first->body.size, "", &error), 0, "%s",
                 error.message);
    cr_assert(text_is(doc.event.event, "e"));
    event_close(&doc);
    cr_assert(text_is(second->event, "second"));
    cr_assert_null(second->next);
    packet_release(first);
    packet_release(second);
    event_queue_destroy(&queue);
    cr_assert_null(queue);
}

Test(event_queue, its_descriptor_is_readable_exactly_while_something_is_in_it)
{
    struct event_queue *queue = queue_of(10, 10000);
    cr_assert_not(readable(queue));
    for (int i = 0; i < 3; i++) {
        put(queue, "e", NULL);
        cr_assert(readable(queue));
    }
    cr_assert_eq(take(queue, 2), 2);
    cr_assert(readable(queue));
    cr_assert_eq(take(queue, 2), 1);
    cr_assert_not(readable(queue));
    cr_assert_eq(take(queue, 2), 0);
    put(queue, "e", NULL);
    cr_assert(readable(queue));
    event_queue_destroy(&queue);
}

Test(event_queue, a_full_one_refuses_and_warns_once_until_it_is_half_empty)
{
    struct event_queue *queue = queue_of(4, 100000);
    bool warn = false;
    for (int i = 0; i < 4; i++)
        cr_assert_eq(put(queue, "e", &warn), 0);
    cr_assert_eq(put(queue, "e", &warn), -EAGAIN);
    cr_assert(warn);
    cr_assert_eq(put(queue, "e", &warn), -EAGAIN);
    cr_assert_not(warn);
    take(queue, 1);
    cr_assert_eq(put(queue, "e", &warn), 0);
    cr_assert_eq(put(queue, "e", &warn), -EAGAIN);
    cr_assert_not(warn, "it was not half empty in between");
    take(queue, 2);
    put(queue, "e", &warn);
    put(queue, "e", &warn);
    cr_assert_eq(put(queue, "e", &warn), -EAGAIN);
    cr_assert(warn);
    event_queue_destroy(&queue);
}

Test(event_queue, bytes_are_a_limit_too)
{
    struct event_queue *queue = queue_of(1000, 2000);
    size_t events, bytes;
    size_t n = 0;
    while (put(queue, "an event with a name of some length", NULL) == 0)
        n++;
    event_queue_fill(queue, &events, &bytes);
    cr_assert_eq(events, n);
    cr_assert_lt(n, 50);
    cr_assert_geq(bytes, 2000);
    take(queue, 1000);
    event_queue_fill(queue, &events, &bytes);
    cr_assert_eq(events + bytes, 0);
    event_queue_destroy(&queue);
}

/* Counts what it sends, unless it is told that another thread is at it. */
struct sender {
    int sent;
    bool busy;
};

static bool send_now(void *context, struct packet *packet)
{
    struct sender *sender = context;
    cr_assert_gt(packet->body.size, 0);
    sender->sent += !sender->busy;
    return !sender->busy;
}

Test(event_queue, with_nothing_before_it_an_event_is_sent_by_who_puts_it)
{
    struct event_queue *queue = queue_of(10, 10000);
    struct sender sender = {0};
    event_queue_set_send_now(queue, send_now, &sender);
    cr_assert_eq(put(queue, "a", NULL), 0);
    cr_assert_eq(put(queue, "b", NULL), 0);
    cr_assert_eq(sender.sent, 2);
    cr_assert_not(readable(queue), "the broker's thread need not wake up");
    cr_assert_eq(take(queue, 10), 0);
    event_queue_destroy(&queue);
}

Test(event_queue, nothing_overtakes_what_is_queued_or_being_sent)
{
    struct event_queue *queue = queue_of(10, 10000);
    struct sender sender = {.busy = true};
    event_queue_set_send_now(queue, send_now, &sender);
    cr_assert_eq(put(queue, "a", NULL), 0);
    sender.busy = false;
    cr_assert_eq(put(queue, "b", NULL), 0);
    cr_assert_eq(sender.sent, 0, "b is behind a, which is queued");
    cr_assert_eq(take(queue, 10), 2);
    cr_assert_eq(put(queue, "c", NULL), 0);
    cr_assert_eq(sender.sent, 0, "c is behind those that were taken and may not be sent yet");
    cr_assert_eq(take(queue, 10), 1);
    event_queue_sent(queue);
    cr_assert_eq(put(queue, "d", NULL), 0);
    cr_assert_eq(sender.sent, 1);
    event_queue_destroy(&queue);
}

Test(event_queue, at_thousands_a_second_events_are_left_to_the_brokers_thread)
{
    struct event_queue *queue = queue_of(1000000, 1000000000);
    struct sender sender = {0};
    int n = 0;
    event_queue_set_send_now(queue, send_now, &sender);
    while (sender.sent == n && n < 1000000) {
        cr_assert_eq(put(queue, "a", NULL), 0);
        n++;
    }
    cr_assert(readable(queue));
    cr_assert_eq(take(queue, 10), 1);
    event_queue_destroy(&queue);
}

Test(event_queue, a_closed_one_sends_nothing)
{
    struct event_queue *queue = queue_of(10, 10000);
    struct sender sender = {0};
    event_queue_set_send_now(queue, send_now, &sender);
    event_queue_close(queue);
    cr_assert_eq(put(queue, "a", NULL), -ESHUTDOWN);
    cr_assert_eq(sender.sent, 0);
    event_queue_destroy(&queue);
}

Test(event_queue, a_closed_one_takes_nothing_more_and_gives_what_it_has)
{
    struct event_queue *queue = queue_of(10, 10000);
    put(queue, "e", NULL);
    event_queue_close(queue);
    cr_assert_eq(put(queue, "e", NULL), -ESHUTDOWN);
    cr_assert_eq(take(queue, 10), 1);
    event_queue_destroy(&queue);
}

enum { THREADS = 4, EACH = 20000 };

struct publisher {
    struct event_queue *queue;
    char name;
};

static void *publish(void *context)
{
    const struct publisher *publisher = context;
    for (unsigned i = 0; i < EACH; i++) {
        char name[16];
        snprintf(name, sizeof name, "%c%u", publisher->name, i);
        while (put(publisher->queue, name, NULL) == -EAGAIN)
            sched_yield();
    }
    return NULL;
}

Test(event_queue, many_threads_lose_nothing_and_keep_each_its_order)
{
    struct event_queue *queue = queue_of(100, 1000000);
    struct publisher publishers[THREADS];
    pthread_t threads[THREADS];
    unsigned next[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        publishers[i] = (struct publisher){queue, (char)('a' + i)};
        pthread_create(&threads[i], NULL, publish, &publishers[i]);
    }
    for (size_t taken = 0; taken < THREADS * EACH;) {
        struct pollfd fd = {.fd = event_queue_fd(queue), .events = POLLIN};
        cr_assert_eq(poll(&fd, 1, 10000), 1, "woken after %zu", taken);
        for (struct packet *packet = event_queue_take(queue, 7), *behind; packet; packet = behind) {
            behind = packet->next;
            char expected[16];
            int who = packet->event.at[0] - 'a';
            snprintf(expected, sizeof expected, "%c%u", 'a' + who, next[who]++);
            cr_assert(text_is(packet->event, expected), "expected %s", expected);
            packet_release(packet);
            taken++;
        }
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_not(readable(queue));
    event_queue_destroy(&queue);
}
