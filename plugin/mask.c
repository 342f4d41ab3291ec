/* SPDX-License-Identifier: Apache-2.0 */

/* Finding values of secrets in argument vectors. It runs at every exec: one pass over the bytes,
 * and names are looked up only where a value follows. */

#include "plugin/mask.h"

#include <errno.h>
#include <stdint.h>

#include "schemas/command_line.h"

#define HIDDEN "***"

enum { PROGRAMS = 2 }; /* words of 64 bits: one bit for each rule */

_Static_assert(MASK_OWN_MAX == 64, "the user's rules have the second word to themselves");

struct range {
    size_t begin, end;
};

struct scan {
    const struct mask *mask;
    const char *at;
    size_t size;
    bool open;                   /* the last argument goes on where we do not see it */
    struct range argument;       /* the one that is looked at */
    bool shell;                  /* it is shell text */
    uint64_t programs[PROGRAMS]; /* rules whose program was named */
    bool value_next;             /* the next word is a value */
    char *room;
    size_t used, copied; /* in room; of `at` */
    unsigned n;
};

int mask_add(struct mask *mask, const char *pattern, struct wps_error *error)
{
    if (mask->n == MASK_OWN_MAX)
        return wps_error_set(error, -E2BIG, "option mask: more than %d patterns", MASK_OWN_MAX);
    int r = mask_rule_read(&mask->own[mask->n], pattern, error);
    mask->n += r == 0;
    return r;
}

/* ---- characters ----------------------------------------------------------------------------- */

