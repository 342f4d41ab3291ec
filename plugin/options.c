/* SPDX-License-Identifier: Apache-2.0 */

/* Reading the module's options: one table. */

#include "plugin/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trackers/feed.h"
#include "trackers/tracker.h"

enum kind { WORD_OF, TEXT, NUMBER, EITHER, PATTERN };

struct row {
    const char *key;
    enum kind kind;
    size_t offset, size; /* where in struct options; room of a text */
    uint64_t min, max;
    const char *const *(*words)(void);
    const char *no, *yes; /* the two words of EITHER */
};

#define PLACE(member) offsetof(struct options, member), sizeof(((struct options *)0)->member)

static const struct row rows[] = {
    {"tracker", WORD_OF, PLACE(tracker), .words = tracker_names},
    {"feed", WORD_OF, PLACE(feed), .words = feed_names},
    {"control", TEXT, PLACE(control)},
    {"allow-users", TEXT, PLACE(allow_users)},
    {"curve-secret", TEXT, PLACE(curve_secret)},
    {"curve-clients", TEXT, PLACE(curve_clients)},
    {"plain-tcp", EITHER, PLACE(plain_tcp), .no = "no", .yes = "yes"},
    {"cgroup-root", TEXT, PLACE(cgroup_root)},
    {"scope", EITHER, PLACE(never_scope), .no = "ask", .yes = "never"},
    {"poll-ms", NUMBER, PLACE(poll_ms), .min = 10, .max = 3600000},
    {"settle-ms", NUMBER, PLACE(settle_ms), .min = 0, .max = 10000},
    {"on-exit", EITHER, PLACE(keep_on_exit), .no = "kill", .yes = "keep"},
    {"adopt-expire-ms", NUMBER, PLACE(adopt_expire_ms), .min = 0, .max = 86400000},
    {"keeper", TEXT, PLACE(keeper)},
    {"log", EITHER, PLACE(trace), .no = "normal", .yes = "trace"},
    {"feed-buffer-kib", NUMBER, PLACE(feed_buffer_kib), .min = 4, .max = 1048576},
    {"persist", NUMBER, PLACE(persist), .min = 0, .max = 4096},
    {"max-blocks", NUMBER, PLACE(max_blocks), .min = 1, .max = 1000000},
    {"max-scopes", NUMBER, PLACE(max_scopes), .min = 1, .max = 100000},
    {"max-processes", NUMBER, PLACE(max_processes), .min = 1, .max = 10000000},
    {"max-requests", NUMBER, PLACE(max_requests), .min = 1, .max = 1000000},
    {"reserve-descriptors", NUMBER, PLACE(reserve_descriptors), .min = 0, .max = 1000000},
    {"priority-boost", NUMBER, PLACE(priority_boost), .min = 0, .max = 20},
    {"mask", PATTERN, PLACE(mask)},
    {"mask-defaults", EITHER, PLACE(mask.off_defaults), .no = "yes", .yes = "no"},
};

static const struct options defaults = {
    .poll_ms = 2000,
    .settle_ms = 5,
    .adopt_expire_ms = 60000,
    .max_blocks = 10000,
    .max_scopes = 1000,
    .max_processes = 200000,
    .max_requests = 4096,
    .reserve_descriptors = 256,
    .priority_boost = 10,
};

/* "a, b and c" of what is allowed. */
static const char *join(const char *const *words, char *text, size_t room)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; words[i] && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%s", i ? ", " : "", words[i]);
    return text;
}

static const char *known_keys(char *text, size_t room)
{
    const char *keys[sizeof rows / sizeof *rows + 1] = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        keys[i] = rows[i].key;
    return join(keys, text, room);
}

static int set_number(uint64_t *ret, const struct row *row, const char *value,
                      struct wps_error *error)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno || end == value || *end || value[0] == '-' || number < row->min || number > row->max)
        return wps_error_set(error, -EINVAL,
                             "option %s: '%s' is not a whole number from %llu to %llu", row->key,
                             value, (unsigned long long)row->min, (unsigned long long)row->max);
    *ret = number;
    return 0;
}

static int set_word(char *ret, const struct row *row, const char *value, struct wps_error *error)
{
    char allowed[128];
    const char *const *words = row->words();
    for (size_t i = 0; words[i]; i++)
        if (strcmp(words[i], value) == 0) {
            snprintf(ret, row->size, "%s", value);
            return 0;
        }
    return wps_error_set(error, -EINVAL, "option %s: '%s' is none of %s", row->key, value,
                         join(words, allowed, sizeof allowed));
}

static int set_text(char *ret, const struct row *row, const char *value, struct wps_error *error)
{
    if (strlen(value) >= row->size)
        return wps_error_set(error, -EINVAL, "option %s: longer than %zu bytes", row->key,
                             row->size - 1);
    strcpy(ret, value);
    return 0;
}

static int set_either(bool *ret, const struct row *row, const char *value, struct wps_error *error)
{
    if (strcmp(value, row->yes) != 0 && strcmp(value, row->no) != 0)
        return wps_error_set(error, -EINVAL, "option %s: '%s' is neither %s nor %s", row->key,
                             value, row->no, row->yes);
    *ret = strcmp(value, row->yes) == 0;
    return 0;
}

static int set(struct options *options, const struct row *row, const char *value,
               struct wps_error *error)
{
    void *place = (char *)options + row->offset;
    switch (row->kind) {
    case NUMBER:
        return set_number(place, row, value, error);
    case EITHER:
        return set_either(place, row, value, error);
    case WORD_OF:
        return set_word(place, row, value, error);
    case TEXT:
        return set_text(place, row, value, error);
    case PATTERN:
        return mask_add(place, value, error);
    }
    return -EINVAL;
}

int options_read(struct options *ret, const struct wps_option *options, size_t n_options,
                 struct wps_error *error)
{
    struct options read = defaults;
    for (size_t i = 0; i < n_options; i++) {
        const struct row *row = NULL;
        for (size_t k = 0; k < sizeof rows / sizeof *rows && !row; k++)
            if (strcmp(rows[k].key, options[i].key) == 0)
                row = &rows[k];
        if (!row) {
            char keys[512];
            return wps_error_set(error, -EINVAL, "unknown option '%s': there are %s",
                                 options[i].key, known_keys(keys, sizeof keys));
        }
        int r = set(&read, row, options[i].value, error);
        if (r < 0)
            return r;
    }
    *ret = read;
    return 0;
}
