/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_ASKS_H
#define CLI_ASKS_H

/*
 * Many requests at once: all are sent, and each reply is told as it comes. While they are waited
 * for, how many processes each block has can be shown, and Ctrl-C ends the wait.
 *
 * control_client.h asks one thing at a time, and waits whatever comes; here ten blocks are stopped
 * in the time that the slowest takes.
 */

#include "cli/broker.h"
#include "schemas/control_reply.h"

/* What came of one of the requests: a reply (`data`, else `error` and `errorcode`). */
struct answer {
    size_t number; /* of the request */
    const struct reply *reply;
};

struct asks {
    const struct control_request *requests;
    size_t n_requests;
    int64_t wait_ms; /* how long all of it may take; -1: for ever */
    int signals_fd;  /* signals.h; -1: none */

    void *context; /* for the functions */
    void (*answered)(void *context, const struct answer *answer);
    /* Called every `tick_ms` with the data of a reply to list_all_blocks. Null: nobody looks. */
    void (*ticked)(void *context, const msgpack_object *data);
    int tick_ms;

    int signal; /* out: the one that ended it; 0: none did */
};

/* Sends them and waits for all replies. 0: all came; -EINTR: a signal did, see `signal`;
 * -ETIMEDOUT, -ECONNRESET, -ENOTCONN and the errors of a socket, with a sentence. Where it is not
 * 0, what was asked for and not answered may still be carried out. */
int asks_run(struct asks *asks, const struct broker *broker, struct wps_error *error);

#endif