static bool is_name(char c)
{
    static const bool name[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
        ['_'] = true,         ['-'] = true,         ['.'] = true,
    };
    return name[(unsigned char)c];
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'' || c == '`';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A line end that the shell takes for none. */
static bool is_continuation(const struct scan *scan, size_t i)
{
    return i + 1 < scan->argument.end && scan->at[i] == '\\' && scan->at[i + 1] == '\n';
}

/* Where there is neither a blank nor such a line end. */
static size_t skip_blanks(const struct scan *scan, size_t i)
{
    const char *at = scan->at;
    for (;; i++) {
        if (is_continuation(scan, i))
            i++;
        else if (i >= scan->argument.end || (at[i] != ' ' && at[i] != '\t'))
            return i;
    }
}

/* What may stand between a name and its sign: the end of its quotes, `]`, and `+` of `+=`. */
static size_t skip_closing(const struct scan *scan, size_t i)
{
    const char *at = scan->at;
    while (i < scan->argument.end &&
           (is_quote(at[i]) || at[i] == ']' || at[i] == '+' ||
            (at[i] == '\\' && i + 1 < scan->argument.end && is_quote(at[i + 1]))))
        i++;
    return i;
}

/* The end of the shell's word that goes on at `i`, outside of quotes. */
static size_t word_end(const struct scan *scan, size_t i)
{
    char quote = '\0';
    for (; i < scan->argument.end; i++) {
        char c = scan->at[i];
        if (!quote && is_continuation(scan, i))
            break;
        if (c == '\\' && quote != '\'')
            i++;
        else if (quote)
            quote = c == quote ? '\0' : quote;
        else if (is_quote(c))
            quote = c;
        else if (is_space(c))
            break;
    }
    return i < scan->argument.end ? i : scan->argument.end;
}

/* ---- rules ---------------------------------------------------------------------------------- */

/* The rules of a table, and the user's behind them. */
struct walk {
    const struct mask_rule *next, *end, *own, *own_end;
};

static struct walk walk_of(const struct mask *mask, int table)
{
    const struct mask_rule *rules = mask_tables[table].rules;
    return (struct walk){rules, rules + (mask->off_defaults ? 0 : mask_tables[table].n), mask->own,
                         mask->own + mask->n};
}

/* Null: there are no more. */
static inline const struct mask_rule *walk_on(struct walk *walk)
{
    if (walk->next == walk->end) {
        if (walk->own == walk->own_end)
            return NULL;
        walk->next = walk->own;
        walk->end = walk->own = walk->own_end;
    }
    return walk->next++;
}

/* A bit for each rule of a program: the table's are in the first word, the user's in the second. */
struct program_bit {
    bool own; /* which word */
    uint64_t bit;
};

static struct program_bit bit_of(const struct scan *scan, const struct mask_rule *rule)
{
    bool own = rule >= scan->mask->own && rule < scan->mask->own + MASK_OWN_MAX;
    ptrdiff_t i = rule - (own ? scan->mask->own : mask_tables[MASK_OF_PROGRAMS].rules);
    return (struct program_bit){own, UINT64_C(1) << i};
}

static bool is_in_force(struct scan *scan, const struct mask_rule *rule)
{
    if (!rule->program[0])
        return true;
    struct program_bit its = bit_of(scan, rule);
    return scan->programs[its.own] & its.bit;
}

static const struct mask_rule *rule_in(struct scan *scan, int table, struct text name,
                                       unsigned kinds)
{
    struct walk walk = walk_of(scan->mask, table);
    for (const struct mask_rule *rule; (rule = walk_on(&walk));)
        if ((rule->kinds & kinds) && !(rule->kinds & MASK_PREFIX) && rule->name[1] &&
            is_in_force(scan, rule) && mask_name_matches(rule->name, name))
            return rule;
    return NULL;
}

/* The rule for a name without its dashes, of one of these kinds. */
static const struct mask_rule *rule_for(struct scan *scan, struct text name, unsigned kinds)
{
    const struct mask_rule *rule =
        kinds & MASK_WORD ? rule_in(scan, MASK_WORDS, name, MASK_WORD) : NULL;
    if (!rule && (kinds & ~(unsigned)MASK_WORD))
        rule = rule_in(scan, MASK_NAMES, name, kinds);
    if (!rule && (kinds & MASK_OPTION) && scan->programs[0])
        rule = rule_in(scan, MASK_OF_PROGRAMS, name, kinds);
    return rule;
}

/* Notes for which rules this word is the program. */
static void note_program(struct scan *scan, struct range word)
{
    struct text name = {scan->at + word.begin, word.end - word.begin};
    const char *slash = memrchr(name.at, '/', name.size);
    struct walk walk = walk_of(scan->mask, MASK_OF_PROGRAMS);
    if (slash)
        name = (struct text){slash + 1, (size_t)(name.at + name.size - slash - 1)};
    for (const struct mask_rule *rule; (rule = walk_on(&walk));) {
        if (rule->program[0] && name.size && rule->program[0] == name.at[0] &&
            mask_name_matches(rule->program, name)) {
            struct program_bit its = bit_of(scan, rule);
            scan->programs[its.own] |= its.bit;
        }
    }
}

/* ---- hiding --------------------------------------------------------------------------------- */

static void put(struct scan *scan, const char *bytes, size_t size)
{
    memcpy(scan->room + scan->used, bytes, size);
    scan->used += size;
}

/* The quote that was opened before a value and ends with its word; 0: none. */
static char closing_quote(const struct scan *scan, struct range word, struct range value)
{
    char last = scan->at[value.end - 1];
    bool odd = false;
    if (!is_quote(last) || value.end - value.begin < 2 || scan->at[value.begin] == last)
        return '\0';
    for (size_t i = word.begin; i < value.begin; i++)
        odd ^= scan->at[i] == last;
    return odd ? last : '\0';
}

static void hide(struct scan *scan, struct range word, struct range value)
{
    if (value.begin < scan->copied)
        value.begin = scan->copied;
    if (value.begin >= value.end)
        return;
    char quote = closing_quote(scan, word, value);
    put(scan, scan->at + scan->copied, value.begin - scan->copied);
    put(scan, HIDDEN, sizeof HIDDEN - 1);
    if (quote)
        put(scan, &quote, 1);
    scan->copied = value.end;
    scan->n++;
}

/* ---- where a value ends --------------------------------------------------------------------- */

/* A value in quotes or braces of its own ends behind them at the earliest. */
static size_t behind_closing(const struct scan *scan, size_t name, size_t value)
{
    char open = scan->at[value];
    char close = is_quote(open) ? open : name > 0 && scan->at[name - 1] == '{' ? '}' : '\0';
    if (!close)
        return value;
    for (size_t i = value + 1; i < scan->argument.end; i++) {
        if (scan->at[i] == '\\')
            i++;
        else if (scan->at[i] == close)
            return word_end(scan, i + 1);
    }
    return scan->argument.end;
}

static bool has_quote(const struct scan *scan, size_t begin, size_t end)
{
    while (begin < end && !is_quote(scan->at[begin]))
        begin++;
    return begin < end;
}

static struct range extent(const struct scan *scan, struct range word, size_t name, size_t value,
                           const struct mask_rule *rule)
{
    struct range range = {value, scan->argument.end};
    if (!scan->shell)
        return range;
    if ((rule->kinds & MASK_REST) && !has_quote(scan, word.begin, value))
        return range;
    range.end = value < word.end ? word.end : word_end(scan, value);
    size_t least = behind_closing(scan, name, value);
    range.end = range.end > least ? range.end : least;
    return range;
}

/* ---- where a value begins ------------------------------------------------------------------- */

static size_t find_char(const struct scan *scan, size_t i, size_t end, const char *any)
{
    while (i < end && !strchr(any, scan->at[i]))
        i++;
    return i;
}

static size_t find_last_at(const struct scan *scan, size_t begin, size_t end)
{
    while (end > begin && scan->at[end - 1] != '@')
        end--;
    return end > begin ? end - 1 : SIZE_MAX;
}

static bool is_port(const struct scan *scan, size_t begin, size_t end)
{
    while (begin < end && scan->at[begin] >= '0' && scan->at[begin] <= '9')
        begin++;
    return begin == end;
}

/* The password of a URL whose "://" ends at `begin`. Where a password has a slash in it that is not
 * encoded, what looks like the port is no number. */
static struct range url_password(const struct scan *scan, size_t begin, size_t word_ends)
{
    size_t end = find_char(scan, begin, word_ends, " \t\r\n");
    size_t authority = find_char(scan, begin, end, "/?#");
    size_t colon = find_char(scan, begin, authority, ":");
    size_t sign = find_last_at(scan, begin, authority);
    if (colon == authority)
        return (struct range){0, 0};
    bool odd = sign == SIZE_MAX && !is_port(scan, colon + 1, authority);
    if (scan->open && end == scan->size && (authority == end || odd))
        sign = end; /* the rest of it was cut off */
    else if (odd)
        sign = find_last_at(scan, authority, end);
    if (sign == SIZE_MAX || sign < colon)
        return (struct range){0, 0};
    return (struct range){colon + 1, sign};
}

/* A token that is known by how it begins. */
static bool is_token(const struct scan *scan, struct range run, size_t *ret_value)
{
    size_t size = run.end - run.begin;
    bool open = scan->open && run.end == scan->size;
    if (size < MASK_LEAST && !open && scan->mask->n == 0)
        return false;
    struct walk walk = walk_of(scan->mask, MASK_PREFIXES);
    for (const struct mask_rule *rule; (rule = walk_on(&walk));) {
        if (!(rule->kinds & MASK_PREFIX) || rule->name[0] != scan->at[run.begin])
            continue;
        size_t prefix = strlen(rule->name);
        if (size > prefix && (size >= rule->least || open) &&
            memcmp(scan->at + run.begin, rule->name, prefix) == 0) {
            *ret_value = run.begin + prefix;
            return true;
        }
    }
    return false;
}

/* What stands behind a name. */
struct sight {
    unsigned kinds; /* of rules that are to be looked for; 0: nothing that makes it a secret's */
    size_t value;   /* where its value would be; SIZE_MAX: it is the next word */
};

static struct sight look_behind_name(const struct scan *scan, struct range word, size_t end,
                                     bool dashes)
{
    const char *at = scan->at;
    size_t closed = skip_closing(scan, end), next = skip_blanks(scan, closed);
    unsigned option = dashes ? MASK_OPTION : 0;
    size_t limit = scan->argument.end;
    bool sign = next < limit && (at[next] == '=' || at[next] == ':');
    if (sign && !(limit - next > 2 && memcmp(at + next, "://", 3) == 0)) {
        do
            next = skip_blanks(scan, next + 1);
        while (next < limit && strchr("=:>~", at[next]));
        if (next >= limit || at[next] == '\n')
            return (struct sight){0};
        return (struct sight){MASK_ASSIGNMENT | option, next};
    }
    if (closed >= word.end)
        return (struct sight){option | MASK_WORD, SIZE_MAX};
    if (next > closed && next < limit && is_quote(at[next]))
        return (struct sight){MASK_ASSIGNMENT | MASK_WORD | option, next};
    if (next > closed && next < limit)
        return (struct sight){option | MASK_WORD, next};
    return (struct sight){0};
}

/* The name without the dashes before it. */
static struct text bare(const struct scan *scan, struct range run)
{
    while (run.begin < run.end && scan->at[run.begin] == '-')
        run.begin++;
    return (struct text){scan->at + run.begin, run.end - run.begin};
}

/* Looks at one name, and hides its value. Returns where to go on. */
static size_t take_name(struct scan *scan, struct range word, struct range run)
{
    size_t value;
    struct text name = bare(scan, run);
    if (is_token(scan, run, &value)) {
        static const struct mask_rule token = {.kinds = MASK_PREFIX};
        struct range range = extent(scan, word, run.begin, value, &token);
        hide(scan, word, range);
        return range.end;
    }
    struct sight sight = look_behind_name(scan, word, run.end, name.at > scan->at + run.begin);
    const struct mask_rule *rule =
        sight.kinds && name.size > 1 ? rule_for(scan, name, sight.kinds) : NULL;
    if (!rule)
        return run.end;
    if (sight.value == SIZE_MAX) {
        scan->value_next = true;
        return word.end;
    }
    struct range range = extent(scan, word, run.begin, sight.value, rule);
    hide(scan, word, range);
    return range.end;
}

/* Without a program that was named, and rules of the user's, no option of one letter counts. */
static bool has_letters(const struct scan *scan)
{
    return scan->programs[0] || scan->mask->n > 0;
}

/* -pVALUE and -p VALUE, where a rule has one letter. True where this word was such an option. */
static bool take_letter(struct scan *scan, struct range word)
{
    size_t size = word.end - word.begin;
    const char *at = scan->at + word.begin;
    if (size < 2 || at[0] != '-' || at[1] == '-' || !has_letters(scan))
        return false;
    struct walk walk = walk_of(scan->mask, MASK_OF_PROGRAMS);
    for (const struct mask_rule *rule; (rule = walk_on(&walk));) {
        if (rule->name[1] || !is_in_force(scan, rule))
            continue;
        if (at[1] == rule->name[0] && size > 2) {
            hide(scan, word, (struct range){word.begin + 2, word.end});
            return true;
        }
        if (at[size - 1] == rule->name[0] && size <= 5) { /* alone, or last of several: -su */
            scan->value_next = true;
            return true;
        }
    }
    return false;
}

/* ---- words and arguments -------------------------------------------------------------------- */

/* Behind an option whose value is missing there may be the next option of a secret. */
static bool is_option_of_secret(struct scan *scan, struct range word)
{
    struct range run = word;
    if (run.begin == run.end || scan->at[run.begin] != '-')
        return false;
    for (run.end = run.begin; run.end < word.end && is_name(scan->at[run.end]);)
        run.end++;
    return rule_for(scan, bare(scan, run), MASK_OPTION) != NULL;
}

/* Returns where to go on, which may be beyond the word. */
static size_t take_word(struct scan *scan, struct range word)
{
    bool is_value = scan->value_next && word.begin < word.end && !is_option_of_secret(scan, word);
    scan->value_next = false;
    if (is_value) {
        hide(scan, word, word);
        return word.end;
    }
    if (take_letter(scan, word))
        return word.end;
    if (word.begin < word.end && scan->at[word.begin] != '-')
        note_program(scan, word);
    size_t i = word.begin;
    while (i < word.end) {
        struct range run = {i, i};
        while (run.end < word.end && is_name(scan->at[run.end]))
            run.end++;
        if (run.end > run.begin) {
            i = take_name(scan, word, run);
        } else if (word.end - i > 3 && memcmp(scan->at + i, "://", 3) == 0) {
            struct range password = url_password(scan, i + 3, word.end);
            hide(scan, word, password);
            i = password.end > i ? password.end : i + 3;
        } else {
            i++;
        }
    }
    return i;
}

static void take_shell_text(struct scan *scan)
{
    size_t i = scan->argument.begin;
    while (i < scan->argument.end) {
        if (is_space(scan->at[i]) || is_continuation(scan, i)) {
            i += 1 + is_continuation(scan, i);
            continue;
        }
        size_t next = take_word(scan, (struct range){i, word_end(scan, i)});
        i = next > i ? next : i + 1;
    }
    scan->value_next = false;
}

/* "-c", "-lc": behind one of these a shell takes its text. */
static bool asks_for_text(const struct scan *scan, struct range word)
{
    size_t size = word.end - word.begin;
    const char *at = scan->at + word.begin;
    return size >= 2 && size <= 8 && at[0] == '-' && at[1] != '-' && at[size - 1] == 'c';
}

static struct range argument_at(const struct scan *scan, size_t begin)
{
    const char *end = memchr(scan->at + begin, '\0', scan->size - begin);
    return (struct range){begin, end ? (size_t)(end - scan->at) : scan->size};
}

/* True where some argument up to `end` is a shell. */
static bool a_shell_was_named(const struct scan *scan, size_t end)
{
    for (size_t i = 0; i < end; i++) {
        struct range word = argument_at(scan, i);
        if (word.end > word.begin &&
            command_is_shell((struct text){scan->at + word.begin, word.end - word.begin},
                             (struct text){NULL, 0}))
            return true;
        i = word.end;
    }
    return false;
}

static void take_arguments(struct scan *scan)
{
    bool text_next = false;
    for (size_t i = 0; i < scan->size;) {
        struct range word = argument_at(scan, i);
        scan->argument = word;
        scan->shell = text_next && !scan->value_next;
        text_next = asks_for_text(scan, word) && a_shell_was_named(scan, word.begin);
        if (scan->shell)
            take_shell_text(scan);
        else
            take_word(scan, word);
        i = word.end + 1;
    }
}

struct text mask_argv(const struct mask *mask, struct text argv, bool cut, char *room,
                      unsigned *ret_n)
{
    struct scan scan = {
        .mask = mask,
        .at = argv.at,
        .size = argv.size,
        .open = cut && argv.size && argv.at[argv.size - 1] != '\0',
        .room = room,
    };
    take_arguments(&scan);
    if (ret_n)
        *ret_n = scan.n;
    if (scan.n == 0)
        return argv;
    put(&scan, argv.at + scan.copied, argv.size - scan.copied);
    return (struct text){room, scan.used};
}
