/* SPDX-License-Identifier: Apache-2.0 */

/* Every option of the broker. */

#include "broker_shim/config_rules.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static const char *const levels[] = {"error", "warning", "info", "debug", "trace", NULL};
static const char *const formats[] = {"text", "json", NULL};
static const char *const switches[] = {"no", "yes", NULL};

#define AT(member) .offset = offsetof(struct config, member)

const struct rule config_rules[] = {
    {"runtime-dir", RULE_TEXT, AT(runtime_dir), .value_name = "DIR",
     .help = "directory of the sockets, in place of $WPS_RUNTIME_DIR"},
    {"allow-others", RULE_SWITCH, AT(allow_others), .words = switches, .value_name = "yes|no",
     .help = "let other users read events (the directory is 0711 then)"},
    {"allow-users", RULE_TEXT, AT(allow_users), .value_name = "USERS",
     .help = "let these users listen, ask and publish: names or numbers"},
    {"curve-secret", RULE_TEXT, AT(curve_secret), .value_name = "FILE",
     .help = "our secret certificate, for sockets on tcp"},
    {"curve-listen", RULE_TEXT, AT(curve_listen), .value_name = "DIR",
     .help = "certificates of those who may listen on tcp"},
    {"curve-ask", RULE_TEXT, AT(curve_ask), .value_name = "DIR",
     .help = "certificates of those who may ask on tcp"},
    {"curve-publish", RULE_TEXT, AT(curve_publish), .value_name = "DIR",
     .help = "certificates of those who may publish on tcp"},
    {"plain-tcp", RULE_SWITCH, AT(plain_tcp), .words = switches, .value_name = "yes|no",
     .help = "tcp without keys, on 127.0.0.1 alone"},
    {"fence", RULE_SWITCH, AT(fence), .preset = 1, .words = switches, .value_name = "yes|no",
     .help = "give up rights and system calls of no use"},
    {"keep-capabilities", RULE_TEXT, AT(keep_capabilities), .value_name = "CAPABILITIES",
     .help = "not these capabilities, which a plugin needs"},
    {"keep-system-calls", RULE_TEXT, AT(keep_system_calls), .value_name = "CALLS",
     .help = "not these system calls"},
    {"events-endpoint", RULE_TEXT, AT(events_endpoint), .value_name = "ENDPOINT",
     .help = "where subscribers connect; else events in the directory"},
    {"publish-endpoint", RULE_TEXT, AT(publish_endpoint), .value_name = "ENDPOINT",
     .help = "where other services publish; else publish in the directory"},
    {"rpc-endpoint", RULE_TEXT, AT(rpc_endpoint), .value_name = "ENDPOINT",
     .help = "where requests go; else rpc in the directory"},
    {"log-level", RULE_WORD, AT(log_level), .preset = 2, .words = levels, .live = true,
     .value_name = "LEVEL", .help = "error, warning, info, debug or trace"},
    {"log-format", RULE_WORD, AT(log_format), .words = formats, .live = true,
     .value_name = "FORMAT", .help = "text, or json: one object a line"},
    {"queue-events", RULE_NUMBER, AT(queue_events), .preset = 100000, .min = 1, .max = 100000000,
     .value_name = "N", .help = "events of plugins that may wait for the broker"},
    {"queue-bytes", RULE_BYTES, AT(queue_bytes), .preset = 64 * MIB, .min = 64 * KIB,
     .max = 64 * GIB, .value_name = "BYTES", .help = "the same, in bytes"},
    {"send-at-once", RULE_SWITCH, AT(send_at_once), .preset = 1, .words = switches,
     .value_name = "yes|no", .help = "plugins' threads send by themselves what need not wait"},
    {"subscriber-queue", RULE_NUMBER, AT(subscriber_queue), .preset = 100000, .min = 1,
     .max = INT_MAX, .value_name = "N", .help = "messages that may wait for each subscriber"},
    {"publish-queue", RULE_NUMBER, AT(publish_queue), .preset = 1000, .min = 1, .max = INT_MAX,
     .value_name = "N", .help = "messages of each service that may wait for the broker"},
    {"rpc-queue", RULE_NUMBER, AT(rpc_queue), .preset = 1000, .min = 1, .max = INT_MAX,
     .value_name = "N", .help = "requests, and replies, that may wait for each client"},
    {"event-bytes", RULE_BYTES, AT(event_bytes), .preset = MIB, .min = KIB, .max = MIB,
     .value_name = "BYTES", .help = "greatest event taken on the publish socket"},
    {"unsent-bytes", RULE_BYTES, AT(unsent_bytes), .preset = 256 * MIB, .min = MIB,
     .max = 1024 * GIB, .value_name = "BYTES",
     .help = "with more left unread by peers, take nothing from outside"},
    {"reply-bytes", RULE_BYTES, AT(reply_bytes), .preset = 16 * MIB, .min = 64 * KIB, .max = GIB,
     .value_name = "BYTES", .help = "events in one reply of eventreadhistory"},
    {"history-bytes", RULE_BYTES, AT(history_bytes), .preset = 64 * MIB, .min = 0,
     .max = 1024 * GIB, .value_name = "BYTES", .help = "memory for persisted events"},
    {"history-lists", RULE_NUMBER, AT(history_lists), .preset = 100000, .min = 0, .max = 100000000,
     .value_name = "N", .help = "pairs of event and scope they are kept under"},
    {"max-descriptors", RULE_NUMBER, AT(max_descriptors), .preset = 65536, .min = 32,
     .max = INT_MAX, .value_name = "N",
     .help = "the limit on descriptors is set to this, if allowed"},
    {"reserve-descriptors", RULE_NUMBER, AT(reserve_descriptors), .preset = 64, .min = 8,
     .max = INT_MAX, .value_name = "N", .help = "of them not for clients, but for plugins"},
    {"stop-timeout-ms", RULE_NUMBER, AT(stop_timeout_ms), .preset = 30000, .min = 1,
     .max = 86400000, .value_name = "MS", .help = "time that each plugin has to stop"},
    {"linger-ms", RULE_NUMBER, AT(linger_ms), .preset = 1000, .min = 0, .max = 3600000,
     .value_name = "MS", .help = "time at the end to send what subscribers have not read"},
    {"io-threads", RULE_NUMBER, AT(io_threads), .preset = 1, .min = 1, .max = 64, .value_name = "N",
     .help = "threads that ZeroMQ has for the sockets"},
};

