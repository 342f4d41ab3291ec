/* SPDX-License-Identifier: Apache-2.0 */

/* The user at the other end of an ipc connection. */

#include "broker_shim/peer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads the uid of ":uid:gid:pid". Something may stand before the first of the three colons. */
static bool uid_of(const char *address, uid_t *ret_uid)
{
    const char *colon = address + strlen(address);
    for (int colons = 0; colons < 3; colons++) {
        do {
            if (colon == address)
                return false;
            colon--;
        } while (*colon != ':');
    }
    const char *digits = colon + 1;
    if (*digits < '0' || *digits > '9')
        return false;
    char *end;
    errno = 0;
    unsigned long long uid = strtoull(digits, &end, 10);
    if (errno || *end != ':' || uid > UINT32_MAX)
        return false;
    *ret_uid = (uid_t)uid;
    return true;
}

bool peer_is_permitted(const zmq_msg_t *frame, bool ipc)
{
    if (!ipc)
        return true;
    const char *address = zmq_msg_gets(frame, "Peer-Address");
    uid_t uid;
    return address && uid_of(address, &uid) && (uid == 0 || uid == geteuid());
}

int peer_descriptor(zmq_msg_t *frame)
{
    return zmq_msg_get(frame, ZMQ_SRCFD);
}
