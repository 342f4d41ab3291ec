/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_PLUGIN_TOLD_H
#define TEST_PLUGIN_TOLD_H

/* A published event, as a test sees it. */

#include "schemas/block_event.h"

/* One published event, decoded. Texts that the event lacks are "". */
struct told {
    char name[32]; /* "added", "exec", ..., "block-added", ... */
    bool refused;  /* the host did not take it */
    char block[64], epoch[33];
    uint64_t seq;
    uint32_t pid, parent_pid;
    uint64_t started_at_ms, rss_bytes, runtime_ms, cpu_ms, max_rss_bytes, lost;
    bool root, started, truncated, has_status;
    int status;
    char scope[128], source[8], reason[32], where[512], command[4200];
};

/* Reads the `data` of an event whose `name` is set. -EINVAL with the key's path. */
int told_decode(struct told *told, const msgpack_object *data, struct wps_error *error);

/* An event of a process as the traces have it, to be freed:
 *     "added block=one pid=5000001 parent=5000000 scope=main started=0 command=a%20b" */
char *told_line(const struct told *told);

/* The same in short, and "; " behind it: pids less PROC_FIRST, statuses in hexadecimal. Returns its
 * size. */
size_t told_story(char *text, size_t room, const struct told *told);

#endif