const size_t config_n_rules = sizeof config_rules / sizeof *config_rules;

const struct rule *rule_find(const char *name)
{
    for (size_t i = 0; i < config_n_rules; i++)
        if (strcmp(config_rules[i].name, name) == 0)
            return &config_rules[i];
    return NULL;
}

uint64_t *rule_number(const struct rule *rule, const struct config *config)
{
    return (uint64_t *)((char *)config + rule->offset);
}

char **rule_text(const struct rule *rule, const struct config *config)
{
    return (char **)((char *)config + rule->offset);
}

void rules_preset(struct config *config)
{
    for (size_t i = 0; i < config_n_rules; i++)
        if (config_rules[i].kind != RULE_TEXT)
            *rule_number(&config_rules[i], config) = config_rules[i].preset;
}

static int set_text(const struct rule *rule, struct config *config, const char *value,
                    struct wps_error *error)
{
    if (!*value)
        return wps_error_set(error, -EINVAL, "%s: expected a value", rule->name);
    char *copy = strdup(value);
    if (!copy)
        return wps_error_set(error, -ENOMEM, "%s: no memory", rule->name);
    char **text = rule_text(rule, config);
    free(*text);
    *text = copy;
    return 0;
}

static uint64_t unit_of(const char *suffix)
{
    if (!*suffix)
        return 1;
    if (suffix[1])
        return 0;
    return *suffix == 'K' ? KIB : *suffix == 'M' ? MIB : *suffix == 'G' ? GIB : 0;
}

static int set_number(const struct rule *rule, struct config *config, const char *value,
                      struct wps_error *error)
{
    char *end = NULL;
    errno = 0;
    uint64_t number = *value >= '0' && *value <= '9' ? strtoull(value, &end, 10) : 0;
    uint64_t unit = !end || errno ? 0 : rule->kind == RULE_BYTES ? unit_of(end) : !*end;
    if (unit == 0)
        return wps_error_set(error, -EINVAL, "%s: \"%s\": expected a number%s", rule->name, value,
                             rule->kind == RULE_BYTES ? ", with K, M or G behind it if you like"
                                                      : "");
    if (number > rule->max / unit || number * unit < rule->min)
        return wps_error_set(error, -EINVAL, "%s: \"%s\": expected %llu to %llu", rule->name, value,
                             (unsigned long long)rule->min, (unsigned long long)rule->max);
    *rule_number(rule, config) = number * unit;
    return 0;
}

static int set_word(const struct rule *rule, struct config *config, const char *value,
                    struct wps_error *error)
{
    for (uint64_t i = 0; rule->words[i]; i++)
        if (strcmp(rule->words[i], value) == 0) {
            *rule_number(rule, config) = i;
            return 0;
        }
    char list[128] = "";
    for (size_t i = 0; rule->words[i]; i++) {
        strncat(list, i ? ", " : "", sizeof list - strlen(list) - 1);
        strncat(list, rule->words[i], sizeof list - strlen(list) - 1);
    }
    return wps_error_set(error, -EINVAL, "%s: \"%s\": expected one of %s", rule->name, value, list);
}

int rule_set(const struct rule *rule, struct config *config, const char *value,
             struct wps_error *error)
{
    switch (rule->kind) {
    case RULE_TEXT:
        return set_text(rule, config, value, error);
    case RULE_NUMBER:
    case RULE_BYTES:
        return set_number(rule, config, value, error);
    default:
        return set_word(rule, config, value, error);
    }
}

bool rule_equal(const struct rule *rule, const struct config *a, const struct config *b)
{
    if (rule->kind != RULE_TEXT)
        return *rule_number(rule, a) == *rule_number(rule, b);
    const char *left = *rule_text(rule, a), *right = *rule_text(rule, b);
    return left && right ? strcmp(left, right) == 0 : left == right;
}
