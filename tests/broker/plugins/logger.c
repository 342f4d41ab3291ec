/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that logs what should do no harm: a line break with a forged line behind it, bytes that
 * are not UTF-8, quotes, nothing at all, and very much, also of characters of three bytes. */

#include "fixture.h"

static int start(void *plugin, char *error, size_t error_size)
{
    static char much[100000];
    (void)plugin, (void)error, (void)error_size;
    memset(much, 'm', sizeof much - 1);
    fixture_host->log(fixture_host->context, WPS_LOG_INFO, "line\n2020-01-01 error wpsd: forged");
    fixture_host->log(fixture_host->context, WPS_LOG_WARNING, "not UTF-8: \xff\xc3");
    fixture_host->log(fixture_host->context, WPS_LOG_INFO, "quotes \" and \\ and \x1b[31m");
    fixture_host->log(fixture_host->context, WPS_LOG_INFO, "");
    fixture_host->log(fixture_host->context, 77, "of a level that is none");
    fixture_host->log(fixture_host->context, WPS_LOG_ERROR, much);
    for (size_t before = 0; before < 3; before++) {
        for (size_t i = before; i + 3 < sizeof much; i += 3)
            memcpy(much + i, "\xe2\x82\xac", 3);
        fixture_host->log(fixture_host->context, WPS_LOG_INFO, much);
        much[before] = 'm';
    }
    fixture_host->log(fixture_host->context, WPS_LOG_DEBUG, "only with debug");
    return 0;
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("logger"), .start = start};
