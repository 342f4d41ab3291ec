/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that publishes from four threads at once, 2,000 events each, on a scope for each. It
 * waits for the event queue where that is full, so none is lost. */

#include <pthread.h>
#include <sched.h>

#include "fixture.h"

enum { THREADS = 4, EVENTS = 2000 };

static pthread_t threads[THREADS];

static void *publish(void *argument)
{
    char scope[32];
    snprintf(scope, sizeof scope, "thread:%zu", (size_t)argument);
    for (uint32_t i = 0; i < EVENTS; i++)
        while (fixture_say("numbered", scope, i) == -EAGAIN)
            sched_yield();
    return NULL;
}

/* It begins when it is told to, so that a test can subscribe first. */
static int reload(void *plugin, const struct wps_option *options, size_t n_options, char *error,
                  size_t error_size)
{
    (void)plugin, (void)options, (void)n_options, (void)error, (void)error_size;
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, publish, (void *)i);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return fixture_say("all-done", "thread:all", THREADS * EVENTS);
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("many-threads"), .reload = reload};
