/* SPDX-License-Identifier: Apache-2.0 */

/* From the command line and a ZPL file to a struct config. */

#include "broker_shim/config.h"

#include <czmq.h>
#include <getopt.h>

#include "base/cleanup.h"
#include "broker_shim/config_rules.h"

enum {
    /* Values of getopt_long: options of the table are numbers from 0 on. */
    OPTION_HELP = 1000,
    OPTION_VERSION,
    OPTION_CONFIG,
    OPTION_PLUGIN,
    OPTION_OPTIONAL_PLUGIN,
    OPTION_CHECK_PLUGIN,
    RULES_MAX = 64,
    MEBIBYTE = 1024 * 1024,
    CONFIG_BYTES_MAX = MEBIBYTE,
};

static const struct option own_options[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"plugin", required_argument, NULL, OPTION_PLUGIN},
    {"optional-plugin", required_argument, NULL, OPTION_OPTIONAL_PLUGIN},
    {"check-plugin", required_argument, NULL, OPTION_CHECK_PLUGIN},
};

enum { N_OWN = sizeof own_options / sizeof *own_options };

static void make_options(struct option options[static RULES_MAX + N_OWN + 1])
{
    size_t n = 0;
    for (; n < config_n_rules && n < RULES_MAX; n++)
        options[n] = (struct option){config_rules[n].name, required_argument, NULL, (int)n};
    for (size_t i = 0; i < N_OWN; i++)
        options[n++] = own_options[i];
    options[n] = (struct option){0};
}

/* ---- plugins -------------------------------------------------------------------------------- */

/* Takes the spec over, also where it fails. */
static int add_plugin(struct config *config, struct plugin_spec *spec, struct wps_error *error)
{
    struct plugin_spec *plugins =
        reallocarray(config->plugins, config->n_plugins + 1, sizeof *plugins);
    if (!plugins) {
        plugin_spec_clear(spec);
        return wps_error_set(error, -ENOMEM, "plugin: no memory");
    }
    plugins[config->n_plugins++] = *spec;
    config->plugins = plugins;
    return 0;
}

static int add_plugin_text(struct config *config, const char *text, bool optional,
                           struct wps_error *error)
{
    struct plugin_spec spec;
    int result = plugin_spec_parse(&spec, text, optional, error);
    return result < 0 ? result : add_plugin(config, &spec, error);
}

/* ---- the file ------------------------------------------------------------------------------- */

static int add_plugin_section(struct config *config, zconfig_t *section, bool optional,
                              struct wps_error *error)
{
    struct plugin_spec spec = {.file = strdup(zconfig_value(section)), .optional = optional};
    int result = !spec.file    ? -ENOMEM
                 : !*spec.file ? wps_error_set(error, -EINVAL, "no file is named")
                               : 0;
    for (zconfig_t *item = zconfig_child(section); item && result == 0; item = zconfig_next(item))
        result = plugin_spec_add(&spec, zconfig_name(item), zconfig_value(item));
    if (result < 0) {
        plugin_spec_clear(&spec);
        return result == -ENOMEM ? wps_error_set(error, result, "no memory") : result;
    }
    return add_plugin(config, &spec, error);
}

static int read_item(struct config *config, zconfig_t *item, struct wps_error *error)
{
    const char *name = zconfig_name(item);
    if (streq(name, "plugin") || streq(name, "optional-plugin"))
        return add_plugin_section(config, item, streq(name, "optional-plugin"), error);
    const struct rule *rule = rule_find(name);
    if (!rule)
        return wps_error_set(error, -EINVAL, "there is no option of this name");
    if (zconfig_child(item))
        return wps_error_set(error, -EINVAL, "nothing can be below it");
    return rule_set(rule, config, zconfig_value(item), error);
}

/* czmq tells of a wrong line on stdout: for that moment stdout is stderr. (zconfig_load would do it
 * too, but leaks where it fails.) */
static zconfig_t *load(const char *file)
{
    zchunk_t *text = zchunk_slurp(file, CONFIG_BYTES_MAX);
    if (!text)
        return NULL;
    fflush(stdout);
    _cleanup_close_ int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (out >= 0)
        dup2(STDERR_FILENO, STDOUT_FILENO);
    zconfig_t *root = zconfig_chunk_load(text);
    fflush(stdout);
    if (out >= 0)
        dup2(out, STDOUT_FILENO);
    zchunk_destroy(&text);
    return root;
}

static int read_file(struct config *config, const char *file, struct wps_error *error)
{
    if (access(file, R_OK) < 0)
        return wps_error_system(error, -errno, "config %s", file);
    zconfig_t *root = load(file);
    if (!root)
        return wps_error_set(error, -EINVAL, "config %s: it is not a ZPL file", file);
    int result = 0;
    struct wps_error detail;
    zconfig_t *item = zconfig_child(root);
    for (; item && result == 0; item = zconfig_next(item)) {
        result = read_item(config, item, &detail);
        if (result < 0)
            wps_error_set(error, result, "config %s: %s: %s", file, zconfig_name(item),
                          detail.message);
    }
    zconfig_destroy(&root);
    return result;
}

/* ---- the command line ----------------------------------------------------------------------- */

static int set_from_rule(struct config *config, int index, struct wps_error *error)
{
    struct wps_error detail;
    int result = rule_set(&config_rules[index], config, optarg, &detail);
    return result < 0 ? wps_error_set(error, result, "--%s", detail.message) : 0;
}

