/* SPDX-License-Identifier: Apache-2.0 */

/* The table of patterns, and how a further one is read. */

#include "plugin/mask_rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BOTH (MASK_OPTION | MASK_ASSIGNMENT)

/* Where in doubt a name is here: a value too many that is hidden costs less than one too few. */
static const struct mask_rule names[] = {
    {"*token", .kinds = BOTH},
    {"*password", .kinds = BOTH},
    {"*passwords", .kinds = BOTH},
    {"*passwd", .kinds = BOTH},
    {"*passphrase", .kinds = BOTH},
    {"*passcode", .kinds = BOTH},
    {"*secret", .kinds = BOTH},
    {"*secrets", .kinds = BOTH},
    {"*-key", .kinds = BOTH},
    {"*-keys", .kinds = BOTH},
    {"*apikey", .kinds = BOTH},
    {"*accesskey", .kinds = BOTH},
    {"*secretkey", .kinds = BOTH},
    {"*privatekey", .kinds = BOTH},
    {"*authkey", .kinds = BOTH},
    {"*accountkey", .kinds = BOTH},
    {"*auth-tokens", .kinds = BOTH},
    {"*access-tokens", .kinds = BOTH},
    {"*api-tokens", .kinds = BOTH},
    {"pass", .kinds = BOTH},
    {"*-pass", .kinds = BOTH},
    {"sshpass", .kinds = BOTH},
    {"passin", .kinds = BOTH},
    {"passout", .kinds = BOTH},
    {"pwd", .kinds = BOTH},
    {"*-pwd", .kinds = BOTH},
    {"*credential", .kinds = BOTH},
    {"*credentials", .kinds = BOTH},
    {"auth", .kinds = BOTH},
    {"*-auth", .kinds = BOTH},
    {"bearer", .kinds = BOTH},
    {"otp", .kinds = BOTH},
    {"sig", .kinds = MASK_ASSIGNMENT},
    {"*signature", .kinds = MASK_ASSIGNMENT},
    {"*authorization", .kinds = BOTH | MASK_REST},
    {"*cookie", .kinds = BOTH | MASK_REST},
};

static const struct mask_rule words[] = {
    {"bearer", .kinds = MASK_WORD},
};

static const struct mask_rule of_programs[] = {
    {"u", .program = "curl", .kinds = MASK_OPTION},
    {"user", .program = "curl", .kinds = MASK_OPTION},
    {"proxy-user", .program = "curl", .kinds = MASK_OPTION},
    {"p", .program = "mysql*", .kinds = MASK_OPTION},
    {"p", .program = "mariadb*", .kinds = MASK_OPTION},
    {"p", .program = "sshpass", .kinds = MASK_OPTION},
    {"a", .program = "redis-cli", .kinds = MASK_OPTION},
    {"w", .program = "ldap*", .kinds = MASK_OPTION},
    {"k", .program = "openssl", .kinds = MASK_OPTION},
};

/* None is shorter than MASK_LEAST. */
static const struct mask_rule prefixes[] = {
    {"ghp_", .kinds = MASK_PREFIX, .least = 20},
    {"gho_", .kinds = MASK_PREFIX, .least = 20},
    {"ghu_", .kinds = MASK_PREFIX, .least = 20},
    {"ghs_", .kinds = MASK_PREFIX, .least = 20},
    {"ghr_", .kinds = MASK_PREFIX, .least = 20},
    {"github_pat_", .kinds = MASK_PREFIX, .least = 20},
    {"glpat-", .kinds = MASK_PREFIX, .least = 20},
    {"xoxa-", .kinds = MASK_PREFIX, .least = 16},
    {"xoxb-", .kinds = MASK_PREFIX, .least = 16},
    {"xoxp-", .kinds = MASK_PREFIX, .least = 16},
    {"sk-", .kinds = MASK_PREFIX, .least = 24},
    {"hf_", .kinds = MASK_PREFIX, .least = 24},
    {"AIza", .kinds = MASK_PREFIX, .least = 30},
    {"eyJ", .kinds = MASK_PREFIX, .least = 24},
};

_Static_assert(sizeof of_programs / sizeof *of_programs <= 64, "mask.c has a bit for each");

