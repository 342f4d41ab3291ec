/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that logs what should do no harm: a line break with a forged line behind it, bytes that
 * are not UTF-8, quotes, nothing at all, and very much. */

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
    fixture_host->log(fixture_host->context, WPS_LOG_DEBUG, "only with debug");
    return 0;
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("logger"), .start = start};
