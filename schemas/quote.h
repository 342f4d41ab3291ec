/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_QUOTE_H
#define SCHEMAS_QUOTE_H

/* What a peer sent, made fit for a sentence: a terminal or a log that shows it is not harmed by it.
 */

#include "base/text.h"

enum { QUOTE_SIZE = 128 }; /* room for the quoted form and its NUL */

/* Writes `text` in single quotes into `buffer` and returns `buffer`: control characters, quotes,
 * backslashes and what is not UTF-8 become \xNN; where there is no more room "..." ends it. */
const char *quote(char buffer[static QUOTE_SIZE], struct text text);

#endif