/* What is the same in both passes over the arguments. */
static int take_action(struct config *config, enum config_action *action, int option,
                       struct wps_error *error)
{
    switch (option) {
    case OPTION_HELP:
        *action = CONFIG_HELP;
        return 0;
    case OPTION_VERSION:
        *action = CONFIG_VERSION;
        return 0;
    case OPTION_PLUGIN:
    case OPTION_OPTIONAL_PLUGIN:
        return add_plugin_text(config, optarg, option == OPTION_OPTIONAL_PLUGIN, error);
    case OPTION_CHECK_PLUGIN:
        *action = CONFIG_CHECK_PLUGIN;
        for (size_t i = 0; i < config->n_plugins; i++)
            plugin_spec_clear(&config->plugins[i]);
        config->n_plugins = 0;
        return add_plugin_text(config, optarg, false, error);
    default:
        return set_from_rule(config, option, error);
    }
}

static int wrong_option(int argc, char **argv, int option, struct wps_error *error)
{
    const char *which = optind > 0 && optind <= argc ? argv[optind - 1] : "";
    return wps_error_set(error, -EINVAL, "%s: %s (wpsd --help lists all options)", which,
                         option == ':' ? "expected a value" : "there is no such option");
}

static int for_each_option(struct config *config, enum config_action *action, int argc, char **argv,
                           bool for_the_file, struct wps_error *error)
{
    struct option options[RULES_MAX + N_OWN + 1];
    int option, result = 0;
    make_options(options);
    optind = 0; /* begin anew (glibc) */
    while (result == 0 && (option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (option == '?' || option == ':')
            return wrong_option(argc, argv, option, error);
        if (for_the_file != (option == OPTION_CONFIG))
            continue;
        if (!for_the_file)
            result = take_action(config, action, option, error);
        else if (!(config->config_file = (free(config->config_file), strdup(optarg))))
            result = wps_error_set(error, -ENOMEM, "--config: no memory");
    }
    if (result == 0 && optind < argc)
        return wps_error_set(error, -EINVAL,
                             "%s: expected options only (a plugin is named by --plugin)",
                             argv[optind]);
    return result;
}

int config_read(struct config *ret, enum config_action *ret_action, int argc, char **argv,
                struct wps_error *error)
{
    struct config config = {0};
    enum config_action action = CONFIG_RUN;
    rules_preset(&config);
    /* The file comes first wherever it is named, so that the command line counts more. */
    int result = for_each_option(&config, NULL, argc, argv, true, error);
    if (result == 0 && config.config_file)
        result = read_file(&config, config.config_file, error);
    if (result == 0)
        result = for_each_option(&config, &action, argc, argv, false, error);
    if (result < 0) {
        config_clear(&config);
        return result;
    }
    *ret = config;
    *ret_action = action;
    return 0;
}

void config_clear(struct config *self)
{
    for (size_t i = 0; i < config_n_rules; i++)
        if (config_rules[i].kind == RULE_TEXT)
            free(*rule_text(&config_rules[i], self));
    for (size_t i = 0; i < self->n_plugins; i++)
        plugin_spec_clear(&self->plugins[i]);
    free(self->plugins);
    free(self->config_file);
    *self = (struct config){0};
}

const char *config_change(struct config *self, const struct config *next)
{
    const char *differs = NULL;
    for (size_t i = 0; i < config_n_rules; i++) {
        const struct rule *rule = &config_rules[i];
        if (rule_equal(rule, self, next))
            continue;
        if (rule->live && rule->kind != RULE_TEXT)
            *rule_number(rule, self) = *rule_number(rule, next);
        else
            differs = rule->name;
    }
    return differs;
}

/* ---- help ----------------------------------------------------------------------------------- */

static void help_line(FILE *out, const char *name, const char *value, const char *text)
{
    char left[64] = "";
    if (*name)
        snprintf(left, sizeof left, "--%s%s%s", name, *value ? "=" : "", value);
    fprintf(out, "  %-32s %s\n", left, text);
}

static void help_rule(FILE *out, const struct rule *rule)
{
    char text[160];
    if (rule->kind == RULE_TEXT)
        snprintf(text, sizeof text, "%s", rule->help);
    else if (rule->kind == RULE_BYTES && rule->preset % MEBIBYTE == 0)
        snprintf(text, sizeof text, "%s (%lluM)", rule->help,
                 (unsigned long long)(rule->preset / MEBIBYTE));
    else if (rule->kind == RULE_NUMBER || rule->kind == RULE_BYTES)
        snprintf(text, sizeof text, "%s (%llu)", rule->help, (unsigned long long)rule->preset);
    else
        snprintf(text, sizeof text, "%s (%s)", rule->help, rule->words[rule->preset]);
    help_line(out, rule->name, rule->value_name, text);
}

void config_help(FILE *out)
{
    fputs("wpsd: a broker for events, in the style of Wave's wps, that loads plugins\n"
          "\n"
          "  wpsd --plugin FILE[,key=value...] [options]\n"
          "  wpsd --config FILE [options]\n"
          "  wpsd --check-plugin FILE[,key=value...]\n"
          "\n",
          out);
    help_line(out, "plugin", "FILE[,key=value...]", "load this plugin, with these options; may be");
    help_line(out, "", "", "repeated");
    help_line(out, "optional-plugin", "FILE[,...]", "the same; go on without it if it fails");
    help_line(out, "check-plugin", "FILE[,...]", "say what it is, or why it cannot be loaded");
    help_line(out, "config", "FILE", "read options from this ZPL file; names as below, and");
    help_line(out, "", "", "plugin = FILE with the plugin's options indented below");
    help_line(out, "help", "", "this");
    help_line(out, "version", "", "name and version");
    fputs("\nOptions, with their presets. BYTES may end in K, M or G.\n\n", out);
    for (size_t i = 0; i < config_n_rules; i++)
        help_rule(out, &config_rules[i]);
}
