/* SPDX-License-Identifier: Apache-2.0 */

/* The subscriber alone, with a socket that publishes as the broker does, and as it never would. */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "client/subscriber.h"

enum { PATIENCE_MS = 10000, LIST_MAX = 5 };

static void *context, *publisher;
static struct subscriber *events;
static struct wps_error error;

static void setup(void)
{
    context = zmq_ctx_new();
    publisher = zmq_socket(context, ZMQ_XPUB);
    zmq_setsockopt(publisher, ZMQ_RCVTIMEO, &(int){PATIENCE_MS}, sizeof(int));
    zmq_setsockopt(publisher, ZMQ_LINGER, &(int){0}, sizeof(int));
    zmq_setsockopt(publisher, ZMQ_RCVHWM, &(int){0}, sizeof(int));
    cr_assert_eq(zmq_bind(publisher, "inproc://events"), 0);
    cr_assert_eq(subscriber_open(&events, context, "inproc://events", &error), 0);
}

static void teardown(void)
{
    subscriber_close(&events);
    cr_assert_null(events);
    subscriber_close(&events);
    zmq_close(publisher);
    zmq_ctx_term(context);
}

TestSuite(subscriber, .init = setup, .fini = teardown);

static size_t count(const char *const *list)
{
    size_t n = 0;
    while (n < LIST_MAX && list[n])
        n++;
    return n;
}

/* Comes back when all that was subscribed to so far is in force. */
static void sync_subscriptions(void)
{
    static int number;
    char scope[32], told[64];
    int size = snprintf(scope, sizeof scope, "sync:%d", number++);
    cr_assert_eq(subscriber_subscribe(events, "sync", (const char *[]){scope}, 1, &error), 0);
    for (int got = 0; got != size + 1 || told[0] != 1 || memcmp(told + 1, scope, (size_t)size);) {
        got = zmq_recv(publisher, told, sizeof told, 0);
        cr_assert_geq(got, 0, "the subscription to %s does not come", scope);
    }
}

/* As the broker does: once for each scope, with all of them in it. */
static void publish(const char *name, const char *const *scopes)
{
    struct text texts[LIST_MAX];
    size_t n = count(scopes);
    for (size_t i = 0; i < n; i++)
        texts[i] = text_of(scopes[i]);
    struct event event = {.event = text_of(name), .scopes = texts, .n_scopes = n};
    struct wire_out out;
    wire_out_init(&out);
    event_pack(&out, &event);
    for (size_t i = 0; i < n || i == 0; i++) {
        struct text topic = n ? texts[i] : text_of("");
        zmq_send(publisher, topic.at, topic.size, ZMQ_SNDMORE);
        zmq_send(publisher, out.bytes.data, out.bytes.size, 0);
    }
    wire_out_destroy(&out);
}

/* How many events are delivered before one that is sent now to a subscription of its own. */
static int delivered(void)
{
    const struct event *event;
    publish("end", (const char *[LIST_MAX]){"end"});
    for (int n = 0;; n++) {
        cr_assert_eq(subscriber_receive(events, PATIENCE_MS, &event), 1);
        if (text_is(event->event, "end"))
            return n;
        cr_assert(text_is(event->event, "e"));
    }
}

static const struct {
    const char *wanted[LIST_MAX]; /* {ALL}: all scopes */
    const char *scopes[LIST_MAX]; /* of the event */
    int deliveries;
} cases[] = {
#define ALL "all scopes"
    {{ALL}, {NULL}, 1},
    {{ALL}, {"a"}, 1},
    {{ALL}, {"a", "b", "c"}, 1},
    {{ALL}, {""}, 1},
    {{NULL}, {"a"}, 0},
    {{NULL}, {NULL}, 0},
    /* exact */
    {{"a"}, {"a"}, 1},
    {{"a"}, {"b"}, 0},
    {{"a"}, {NULL}, 0},
    {{"a"}, {"ab"}, 0},
    {{"a"}, {"a:b"}, 0},
    {{"block:1"}, {"block:10"}, 0},
    {{"block:1"}, {"block:10", "block:1"}, 1},
    {{"a", "a"}, {"a"}, 1},
    {{"a", "b"}, {"c", "b", "a"}, 1},
    {{""}, {""}, 1},
    {{""}, {NULL}, 0},
    {{""}, {"a"}, 0},
    /* star */
    {{"*"}, {"a"}, 1},
    {{"*"}, {"a:b"}, 0},
    {{"*"}, {""}, 1},
    {{"*"}, {NULL}, 0},
    {{"**"}, {"a:b", "c", "d:e:f"}, 1},
    {{"**"}, {NULL}, 0},
    {{"a:*"}, {"a"}, 0},
    {{"a:*"}, {"a:1", "a:2"}, 1},
    {{"a:**"}, {"a"}, 1},
    {{"a:**"}, {"ab"}, 0},
    {{"**:a"}, {"b:a"}, 0},
    {{"*:b"}, {"a:b"}, 1},
    {{"a*"}, {"ab"}, 0},
    /* several kinds at once */
    {{"a:1", "a:*", "**"}, {"a:1", "a:2"}, 1},
    {{"a:*", "b"}, {"c", "b", "a:1"}, 1},
    {{"a", "x:*"}, {"x", "a:x"}, 0},
};

