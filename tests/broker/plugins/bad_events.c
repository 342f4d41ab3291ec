/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that tries to publish what are no events. It says, bit by bit, which were refused. */

#include <stdlib.h>

#include "fixture.h"

static int try(struct wps_event event)
{
    return fixture_host->publish(fixture_host->context, &event);
}

static int start(void *plugin, char *error, size_t error_size)
{
    static char long_scope[300];
    static uint8_t deep[40];
    const char *scope = long_scope;
    const char *broken = "\xff\xfe";
    struct wps_event good = {.size = sizeof good, .event = "fixture:good"};
    (void)plugin, (void)error, (void)error_size;

    memset(long_scope, 's', 246);
    memset(deep, 0x91, sizeof deep);
    deep[39] = 0xc0;

    struct wps_event events[10];
    for (size_t i = 0; i < 10; i++)
        events[i] = good;
    events[0].event = NULL;
    events[1].event = "";
    events[2].scopes = &scope, events[2].n_scopes = 1;
    events[3].data = "\xc0\xc0", events[3].data_size = 2;             /* two values */
    events[4].data = "\xdd\xff\xff\xff\xff", events[4].data_size = 5; /* 4 G items in 5 bytes */
    events[5].data = "\xa5"
                     "ab",
    events[5].data_size = 3; /* cut short */
    events[6].data = deep, events[6].data_size = sizeof deep;
    events[7].size = 8;
    events[8].scopes = &broken, events[8].n_scopes = 1;
    events[9].event = broken;

    uint32_t refused = 0;
    for (size_t i = 0; i < 10; i++)
        refused |= (uint32_t)(try(events[i]) == -EINVAL) << i;
    int fine = try(good);
    struct wps_event greater = good;
    greater.size = sizeof greater + 64; /* of a newer header: what is behind is not ours */
    fine |= try(greater);

    char text[64];
    snprintf(text, sizeof text, "refused 0x%x, good ones gave %d", refused, fine);
    fixture_host->log(fixture_host->context, WPS_LOG_INFO, text);
    return 0;
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("bad-events"), .start = start};
