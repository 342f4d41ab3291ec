/* SPDX-License-Identifier: Apache-2.0 */

/* Options: numbers, units, what can be changed while the broker runs. */

#include <criterion/criterion.h>
#include <errno.h>

#include "broker_shim/config_rules.h"

static struct wps_error error;

static int set(struct config *config, const char *name, const char *value)
{
    const struct rule *rule = rule_find(name);
    cr_assert_not_null(rule, "%s", name);
    return rule_set(rule, config, value, &error);
}

Test(config, every_preset_lies_within_its_limits)
{
    for (size_t i = 0; i < config_n_rules; i++) {
        const struct rule *rule = &config_rules[i];
        if (rule->kind == RULE_NUMBER || rule->kind == RULE_BYTES)
            cr_expect(rule->preset >= rule->min && rule->preset <= rule->max, "%s", rule->name);
    }
}

Test(config, numbers_are_numbers)
{
    struct config config = {0};
    cr_assert_eq(set(&config, "queue-events", "12"), 0);
    cr_assert_eq(config.queue_events, 12);
    static const char *const wrong[] = {"",     " 1", "1 ", "+1",  "-1",
                                        "0x10", "1K", "1.", "1e3", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_eq(set(&config, "queue-events", wrong[i]), -EINVAL, "\"%s\"", wrong[i]);
    cr_assert_eq(config.queue_events, 12, "untouched by what is wrong");
}

Test(config, bytes_may_have_units)
{
    struct config config = {0};
    cr_assert_eq(set(&config, "queue-bytes", "65536"), 0);
    cr_assert_eq(config.queue_bytes, 65536);
    cr_assert_eq(set(&config, "queue-bytes", "64K"), 0);
    cr_assert_eq(config.queue_bytes, 65536);
    cr_assert_eq(set(&config, "queue-bytes", "2G"), 0);
    cr_assert_eq(config.queue_bytes, 2ull << 30);
    cr_assert_eq(set(&config, "queue-bytes", "63K"), -EINVAL);
    cr_assert_eq(set(&config, "queue-bytes", "64KB"), -EINVAL);
    cr_assert_eq(set(&config, "queue-bytes", "64k"), -EINVAL);
}

Test(config, words_are_one_of_their_list)
{
    struct config config = {0};
    cr_assert_eq(set(&config, "log-level", "trace"), 0);
    cr_assert_eq(config.log_level, 4);
    cr_assert_eq(set(&config, "log-level", "Trace"), -EINVAL);
    cr_assert_not_null(strstr(error.message, "error, warning, info, debug, trace"));
}

Test(config, only_what_is_live_changes)
{
    char *first[] = {"wpsd", "--log-level=error", "--queue-events=5", "--runtime-dir=/a", NULL};
    char *second[] = {"wpsd", "--log-level=debug", "--queue-events=5", "--runtime-dir=/a", NULL};
    char *third[] = {"wpsd", "--log-level=debug", "--queue-events=6", "--runtime-dir=/a", NULL};
    struct config config, next;
    enum config_action action;
    cr_assert_eq(config_read(&config, &action, 4, first, &error), 0);
    cr_assert_eq(config_read(&next, &action, 4, second, &error), 0);
    cr_assert_null(config_change(&config, &next));
    cr_assert_eq(config.log_level, 3);
    config_clear(&next);
    cr_assert_eq(config_read(&next, &action, 4, third, &error), 0);
    cr_assert_str_eq(config_change(&config, &next), "queue-events");
    cr_assert_eq(config.queue_events, 5);
    config_clear(&next);
    config_clear(&config);
}

Test(config, a_plugin_is_a_file_and_its_options)
{
    struct plugin_spec spec;
    cr_assert_eq(plugin_spec_parse(&spec, "a.so,feed=netlink,x=,y=a=b", true, &error), 0);
    cr_assert_str_eq(spec.file, "a.so");
    cr_assert(spec.optional);
    cr_assert_eq(spec.n_options, 3);
    cr_assert_str_eq(spec.options[0].value, "netlink");
    cr_assert_str_eq(spec.options[1].value, "");
    cr_assert_str_eq(spec.options[2].value, "a=b");
    struct plugin_spec copy;
    cr_assert_eq(plugin_spec_copy(&copy, &spec), 0);
    plugin_spec_clear(&spec);
    cr_assert_str_eq(copy.options[2].key, "y");
    plugin_spec_clear(&copy);
    plugin_spec_clear(&copy);
}
