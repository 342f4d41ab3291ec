/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that, told to reload, has eight threads at once take a mebibyte each, write to it and
 * free it, and that again: so does one whose workers each look at all processes of a full machine.
 */

#include <pthread.h>
#include <stdlib.h>

#include "fixture.h"

enum { THREADS = 8, TURNS = 3, BLOCK_BYTES = 1 << 20 };

static pthread_barrier_t all_have_theirs;

static void *take_and_free(void *argument)
{
    for (int turn = 0; turn < TURNS; turn++) {
        /* volatile: else the compiler sees that nobody needs it. */
        char *volatile block = malloc(BLOCK_BYTES);
        if (block)
            memset(block, 1, BLOCK_BYTES);
        pthread_barrier_wait(&all_have_theirs);
        free(block);
    }
    return argument;
}

static int reload(void *plugin, const struct wps_option *options, size_t n_options, char *error,
                  size_t error_size)
{
    pthread_t threads[THREADS];
    (void)plugin, (void)options, (void)n_options, (void)error, (void)error_size;
    pthread_barrier_init(&all_have_theirs, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, take_and_free, NULL);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_have_theirs);
    return fixture_say("freed", "memory", THREADS * BLOCK_BYTES);
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("large-blocks"), .reload = reload};
