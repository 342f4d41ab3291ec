/* SPDX-License-Identifier: Apache-2.0 */

/* What plugins hand over: each scope once, without an allocation for the usual few. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "broker_shim/plugin_event.h"

Test(plugin_event, scopes_come_once_each_in_their_order)
{
    const char *scopes[] = {"b", "a", "b", "", "a", ""};
    struct wps_event event = {.size = sizeof event, .event = "e", .scopes = scopes, .n_scopes = 6};
    struct plugin_event opened;
    cr_assert_eq(plugin_event_open(&opened, &event, NULL), 0);
    cr_assert_eq(opened.event.n_scopes, 3);
    cr_assert(text_is(opened.event.scopes[0], "b"));
    cr_assert(text_is(opened.event.scopes[1], "a"));
    cr_assert(text_is(opened.event.scopes[2], ""));
    cr_assert_null(opened.more);
    plugin_event_close(&opened);
}

Test(plugin_event, many_scopes_are_taken_too_many_are_not)
{
    static char names[EVENT_SCOPES_MAX + 1][8];
    static const char *scopes[EVENT_SCOPES_MAX + 1];
    for (int i = 0; i <= EVENT_SCOPES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        scopes[i] = names[i];
    }
    struct wps_event event = {.size = sizeof event, .event = "e", .scopes = scopes};
    struct plugin_event opened;
    struct wps_error error;
    event.n_scopes = EVENT_SCOPES_MAX;
    cr_assert_eq(plugin_event_open(&opened, &event, &error), 0);
    cr_assert_eq(opened.event.n_scopes, EVENT_SCOPES_MAX);
    plugin_event_close(&opened);
    event.n_scopes = EVENT_SCOPES_MAX + 1;
    cr_assert_eq(plugin_event_open(&opened, &event, &error), -EINVAL);
    cr_assert_not_null(strstr(error.message, "1024"));
}

Test(plugin_event, absent_and_empty_are_the_same)
{
    struct wps_event event = {.size = sizeof event, .event = "e", .sender = NULL, .data = NULL};
    struct plugin_event opened;
    cr_assert_eq(plugin_event_open(&opened, &event, NULL), 0);
    cr_assert_eq(opened.event.sender.size + opened.event.data.size + opened.event.n_scopes, 0);
    plugin_event_close(&opened);
}

Test(plugin_event, data_with_a_str_that_is_not_utf8_is_refused)
{
    struct wps_event event = {
        .size = sizeof event, .event = "e", .data = "\x81\xa1k\xa1\xff", .data_size = 5};
    struct plugin_event opened;
    struct wps_error error;
    cr_assert_eq(plugin_event_open(&opened, &event, &error), -EINVAL);
    cr_assert_str_eq(error.message, "not valid UTF-8: the str at byte 3");
}
