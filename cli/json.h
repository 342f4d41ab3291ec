/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

/* What the protocol says, as JSON: the same keys and values, one object a line. jansson makes and
 * escapes it. */

#include <jansson.h>
#include <msgpack.h>

#include "base/text.h"

/* A new value. What JSON cannot say (bytes that are no text, ext, NaN) is null; a number beyond
 * int64 becomes a real. Null: out of memory. */
json_t *json_of(const msgpack_object *object);

/* A new string; text is valid UTF-8, else it is null in JSON. */
json_t *json_of_text(struct text text);

/* A new object that has `block_id` first and then the keys of `data`, a map. */
json_t *json_of_block(const char *block_id, const msgpack_object *data);

/* Writes it to stdout as one line of ASCII, and sends it on its way; takes it over. -ENOMEM where
 * it is null, or it could not be written. */
int json_line(json_t *json);

#endif
