/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_PORTS_H
#define TRACKERS_PORTS_H

/*
 * Listening TCP sockets, by one question to the kernel (sock_diag (7)) for all processes: which
 * socket, by the number of its inode, listens where. Whose it is, /proc/PID/fd tells (detail.h).
 *
 * The answer is about one network namespace. No state; any thread.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct listener {
    uint32_t inode;            /* as in the link "socket:[inode]" */
    uint16_t port;             /* in host order */
    uint16_t family;           /* AF_INET or AF_INET6 */
    unsigned char address[16]; /* in network order; the first 4 for AF_INET */
};

/* Sorted by inode, once they were read. */
struct ports {
    struct listener *items;
    size_t n, room;
    dev_t netns_dev; /* the namespace that they are of: what stat (2) tells of its file */
    ino_t netns_ino;
};

/* Asks in the network namespace of the calling thread. -ENOENT: this kernel cannot be asked;
 * -ENOMEM, -EMFILE, -ETIMEDOUT and so on. On success the caller owns what it holds. */
int ports_read(struct ports *ret);

/* The same in the namespace that an open file of /proc/PID/ns/net stands for. The calling thread
 * stays where it is. -EPERM: that takes CAP_SYS_ADMIN. */
int ports_read_in(struct ports *ret, int netns_fd);

/* Those with this inode: the first one, and how many follow it in `*ret_n`; null: none. */
const struct listener *ports_find(const struct ports *ports, uint32_t inode, size_t *ret_n);

/* Frees what it holds. A zeroed one is fine. */
void ports_clear(struct ports *ports);

/* ---- for tests ---- */

/* Takes in one datagram of the kernel's answer to the question number `seq`. 1: that was the end;
 * 0: more follows. -EBADMSG: its lengths go beyond its bytes; -ENOMEM; what the kernel answered. */
int ports_parse(struct ports *ports, const void *bytes, size_t size, uint32_t seq);

#endif
