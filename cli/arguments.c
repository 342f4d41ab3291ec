/* SPDX-License-Identifier: Apache-2.0 */

/* Reading of command lines. */

#include "cli/arguments.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- options and words ---------------------------------------------------------------------- */

/* CLI_GO_ON; CLI_OK: help was told; -EINVAL. */
static int take_option(struct common *common, const struct syntax *syntax, void *self, int c,
                       struct wps_error *error)
{
    switch (c) {
    case OPTION_JSON:
        common->json = true;
        return CLI_GO_ON;
    case 'h':
        fputs(syntax->help, stdout);
        return CLI_OK;
    case '?': /* getopt has said what */
        return wps_error_set(error, -EINVAL, "see %s --help", common->name);
    default:
        break;
    }
    int result = broker_option(&common->broker, c, optarg, error);
    if (result == 0 && syntax->take)
        result = syntax->take(self, c, optarg, error);
    return result < 0 ? -EINVAL : CLI_GO_ON;
}

static int check_words(const struct common *common, const struct syntax *syntax,
                       struct wps_error *error)
{
    if (common->n_words < syntax->words_min)
        return wps_error_set(error, -EINVAL, "%s", syntax->words);
    if (common->n_words > syntax->words_max)
        return wps_error_set(error, -EINVAL, "'%s' is one word too many: see %s --help",
                             common->words[syntax->words_max], common->name);
    return 0;
}

static int read_all(struct common *common, const struct syntax *syntax, void *self, int argc,
                    char **argv, struct wps_error *error)
{
    for (int c; (c = getopt_long(argc, argv, syntax->letters, syntax->options, NULL)) != -1;) {
        int result = take_option(common, syntax, self, c, error);
        if (result != CLI_GO_ON)
            return result;
    }
    common->words = argv + optind;
    common->n_words = (size_t)(argc - optind);
    int result = check_words(common, syntax, error);
    if (result == 0 && syntax->check)
        result = syntax->check(self, common, error);
    return result < 0 ? -EINVAL : CLI_GO_ON;
}

int arguments_read(struct common *common, const struct syntax *syntax, void *self, int argc,
                   char **argv)
{
    struct wps_error error;
    common->name = argv[0];
    common->broker = BROKER_OPTIONS_DEFAULT;
    int result = read_all(common, syntax, self, argc, argv, &error);
    if (result != -EINVAL)
        return result;
    fprintf(stderr, "%s: %s\n", common->name, error.message);
    return CLI_USAGE;
}

/* ---- values --------------------------------------------------------------------------------- */

int argument_duration(uint64_t *ret_ms, const char *value, const char *where,
                      struct wps_error *error)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}};
    char *end;
    double number = isdigit((unsigned char)*value) ? strtod(value, &end) : -1;
    for (size_t i = 0; number >= 0 && i < sizeof units / sizeof *units; i++) {
        double ms = round(number * units[i].ms);
        // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): without an end the number is negative
        if (strcmp(end, units[i].name) != 0 || !(ms >= 1 && ms <= CONTROL_TIMEOUT_MS_MAX))
            continue;
        *ret_ms = (uint64_t)ms;
        return 0;
    }
    return wps_error_set(error, -EINVAL,
                         "%s: expected a time of up to a day, such as 500ms, 10s or 2m, got '%s'",
                         where, value);
}

int argument_number(uint64_t *ret, const char *value, uint64_t min, uint64_t max, const char *where,
                    struct wps_error *error)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno || !isdigit((unsigned char)*value) || *end || number < min || number > max)
        return wps_error_set(error, -EINVAL, "%s: expected a number from %llu to %llu, got '%s'",
                             where, (unsigned long long)min, (unsigned long long)max, value);
    *ret = number;
    return 0;
}

/* RTMIN+n and RTMAX-n, as kill(1) has them. 0: it is no such name. */
static int real_time_signal(const char *name)
{
    bool from_min = strncasecmp(name, "RTMIN", 5) == 0;
    if (!from_min && strncasecmp(name, "RTMAX", 5) != 0)
        return 0;
    char *end = (char *)name + 5;
    long offset = 0;
    if (*end == (from_min ? '+' : '-') && isdigit((unsigned char)end[1]))
        offset = strtol(end + 1, &end, 10);
    if (*end || offset > SIGRTMAX - SIGRTMIN)
        return 0;
    return from_min ? SIGRTMIN + (int)offset : SIGRTMAX - (int)offset;
}

static int signal_number(const char *name)
{
    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    for (int i = 1; i < SIGRTMIN; i++) {
        const char *known = sigabbrev_np(i);
        if (known && strcasecmp(known, name) == 0)
            return i;
    }
    return real_time_signal(name);
}

int argument_signal(uint64_t *ret, const char *value, const char *where, struct wps_error *error)
{
    if (isdigit((unsigned char)*value))
        return argument_number(ret, value, 1, CONTROL_SIGNAL_MAX, where, error);
    int number = signal_number(value);
    if (number == 0)
        return wps_error_set(error, -EINVAL,
                             "%s: '%s' is no signal: expected a number or a name such as TERM, "
                             "HUP or RTMIN+1",
                             where, value);
    *ret = (uint64_t)number;
    return 0;
}

const char *signal_text(char buffer[static 16], int number)
{
    const char *name = number > 0 ? sigabbrev_np(number) : NULL;
    if (name)
        snprintf(buffer, 16, "%s", name);
    else if (number >= SIGRTMIN && number <= SIGRTMAX)
        snprintf(buffer, 16, "RTMIN+%d", number - SIGRTMIN);
    else
        snprintf(buffer, 16, "%d", number);
    return buffer;
}

int arguments_are_blocks(char *const *words, size_t n_words, struct wps_error *error)
{
    for (size_t i = 0; i < n_words; i++) {
        int result = block_id_check(text_of(words[i]), "BLOCK", error);
        if (result < 0)
            return result;
    }
    return 0;
}
