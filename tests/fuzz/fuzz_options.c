/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin as it is named on the command line, "FILE,key=value...", and the options of the module
 * among them. Input: that text. */

#include "broker_shim/plugin_spec.h"
#include "fuzz.h"
#include "plugin/options.h"

static void read_options(const struct plugin_spec *spec)
{
    struct options options;
    struct wps_error error = {""};
    if (options_read(&options, spec->options, spec->n_options, &error) < 0) {
        must(error.message[0]);
        return;
    }
    must(options.poll_ms >= 10 && options.poll_ms <= 3600000);
    must(options.settle_ms <= 10000 && options.persist <= 4096);
    must(memchr(options.control, '\0', sizeof options.control));
    must(memchr(options.cgroup_root, '\0', sizeof options.cgroup_root));
    must(memchr(options.keeper, '\0', sizeof options.keeper));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    char *text = take_string(&input, size, NULL);
    struct plugin_spec spec, copy;
    struct wps_error error = {""};
    if (plugin_spec_parse(&spec, text, false, &error) == 0) {
        must(plugin_spec_copy(&copy, &spec) == 0);
        must(plugin_spec_same_options(&spec, &copy));
        read_options(&spec);
        plugin_spec_clear(&copy);
        plugin_spec_clear(&spec);
    } else {
        must(error.message[0]);
    }
    free(text);
    return 0;
}