Test(subscriber, an_event_is_delivered_once_or_not_at_all_as_in_wps)
{
    const char *end[] = {"end"};
    cr_assert_eq(subscriber_subscribe(events, "end", end, 1, &error), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const *wanted = cases[i].wanted;
        int result = wanted[0] && strcmp(wanted[0], ALL) == 0
                         ? subscriber_subscribe_all(events, "e", &error)
                         : subscriber_subscribe(events, "e", wanted, count(wanted), &error);
        cr_assert_eq(result, 0, "%s", error.message);
        sync_subscriptions();
        publish("other", cases[i].scopes);
        publish("e", cases[i].scopes);
        cr_expect_eq(delivered(), cases[i].deliveries,
                     "case %zu: wanted \"%s\" ..., had \"%s\" ...", i,
                     wanted[0] ? wanted[0] : "nothing",
                     cases[i].scopes[0] ? cases[i].scopes[0] : "no scope");
    }
}

Test(subscriber, an_event_is_whole_until_the_next_call)
{
    const struct event *event;
    subscriber_subscribe_all(events, "e", &error);
    sync_subscriptions();
    publish("e", (const char *[LIST_MAX]){"a", "b:1"});
    cr_assert_eq(subscriber_receive(events, PATIENCE_MS, &event), 1);
    cr_assert(text_is(event->event, "e"));
    cr_assert_eq(event->n_scopes, 2);
    cr_assert(text_is(event->scopes[1], "b:1"));
    cr_assert_eq(subscriber_receive(events, 0, &event), -EAGAIN, "the second time is no other");
}

Test(subscriber, what_is_no_event_is_passed_over_and_counted)
{
    const char *end[] = {"end"};
    subscriber_subscribe(events, "end", end, 1, &error);
    subscriber_subscribe_all(events, "e", &error);
    sync_subscriptions();
    const char *const bodies[] = {"", "\xc1", "\x01", "\x91\x01", "\xdf\xff\xff\xff\xff", "\x80"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        zmq_send(publisher, "a", 1, ZMQ_SNDMORE);
        zmq_send(publisher, bodies[i], strlen(bodies[i]), 0);
    }
    zmq_send(publisher, "one frame", 9, 0);
    for (int i = 0; i < 5; i++)
        zmq_send(publisher, "many", 4, i < 4 ? ZMQ_SNDMORE : 0);
    publish("e", (const char *[LIST_MAX]){"a"});
    cr_assert_eq(delivered(), 1);
    cr_assert_eq(subscriber_malformed(events), 8);
}

Test(subscriber, a_topic_that_is_none_of_the_scopes_is_not_delivered)
{
    const char *end[] = {"end"};
    subscriber_subscribe(events, "end", end, 1, &error);
    subscriber_subscribe_all(events, "e", &error);
    sync_subscriptions();
    zmq_send(publisher, "b", 1, ZMQ_SNDMORE);
    zmq_send(publisher,
             "\x82\xa5"
             "event\xa1"
             "e\xa6scopes\x91\xa1"
             "a",
             18, 0);
    cr_assert_eq(delivered(), 0);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

Test(subscriber, it_waits_as_long_as_it_is_told_and_what_it_does_not_want_is_no_reason_to_return)
{
    const struct event *event = NULL;
    const char *scopes[] = {"block:1"};
    subscriber_subscribe(events, "e", scopes, 1, &error);
    sync_subscriptions();
    publish("e", (const char *[LIST_MAX]){"block:10"});
    int64_t began = now_ms();
    cr_assert_eq(subscriber_receive(events, 100, &event), -EAGAIN);
    cr_assert_geq(now_ms() - began, 99);
    cr_assert_null(event, "untouched");
    publish("e", (const char *[LIST_MAX]){"block:1"});
    cr_assert_eq(subscriber_receive(events, -1, &event), 1);
}

Test(subscriber, its_descriptor_is_readable_when_an_event_comes)
{
    const struct event *event;
    subscriber_subscribe_all(events, "e", &error);
    sync_subscriptions();
    struct pollfd item = {.fd = subscriber_fd(events), .events = POLLIN};
    for (int i = 0; i < 100; i++) {
        while (subscriber_receive(events, 0, &event) != -EAGAIN)
            ;
        publish("e", (const char *[LIST_MAX]){"a"});
        cr_assert_eq(poll(&item, 1, PATIENCE_MS), 1);
        cr_assert_eq(subscriber_receive(events, PATIENCE_MS, &event), 1);
    }
}

Test(subscriber, what_is_wrong_is_said_and_changes_nothing)
{
    struct subscriber *none = NULL;
    cr_assert_eq(subscriber_open(&none, context, "no endpoint", &error), -EINVAL);
    cr_assert(strstr(error.message, "no endpoint"));
    cr_assert_null(none);
    const char *bad[] = {"a", "\xff"};
    cr_assert_eq(subscriber_subscribe(events, "e", bad, 2, &error), -EINVAL);
    cr_assert(strstr(error.message, "scopes[1]"), "%s", error.message);
    cr_assert_eq(subscriber_subscribe(events, "", bad, 1, &error), -EINVAL);
    cr_assert_eq(subscriber_subscribe_all(events, "", NULL), -EINVAL);
    cr_assert_eq(subscriber_unsubscribe(events, "e"), -ENOENT);
}

Test(subscriber, when_its_context_ends_it_says_so)
{
    const struct event *event;
    zmq_ctx_shutdown(context);
    cr_assert_eq(subscriber_receive(events, PATIENCE_MS, &event), -ETERM);
}
