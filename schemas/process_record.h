/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_PROCESS_RECORD_H
#define SCHEMAS_PROCESS_RECORD_H

/* The process record (PROTOCOL.md, section 3.2). */

#include "schemas/process_detail.h"

struct process_record {
    uint32_t pid;
    uint32_t parent_pid; /* at birth; 0: unknown, the key is left out */
    struct text command;
    bool command_truncated; /* the key is left out where false */
    bool root;
    bool started;
    struct text scope;
    uint64_t rss_bytes;
    uint64_t started_at_ms;
    const struct process_detail *detail; /* null: none is packed; reading leaves it so, for
                                            process_detail_read takes the same map */
};

void process_record_pack(struct wire_out *out, const struct process_record *record);

/* Reads one; the views point into the document. -EINVAL with the path below `path`. */
int process_record_read(struct process_record *ret, const msgpack_object *map, const char *path,
                        struct wps_error *error);

#endif