#define TABLE(rows)                                                                                \
    {                                                                                              \
        rows, sizeof(rows) / sizeof *(rows)                                                        \
    }

const struct mask_table mask_tables[] = {
    [MASK_NAMES] = TABLE(names),
    [MASK_WORDS] = TABLE(words),
    [MASK_OF_PROGRAMS] = TABLE(of_programs),
    [MASK_PREFIXES] = TABLE(prefixes),
};

/* ---- names ---------------------------------------------------------------------------------- */

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '_' ? '-' : c;
}

/* Most patterns are a star and an ending, which most names have not: their last letter tells. */
static bool ends_otherwise(const char *pattern, struct text name)
{
    size_t size = strlen(pattern);
    return size && name.size && pattern[size - 1] != '*' &&
           fold(pattern[size - 1]) != fold(name.at[name.size - 1]);
}

bool mask_name_matches(const char *pattern, struct text name)
{
    if (ends_otherwise(pattern, name))
        return false;
    const char *star = NULL;
    size_t at = 0, from = 0;
    while (at < name.size) {
        if (*pattern == '*') {
            star = ++pattern;
            from = at;
        } else if (*pattern && fold(*pattern) == fold(name.at[at])) {
            pattern++;
            at++;
        } else if (star) { /* the star takes one more */
            pattern = star;
            at = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* ---- patterns of users ---------------------------------------------------------------------- */

static bool is_name(struct text name)
{
    size_t letters = 0;
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.at[i];
        if (!isalnum(c) && !strchr("*_-.", c))
            return false;
        letters += isalnum(c) != 0;
    }
    return letters > 0 && (letters > 1 || name.size == 1);
}

static int refuse(const char *pattern, struct wps_error *error)
{
    return wps_error_set(error, -EINVAL,
                         "option mask: '%.80s' is no pattern: expected --name, -n, name=, Name:, "
                         "name, PROGRAM --name or prefix*, with * for any letters of a name",
                         pattern);
}

static int put(char *room, size_t size, struct text name)
{
    if (name.size >= size || !is_name(name))
        return -EINVAL;
    memcpy(room, name.at, name.size);
    room[name.size] = '\0';
    return 0;
}

/* "--name", "-n" */
static int read_option(struct mask_rule *rule, const char *option)
{
    option += strspn(option, "-");
    rule->kinds = MASK_OPTION;
    return put(rule->name, sizeof rule->name, (struct text){option, strcspn(option, "=")});
}

static int read_prefix(struct mask_rule *rule, struct text prefix)
{
    rule->kinds = MASK_PREFIX;
    rule->least = (unsigned)prefix.size + 1;
    return prefix.size < 3 ? -EINVAL : put(rule->name, sizeof rule->name, prefix);
}

/* "name=", "Name:", "Name: what follows", "name", "prefix*" */
static int read_name(struct mask_rule *rule, const char *pattern)
{
    struct text name = {pattern, strcspn(pattern, "=:")};
    char sign = pattern[name.size];
    if (!sign && name.size && name.at[name.size - 1] == '*' && !memchr(name.at, '*', name.size - 1))
        return read_prefix(rule, (struct text){name.at, name.size - 1});
    rule->kinds = sign == '=' ? MASK_ASSIGNMENT : sign == ':' ? MASK_ASSIGNMENT | MASK_REST : BOTH;
    if (sign == '=' && name.at[name.size + 1])
        return -EINVAL;
    return put(rule->name, sizeof rule->name, name);
}

int mask_rule_read(struct mask_rule *ret, const char *pattern, struct wps_error *error)
{
    struct mask_rule rule = {0};
    const char *option = strstr(pattern, " -");
    int r;
    if (*pattern == '-')
        r = read_option(&rule, pattern);
    else if (option && !memchr(pattern, ':', (size_t)(option - pattern))) {
        r = put(rule.program, sizeof rule.program,
                (struct text){pattern, (size_t)(option - pattern)});
        r = r < 0 ? r : read_option(&rule, option + 1);
    } else
        r = read_name(&rule, pattern);
    if (r < 0)
        return refuse(pattern, error);
    *ret = rule;
    return 0;
}
