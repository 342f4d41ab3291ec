/* SPDX-License-Identifier: Apache-2.0 */

/* The options of the module: what each takes, what it refuses, and how that is said. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plugin/options.h"
#include "trackers/feed.h"
#include "trackers/tracker.h"

static struct wps_error error;

static int read_one(struct options *ret, const char *key, const char *value)
{
    const struct wps_option option = {key, value};
    error.message[0] = '\0';
    return options_read(ret, &option, 1, &error);
}

static void assert_refused(const char *key, const char *value, const char *says)
{
    struct options options = {.poll_ms = 4711};
    cr_assert_eq(read_one(&options, key, value), -EINVAL, "%s=%s", key, value);
    cr_assert(strstr(error.message, key), "'%s' does not name %s", error.message, key);
    cr_assert(strstr(error.message, says), "'%s' does not say '%s'", error.message, says);
    cr_assert_eq(options.poll_ms, 4711, "untouched");
}

Test(options, without_any_there_are_the_defaults)
{
    struct options options;
    cr_assert_eq(options_read(&options, NULL, 0, &error), 0);
    cr_assert_str_eq(options.tracker, "");
    cr_assert_str_eq(options.feed, "");
    cr_assert_str_eq(options.control, "");
    cr_assert_str_eq(options.cgroup_root, "");
    cr_assert_eq(options.poll_ms, 2000);
    cr_assert_eq(options.settle_ms, 5);
    cr_assert_not(options.keep_on_exit);
    cr_assert_eq(options.adopt_expire_ms, 60000);
    cr_assert_str_eq(options.keeper, "");
    cr_assert_not(options.trace);
    cr_assert_eq(options.feed_buffer_kib, 0);
    cr_assert_eq(options.persist, 0);
    cr_assert_gt(options.max_blocks, 1000);
    cr_assert_gt(options.max_processes, 10000);
    cr_assert_gt(options.max_requests, 100);
    cr_assert_gt(options.max_scopes, 100);
    cr_assert_gt(options.reserve_descriptors, 0);
}

Test(options, every_tracker_and_feed_can_be_forced)
{
    struct options options;
    for (const char *const *name = tracker_names(); *name; name++) {
        cr_assert_eq(read_one(&options, "tracker", *name), 0, "%s", error.message);
        cr_assert_str_eq(options.tracker, *name);
    }
    for (const char *const *name = feed_names(); *name; name++) {
        cr_assert_eq(read_one(&options, "feed", *name), 0, "%s", error.message);
        cr_assert_str_eq(options.feed, *name);
    }
}

Test(options, a_tracker_or_feed_that_is_not_there_is_refused_with_those_that_are)
{
    assert_refused("tracker", "docker", "none of cgroup");
    assert_refused("tracker", "", "none of cgroup");
    assert_refused("tracker", "CGROUP", "none of cgroup");
    assert_refused("feed", "ebpf", "bpf, netlink, poll");
    assert_refused("feed", "bp", "bpf, netlink, poll");
}

static const struct {
    const char *key;
    size_t offset;
    uint64_t min, max;
} numbers[] = {
    {"poll-ms", offsetof(struct options, poll_ms), 10, 3600000},
    {"settle-ms", offsetof(struct options, settle_ms), 0, 10000},
    {"adopt-expire-ms", offsetof(struct options, adopt_expire_ms), 0, 86400000},
    {"feed-buffer-kib", offsetof(struct options, feed_buffer_kib), 4, 1048576},
    {"persist", offsetof(struct options, persist), 0, 4096},
    {"max-blocks", offsetof(struct options, max_blocks), 1, 1000000},
    {"max-scopes", offsetof(struct options, max_scopes), 1, 100000},
    {"max-processes", offsetof(struct options, max_processes), 1, 10000000},
    {"max-requests", offsetof(struct options, max_requests), 1, 1000000},
    {"reserve-descriptors", offsetof(struct options, reserve_descriptors), 0, 1000000},
    {"priority-boost", offsetof(struct options, priority_boost), 0, 20},
};

Test(options, a_number_is_taken_from_its_least_to_its_most)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const uint64_t values[] = {numbers[i].min, numbers[i].min + 1, numbers[i].max};
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            struct options options;
            char value[32];
            snprintf(value, sizeof value, "%llu", (unsigned long long)values[k]);
            cr_assert_eq(read_one(&options, numbers[i].key, value), 0, "%s", error.message);
            cr_assert_eq(*(uint64_t *)((char *)&options + numbers[i].offset), values[k], "%s=%s",
                         numbers[i].key, value);
        }
    }
}

Test(options, a_number_beyond_its_ends_is_refused_with_them)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char value[32], says[64];
        snprintf(says, sizeof says, "from %llu to %llu", (unsigned long long)numbers[i].min,
                 (unsigned long long)numbers[i].max);
        snprintf(value, sizeof value, "%llu", (unsigned long long)numbers[i].max + 1);
        assert_refused(numbers[i].key, value, says);
        if (numbers[i].min > 0) {
            snprintf(value, sizeof value, "%llu", (unsigned long long)numbers[i].min - 1);
            assert_refused(numbers[i].key, value, says);
        }
    }
}

Test(options, what_is_no_number_is_refused)
{
    static const char *const values[] = {
        "", "x", "10x", "x10", "-10", "1e3", "10.5", "0x10", "10 ", "--10", "99999999999999999999"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_refused("poll-ms", values[i], "whole number");
}

Test(options, one_of_two_words_is_taken_and_no_other)
{
    struct options options;
    cr_assert_eq(read_one(&options, "on-exit", "keep"), 0);
    cr_assert(options.keep_on_exit);
    cr_assert_eq(read_one(&options, "on-exit", "kill"), 0);
    cr_assert_not(options.keep_on_exit);
    cr_assert_eq(read_one(&options, "log", "trace"), 0);
    cr_assert(options.trace);
    cr_assert_eq(read_one(&options, "log", "normal"), 0);
    cr_assert_not(options.trace);
    assert_refused("on-exit", "", "neither kill nor keep");
    assert_refused("on-exit", "Keep", "neither kill nor keep");
    assert_refused("log", "debug", "neither normal nor trace");
}

Test(options, a_text_is_taken_as_it_is)
{
    struct options options;
    cr_assert_eq(read_one(&options, "control", "tcp://127.0.0.1:5555"), 0);
    cr_assert_str_eq(options.control, "tcp://127.0.0.1:5555");
    cr_assert_eq(read_one(&options, "cgroup-root", "/sys/fs/cgroup/my place"), 0);
    cr_assert_str_eq(options.cgroup_root, "/sys/fs/cgroup/my place");
    cr_assert_eq(read_one(&options, "keeper", "/opt/my keeper"), 0);
    cr_assert_str_eq(options.keeper, "/opt/my keeper");
}

Test(options, a_text_that_is_too_long_is_refused)
{
    static char text[OPTION_TEXT_MAX + 1];
    struct options options;
    memset(text, 'x', OPTION_TEXT_MAX - 1);
    cr_assert_eq(read_one(&options, "control", text), 0);
    cr_assert_eq(strlen(options.control), OPTION_TEXT_MAX - 1);
    text[OPTION_TEXT_MAX - 1] = 'x';
    assert_refused("control", text, "longer than 4095 bytes");
    assert_refused("keeper", text, "longer than 4095 bytes");
    assert_refused("cgroup-root", text, "longer than 4095 bytes");
}

Test(options, an_unknown_key_is_refused_with_those_that_there_are)
{
    static const char *const keys[] = {"trackers", "", "FEED", "poll_ms", "poll-ms ", "settle"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct options options;
        char quoted[32];
        snprintf(quoted, sizeof quoted, "'%s'", keys[i]);
        cr_assert_eq(read_one(&options, keys[i], "1"), -EINVAL, "%s", keys[i]);
        cr_assert(strstr(error.message, quoted), "%s", error.message);
        cr_assert(strstr(error.message, "tracker, feed, control"), "%s", error.message);
        cr_assert(strstr(error.message, "reserve-descriptors"), "all of them: %s", error.message);
    }
}

Test(options, the_last_of_a_key_given_twice_counts)
{
    struct options options;
    const struct wps_option twice[] = {{"poll-ms", "100"}, {"feed", "poll"}, {"poll-ms", "200"}};
    cr_assert_eq(options_read(&options, twice, 3, &error), 0);
    cr_assert_eq(options.poll_ms, 200);
    cr_assert_str_eq(options.feed, "poll");
}

Test(options, one_bad_one_among_good_ones_refuses_all)
{
    struct options options = {.poll_ms = 4711};
    const struct wps_option some[] = {{"poll-ms", "100"}, {"feed", "nonsense"}};
    cr_assert_eq(options_read(&options, some, 2, &error), -EINVAL);
    cr_assert_eq(options.poll_ms, 4711);
}
