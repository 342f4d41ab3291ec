/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_DETAIL_H
#define CLIENT_DETAIL_H

/* What is dear to read of a process, out of its record in a list. */

#include <msgpack.h>

#include "client/process.h"

/* `map` is the record, `now_ms` the moment of the answer. `*ret` is one block of memory, for
 * free(3). -ENOMEM; -EINVAL: junk in it. */
int detail_read(struct proctrack_detail **ret, const msgpack_object *map, uint64_t now_ms);

#endif
