/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_COMMAND_LINE_H
#define SCHEMAS_COMMAND_LINE_H

/* What a reader is told of an argument vector: `command` of PROTOCOL.md, section 3.2. */

#include <stdbool.h>

#include "base/text.h"

enum { COMMAND_MAX = 4096 }; /* bytes of a command */

/*
 * Writes argv (as the kernel keeps it: strings that each end in NUL, the last NUL may be missing)
 * joined by single spaces; where no argument has a byte in it, `[name]`. Invalid UTF-8 becomes
 * U+FFFD, one for each maximal ill-formed part (Unicode, section 3.9). Not NUL terminated. It is
 * cut at a character's end where it is longer than COMMAND_MAX, and then, or where `cut` says that
 * argv itself was cut already, `*ret_truncated` is true. A character that the cut of argv broke is
 * left out. Returns the length in bytes.
 */
size_t command_line(char command[static COMMAND_MAX], struct text argv, bool cut, struct text name,
                    bool *ret_truncated);

/* True where the program of this argument vector is a shell: base name of argv[0] with a leading
 * '-' off is one of those that PROTOCOL.md names in section 3.2. Where no argument has a byte in
 * it, `name` decides, as it stands. */
bool command_is_shell(struct text argv, struct text name);

#endif
