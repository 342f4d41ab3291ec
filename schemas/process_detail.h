/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_PROCESS_DETAIL_H
#define SCHEMAS_PROCESS_DETAIL_H

/*
 * The part of a process record that a list with `detail` has (PROTOCOL.md, section 3.2). Each key
 * that is not known is left out: a process may be another user's, end meanwhile, or be late.
 */

#include "schemas/wire.h"

struct listening_port {
    struct text address; /* as inet_ntop (3) writes it */
    struct text family;  /* "inet" or "inet6" */
    uint64_t port;       /* 1 to 65535 */
};

/* What is packed. Texts are bytes of the system: what is no UTF-8 in them becomes U+FFFD. */
struct process_detail {
    struct text exe, cwd; /* a null `at`: unknown */
    bool has_uid, has_cpu, has_argv, has_ports;
    uint32_t uid;
    char state;       /* the letter of /proc; 0: unknown */
    uint64_t threads; /* 0: unknown */
    uint64_t cpu_ms;
    struct text argv;    /* strings that each end in NUL; the last NUL may be missing */
    bool argv_truncated; /* argv was cut: the key is left out where false */
    const struct listening_port *ports;
    size_t n_ports;
};

/* How many pairs process_detail_pack will put. */
size_t process_detail_pairs(const struct process_detail *detail);

/* Puts them, into the map of a record. */
void process_detail_pack(struct wire_out *out, const struct process_detail *detail);

/* What is read. The views point into the document. */
struct process_detail_view {
    struct text exe, cwd; /* a null `at`: unknown */
    bool has_uid, has_cpu;
    uint32_t uid;
    char state;
    uint64_t threads, cpu_ms;
    const msgpack_object *argv; /* an array of str; null: unknown */
    bool argv_truncated;
    struct listening_port *ports; /* free (3); null: unknown */
    size_t n_ports;
};

/* Reads them out of the map of a record; what is not there stays unknown. -EINVAL with the path
 * below `path`; -ENOMEM. */
int process_detail_read(struct process_detail_view *ret, const msgpack_object *map,
                        const char *path, struct wps_error *error);

#endif
