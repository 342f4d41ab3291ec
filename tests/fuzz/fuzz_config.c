/* SPDX-License-Identifier: Apache-2.0 */

/* The configuration file of the broker. Input: the file. */

#include <czmq.h>
#include <sys/mman.h>

#include "broker_shim/config.h"
#include "fuzz.h"
#include "schemas/wire.h"

/* What cannot be read is told on stderr by the library that reads ZPL; that is not our subject. */
static void be_quiet(void)
{
    static bool quiet;
    if (!quiet)
        freopen("/dev/null", "w", stdout);
    quiet = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char option[64];
    struct config config;
    enum config_action action;
    struct wps_error error = {""};
    be_quiet();
    int fd = memfd_create("config", MFD_CLOEXEC);
    must(fd >= 0);
    must(write(fd, data, size) == (ssize_t)size);
    snprintf(option, sizeof option, "--config=/proc/self/fd/%d", fd);
    char name[] = "wpsd", *argv[] = {name, option, NULL};
    if (config_read(&config, &action, 2, argv, &error) == 0) {
        must(action == CONFIG_RUN);
        must(config.n_plugins == 0 || config.plugins[0].file[0]);
        config_clear(&config);
    } else {
        must(error.message[0]);
    }
    close(fd);
    return 0;
}
