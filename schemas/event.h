/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_EVENT_H
#define SCHEMAS_EVENT_H

/* The event as it goes over every socket: `{event, scopes?, sender?, persist?, data?}`
 * (PROTOCOL.md, section 3). Absent and empty are the same. */

#include "schemas/names.h"
#include "schemas/wire.h"

enum {
    EVENT_BYTES_MAX = 1024 * 1024, /* of one event that comes from outside */
    EVENT_PERSIST_MAX = 4096,
    EVENT_SCOPES_MAX = 1024,
};

struct event {
    struct text event;  /* its name; never empty */
    struct text sender; /* may be empty */
    uint64_t persist;   /* 0: none; a greater one than EVENT_PERSIST_MAX counts as that */
    /* Its scopes, each once, in the order given. */
    const struct text *scopes;
    size_t n_scopes;
    /* `data` as the bytes it was sent in, passed on unchanged; size 0: absent. */
    struct text data;
};

/* Packs it as a map without the keys that are absent. */
void event_pack(struct wire_out *out, const struct event *event);

/* A decoded event: the views in `event` point into the bytes it was read from, which must outlive
 * it. `event.scopes` belongs to it. */
struct event_doc {
    struct event event;
    struct wire_doc doc;
    struct text *scopes;
};

/* Reads an event from the bytes of a message. -EBADMSG: not msgpack, or too deep. -EINVAL: a key of
 * a wrong type, no name, a bad scope; the sentence begins with its path below `path` ("data" gives
 * "data.scopes[1]: ..."; "" gives "scopes[1]: ..."). -ENOMEM. */
int event_open(struct event_doc *ret, const void *bytes, size_t size, const char *path,
               struct wps_error *error);

/* The same from a map that is decoded already and stays its owner's (the `data` of a request);
 * `raw` are the bytes that the map was decoded from, for `data` to be passed on unchanged. */
int event_open_object(struct event_doc *ret, const msgpack_object *map, struct text raw,
                      const char *path, struct wps_error *error);

/* Frees it. A zeroed one is fine. */
void event_close(struct event_doc *doc);

#endif
