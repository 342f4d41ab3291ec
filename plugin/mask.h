/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_MASK_H
#define PLUGIN_MASK_H

/*
 * Command lines can hold secrets: here their values become `***`, before anything of them leaves
 * the module. What names a secret is a table (mask_rules.h), to which users add.
 *
 * Where a value begins is found by its name. Where it ends is known only of shell text (the
 * argument behind the `-c` of a shell), which is split into words as shells do: there the value
 * ends with its word. In any other argument it is taken to reach to the end of the argument, as
 * nobody but its program knows better. Of a URL the password is hidden and the rest is kept. A
 * value of which the end was cut off is hidden like a whole one.
 *
 * Pure functions: any thread, no state but the patterns.
 */

#include "base/text.h"
#include "plugin/mask_rules.h"

enum { MASK_OWN_MAX = 64 };

struct mask {
    bool off_defaults; /* only the user's own patterns count */
    size_t n;
    struct mask_rule own[MASK_OWN_MAX];
};

/* Adds a pattern (mask_rule_read). -EINVAL; -E2BIG beyond MASK_OWN_MAX. */
int mask_add(struct mask *mask, const char *pattern, struct wps_error *error);

/* How much room the result of mask_argv may need. */
#define MASK_ROOM(size) (2 * (size) + 8)

/*
 * Hides what is secret in an argument vector (strings that each end in NUL, the last NUL may be
 * missing; one string is one too). `cut`: there was more behind it. Returns `argv` itself where
 * there is nothing to hide; else what is in `room`, of at least MASK_ROOM (argv.size) bytes, and
 * counts the values in `*ret_n` (may be null).
 */
struct text mask_argv(const struct mask *mask, struct text argv, bool cut, char *room,
                      unsigned *ret_n);

#endif
