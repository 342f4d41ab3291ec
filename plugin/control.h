/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_CONTROL_H
#define PLUGIN_CONTROL_H

/*
 * The control socket: a ROUTER of the module's own ZeroMQ context. It takes requests, checks who
 * asks (the peer's uid on ipc: our own and root), answers what is wrong in them, and hands the rest
 * to commands.h. Each request becomes a `struct ask` that is answered exactly once, at once or
 * later. Called from the loop's thread, but for control_endpoint.
 */

#include "plugin/module.h"
#include "schemas/control_reply.h"
#include "schemas/control_request.h"

struct control;

/* A request that waits for its answer. */
struct ask {
    TAILQ_ENTRY(ask) all;  /* control's */
    TAILQ_ENTRY(ask) link; /* whoever's it is that will answer: in a list of a block, say */
    struct control *control;
    struct reqid reqid;
    uint32_t uid;                   /* of the peer */
    uint64_t began_ns;              /* CLOCK_MONOTONIC */
    bool settled;                   /* ensure_tracker: its on_crash is in force */
    uint64_t scan;                  /* list_block: number of the scan that it waits for */
    sd_event_source *timer;         /* whoever set it; freed with the ask */
    struct control_request request; /* its texts point into `strings` */
    char strings[BLOCK_ID_MAX + SUBSCOPE_MAX + 2];
    size_t n_frames; /* the envelope, with the empty one */
    struct frame {
        size_t size;
        unsigned char bytes[256];
    } frames[3];
};

/* Binds the socket and watches it in the module's loop. -EADDRINUSE, -ENAMETOOLONG, -EINVAL and so
 * on with a sentence. */
int control_open(struct module *module, struct control **ret, struct wps_error *error);

/* Where the file of the socket was deleted: binds it once more. The connections there are stay, on
 * the listener that had the old file, which stays too. 1: it was so; 0: it is there, or it has no
 * file. */
int control_renew(struct control *control, struct wps_error *error);

/* Answers what still waits with `internal`, and closes. */
void control_close(struct control **control_p);

struct module *control_module(const struct control *control);
const char *control_endpoint(const struct control *control);
unsigned control_waiting(const struct control *control);

/* Takes what the socket has; true where something was done. To be called before the loop waits,
 * because ZeroMQ tells of messages at the edge only. */
bool control_work(struct control *control);

/* Begins an answer: the caller puts exactly one map behind it and calls control_send. The buffer is
 * the control's; there is one at a time. */
struct wire_out *control_reply(struct ask *ask);
/* Sends it and frees the ask. */
void control_send(struct ask *ask);
/* The code that an operation's failure (a negative errno) has in an answer. */
enum errorcode control_code_of(int result);
/* Answers with an error and frees the ask. */
void control_refuse(struct ask *ask, enum errorcode code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
