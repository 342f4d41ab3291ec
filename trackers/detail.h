/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_DETAIL_H
#define TRACKERS_DETAIL_H

/*
 * What a list with `detail` tells of one process besides its facts (facts.h). Each part can be
 * unknown on its own: the process may be another user's, or about to end.
 *
 * Reading it comes in two parts. The first one waits for nobody. The second one reads memory of the
 * process (proc_pid_cmdline (5)), and can wait for as long as the process likes. No state; any
 * thread, but the second part only in a worker's.
 */

#include <netinet/in.h>

#include "base/text.h"
#include "trackers/ports.h"
#include "trackers/procfs.h"

enum {
    DETAIL_FDS_MAX = 16384,  /* descriptors of one process that are looked at */
    DETAIL_PORTS_MAX = 1024, /* ports of one process that are told */
};

struct detail_port {
    uint16_t port;
    uint16_t family; /* AF_INET or AF_INET6 */
    char address[INET6_ADDRSTRLEN];
};

struct detail {
    uint32_t pid;
    uint64_t start_ticks; /* whose detail this is */

    char *exe, *cwd; /* as the kernel says them: " (deleted)" behind; owned; null: unknown */
    bool has_uid;
    uid_t uid;        /* the real one */
    char state;       /* the letter; of the thread that lives on, where the leader left */
    uint64_t threads; /* 0: unknown */
    uint64_t cpu_ms;  /* of the whole process, to the clock tick */
    uint64_t rss_bytes;
    bool has_ports;
    struct detail_port *ports; /* sorted, each once; owned */
    size_t n_ports;

    bool has_argv;
    bool argv_cut;    /* there was more */
    struct text argv; /* strings that each end in NUL (the last NUL may be missing); owned */

    uint32_t alive_as; /* the thread whose files are read: the leader, or one that lives on */
};

/* The first part. `ports`: of our own network namespace; null: unknown. Sockets of a process that
 * is in another one are asked for there, as far as we may. -ESRCH: it is gone, or a zombie;
 * -ENOMEM. On success the caller owns what it holds. */
int detail_read(struct detail *ret, uint32_t pid, const struct ports *ports);

/* The second part, of up to `max` bytes, into what the first one made. -ESRCH: it is another
 * process by now, or gone; -EACCES and so on: argv stays unknown. */
int detail_read_argv(struct detail *detail, size_t max);

/* Frees what it holds. A zeroed one is fine. */
void detail_clear(struct detail *detail);

#endif
