/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BROKER_FIXTURE_H
#define TESTS_BROKER_FIXTURE_H

/* What the odd plugins have in common: calls that do nothing and succeed, and a way to say
 * something from inside, as events named "fixture:WORD" with a uint as their data. A fixture
 * includes this and overrides what it is odd in. */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "broker_shim/wps_plugin.h"

#define UNUSED __attribute__((unused))
#define EXPORT __attribute__((visibility("default")))

static const struct wps_host *fixture_host UNUSED;

/* Publishes {event: "fixture:word", scopes: [scope], data: number}. */
static inline int fixture_say(const char *word, const char *scope, uint32_t number)
{
    char name[64];
    uint8_t data[5] = {0xce, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
                       (uint8_t)(number >> 8), (uint8_t)number};
    snprintf(name, sizeof name, "fixture:%s", word);
    struct wps_event event = {
        .size = sizeof event,
        .event = name,
        .sender = "fixture",
        .scopes = &scope,
        .n_scopes = 1,
        .data = data,
        .data_size = sizeof data,
    };
    return fixture_host->publish(fixture_host->context, &event);
}

static UNUSED int fixture_open(const struct wps_host *host, const struct wps_option *options,
                               size_t n_options, void **ret_plugin, char *error, size_t error_size)
{
    if (n_options > 0) {
        snprintf(error, error_size, "unknown option: %s", options[0].key);
        return -EINVAL;
    }
    fixture_host = host;
    *ret_plugin = &fixture_host;
    return 0;
}

static UNUSED int fixture_start(void *plugin, char *error, size_t error_size)
{
    (void)plugin, (void)error, (void)error_size;
    return 0;
}

static UNUSED int fixture_stop(void *plugin, uint32_t deadline_ms, char *error, size_t error_size)
{
    (void)plugin, (void)deadline_ms, (void)error, (void)error_size;
    return 0;
}

static UNUSED void fixture_close(void *plugin)
{
    (void)plugin;
}

/* The members that nearly all fixtures share; later initializers override them. */
#define FIXTURE(word)                                                                              \
    .magic = WPS_PLUGIN_MAGIC, .size = sizeof(struct wps_plugin), .minor = WPS_PLUGIN_MINOR,       \
    .name = (word), .version = "1.0", .open = fixture_open, .start = fixture_start,                \
    .stop = fixture_stop, .close = fixture_close

#endif
