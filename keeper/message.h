/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEEPER_MESSAGE_H
#define KEEPER_MESSAGE_H

/*
 * What module and keeper say to each other, one message a packet of a SOCK_SEQPACKET pair, as text:
 *
 *   to the keeper     + NUMBER NAME    end this block if the host dies
 *                     - NUMBER NAME    leave it alone
 *                     bye              the host stops in order: leave all alone, and end
 *   from the keeper   ready PID        it runs, under this pid
 *                     done NUMBER      all messages up to this one are taken in
 *                     failed ERRNO     it could not be run
 *
 * A name is that of one directory in the keeper's root: no path leads out of there.
 */

#include <stddef.h>
#include <stdint.h>

enum {
    KEEPER_NAME_MAX = 160,
    KEEPER_MESSAGE_MAX = 192, /* bytes of a packet, no NUL */
};

enum keeper_verb {
    KEEPER_KEEP,
    KEEPER_LEAVE,
    KEEPER_BYE,
    KEEPER_READY,
    KEEPER_DONE,
    KEEPER_FAILED,
};

struct keeper_message {
    enum keeper_verb verb;
    uint64_t number;                /* 0 with KEEPER_BYE */
    char name[KEEPER_NAME_MAX + 1]; /* with KEEPER_KEEP and KEEPER_LEAVE, else "" */
};

/* Reads one packet; -EBADMSG where it is not one of the above, to the byte. */
int keeper_message_read(struct keeper_message *ret, const char *bytes, size_t size);

/* Writes it; returns its size. */
size_t keeper_message_write(char bytes[static KEEPER_MESSAGE_MAX],
                            const struct keeper_message *message);

#endif
