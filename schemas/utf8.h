/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_UTF8_H
#define SCHEMAS_UTF8_H

/* UTF-8 one character at a time, for those who check it and those who repair it. Pure, any thread.
 * Source: RFC 3629; what counts as one broken character is the maximal subpart of the Unicode
 * standard, section 3.9. */

#include <stdbool.h>

#include "base/text.h"

#define UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

struct utf8_step {
    size_t size;     /* bytes of the character, or of the broken part; at least 1 */
    bool valid;      /* false: to be replaced by one U+FFFD */
    bool unfinished; /* not valid, but only because the text ends too early */
};

/* Looks at the first character of `text`, which must not be empty. */
struct utf8_step utf8_step(struct text text);

bool utf8_valid(struct text text);

/* How many bytes from its start are plain ASCII. */
size_t utf8_ascii_prefix(struct text text);

#endif
