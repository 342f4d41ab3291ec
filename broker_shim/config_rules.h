/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_CONFIG_RULES_H
#define BROKER_CONFIG_RULES_H

/* The table of options, and how a value is read and checked after it. Used by config.c alone. */

#include "broker_shim/config.h"

enum rule_kind {
    RULE_TEXT,   /* char * */
    RULE_NUMBER, /* uint64_t from min to max */
    RULE_BYTES,  /* the same; K, M or G behind the number are powers of 1,024 */
    RULE_SWITCH, /* uint64_t 0 or 1: no, yes */
    RULE_WORD,   /* uint64_t: the position of the value in `words` */
};

struct rule {
    const char *name;
    enum rule_kind kind;
    size_t offset; /* in struct config */
    uint64_t preset, min, max;
    const char *const *words; /* ended by a null */
    bool live;                /* can be changed while the broker runs */
    const char *value_name;   /* in the help */
    const char *help;
};

extern const struct rule config_rules[];
extern const size_t config_n_rules;

/* Null: no such option. */
const struct rule *rule_find(const char *name);

/* Sets every option to its preset. */
void rules_preset(struct config *config);

/* Reads a value. -EINVAL: the sentence begins with the option's name. -ENOMEM. */
int rule_set(const struct rule *rule, struct config *config, const char *value,
             struct wps_error *error);

/* True where the option has the same value in both. */
bool rule_equal(const struct rule *rule, const struct config *a, const struct config *b);

/* Where the value of an option that is no RULE_TEXT lies. */
uint64_t *rule_number(const struct rule *rule, const struct config *config);

/* Where the value of a RULE_TEXT lies. */
char **rule_text(const struct rule *rule, const struct config *config);

#endif
