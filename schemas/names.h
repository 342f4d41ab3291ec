/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_NAMES_H
#define SCHEMAS_NAMES_H

/* The names of the protocol (PROTOCOL.md, section 2): block ids, sub-scopes, topics. Pure
 * functions, any thread. */

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

enum {
    BLOCK_ID_MAX = 128,     /* bytes of a block id, and of one part of a sub-scope */
    SUBSCOPE_PARTS_MAX = 3, /* parts of a sub-scope */
    SUBSCOPE_MAX = SUBSCOPE_PARTS_MAX * (BLOCK_ID_MAX + 1) - 1,
    TOPIC_MAX = 245, /* bytes of a scope, and so of a topic */
};

#define SUBSCOPE_DEFAULT "main"
#define TOPIC_PREFIX     "block:"

/* 1 to 128 bytes of A-Z a-z 0-9 . _ -, not beginning with '.' or '-'. -EINVAL with a sentence that
 * begins with `where` ("data.block_id"). */
int block_id_check(struct text id, const char *where, struct wps_error *error);

/* 1 to 3 parts of the block id alphabet (and its rules) joined by '/'. -EINVAL likewise. */
int subscope_check(struct text scope, const char *where, struct wps_error *error);

/* True where `scope` is `tree` or below it: "bg" covers "bg" and "bg/7" and not "bgx". An empty
 * `tree` is the whole block and covers all. */
bool subscope_covers(struct text tree, struct text scope);

/* A scope of an event: at most TOPIC_MAX bytes of UTF-8; may be empty. -EINVAL likewise. */
int topic_check(struct text topic, const char *where, struct wps_error *error);

/* Writes "block:<id>" and its NUL; returns its length. The id was checked. */
size_t topic_of_block(char topic[static TOPIC_MAX + 1], struct text id);

#endif
