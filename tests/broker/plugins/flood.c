/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that publishes faster than the broker can send. When it is told to, it goes on until it
 * was refused 1,000 times, counting; then it says how many were taken and how many refused. It also
 * measures the longest call, for publish must never block. */

#include <time.h>

#include "fixture.h"

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void say_for_sure(const char *word, uint32_t number)
{
    while (fixture_say(word, "flood:result", number) == -EAGAIN)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static int reload(void *plugin, const struct wps_option *options, size_t n_options, char *error,
                  size_t error_size)
{
    (void)plugin, (void)options, (void)n_options, (void)error, (void)error_size;
    uint32_t taken = 0, refused = 0;
    uint64_t longest = 0;
    while (refused < 1000 && taken < 50000000) {
        uint64_t before = now_us();
        int result = fixture_say("drop-in-the-ocean", "flood", taken);
        uint64_t took = now_us() - before;
        longest = took > longest ? took : longest;
        taken += result == 0;
        refused += result == -EAGAIN;
    }
    say_for_sure("taken", taken);
    say_for_sure("refused", refused);
    say_for_sure("longest-us", (uint32_t)longest);
    return 0;
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("flood"), .reload = reload};
