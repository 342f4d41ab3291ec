/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_MASK_RULES_H
#define PLUGIN_MASK_RULES_H

/*
 * What names a secret in a command line: one table of patterns, and those that a user adds. A name
 * in a pattern is compared without regard to case, `_` and `-` are the same in it, and `*` is any
 * run of its characters. Used by mask.c alone.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

enum mask_kind {
    MASK_OPTION = 1,     /* --name VALUE, --name=VALUE, -name VALUE */
    MASK_ASSIGNMENT = 2, /* name=VALUE, name: VALUE, "name": "VALUE" */
    MASK_REST = 4,       /* with `:` all that follows is the value: a header */
    MASK_WORD = 8,       /* name VALUE */
    MASK_PREFIX = 16,    /* nameVALUE: how tokens of one maker begin; to the letter */
};

enum { MASK_LEAST = 16 }; /* no token of the table is shorter */

struct mask_rule {
    char name[48];    /* without its dashes */
    char program[24]; /* "": of any; else only where this program (a pattern too) came before */
    unsigned kinds;
    unsigned least; /* MASK_PREFIX: bytes of the whole */
};

/* The rules that are there by themselves, by how they are looked for. */
enum { MASK_NAMES, MASK_WORDS, MASK_OF_PROGRAMS, MASK_PREFIXES };

extern const struct mask_table {
    const struct mask_rule *rules;
    size_t n;
} mask_tables[];

/* Reads a pattern as a user writes it: `--name`, `-n`, `name=`, `Name:`, `name` (the first three in
 * one), `PROGRAM --name`, `PROGRAM -n`, `prefix*`. -EINVAL with a sentence. */
int mask_rule_read(struct mask_rule *ret, const char *pattern, struct wps_error *error);

/* True where `name` is one of the names that `pattern` stands for. */
bool mask_name_matches(const char *pattern, struct text name);

#endif
