/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_CONTROL_CLIENT_H
#define CLIENT_CONTROL_CLIENT_H

/*
 * Asking on the control socket: one request, one reply, or a sentence that says why there is none.
 *
 *     struct control_client *client;
 *     control_client_open(&client, context, "ipc:///run/wps/control", &error);
 *     struct control_request request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_DESCRIBE};
 *     const msgpack_object *data;
 *     int result = control_client_ask(client, &request, 5000, &data, NULL, &error);
 *     if (result == 0)
 *         describe_reply_read(&view, data, &error);
 *     control_client_close(&client);
 *
 * ZeroMQ alone waits for ever for a broker that is not there, and a REQ socket whose reply does not
 * come can do nothing else. Here a broker that is not there is told at once, and after a time-out
 * the next request goes over a fresh socket. Where the broker ends while it is asked, the one that
 * took its place is asked again: if the request never left, or if it does no harm twice.
 *
 * One thread at a time. Source: PROTOCOL.md, section 4.
 */

#include <sys/types.h>

#include "access/certificate.h"
#include "base/error.h"
#include "schemas/control_request.h"
#include "schemas/request.h"

struct control_client;

/* The endpoint of the control socket in a runtime directory (base/runtime_path.h), to be freed by
 * the caller. -ENAMETOOLONG: its path is longer than a socket's can be (107 bytes); -ENOMEM. */
int control_client_endpoint(const char *runtime_dir, char **ret_endpoint, struct wps_error *error);

/* Makes one. `context` is a ZeroMQ context, which stays the caller's and must outlive it. Nothing
 * is connected yet, so there need not be a broker. -EINVAL: no endpoint; -ENOMEM. */
int control_client_open(struct control_client **ret, void *context, const char *endpoint,
                        struct wps_error *error);

/* Uses these keys for all that it connects from here on, for a broker on tcp with CURVE. */
void control_client_use_keys(struct control_client *self, const struct client_keys *keys);

/* Closes its sockets and frees all. Clears the caller's pointer; null is fine. */
void control_client_close(struct control_client **self_p);

/* Whether a command may be carried out twice, where it is not known if it was once: then it has the
 * same effect. It has not where somebody would get a signal again, or would be told that there was
 * nothing to do. */
bool control_client_may_repeat(enum control_command command);

/* Asks, and waits at most `timeout_ms` milliseconds (0: for what is there at once; it is no use)
 * for the reply. Signals do not end the wait. On success `*ret_data` is the reply's `data`, to be
 * read with control_reply.h; it lives until the next request or the end of the client.
 *
 * -EREMOTEIO: the broker refused; the sentence is its own, and `*ret_refusal` (may be null) its
 * errorcode. -EKEYREJECTED: one of both refused the other's key. -ENOENT, -ECONNREFUSED, -EACCES,
 * -ENAMETOOLONG: nobody is there, or nobody that we may ask. -ECONNRESET: it ended before it
 * answered; where the command may not be repeated, it may have been carried out. -ETIMEDOUT: no
 * reply in time; it may still be carried out. -EPROTO: what came is no reply of this protocol.
 * -EINVAL, -EMFILE, -ENOMEM. */
int control_client_ask(struct control_client *self, const struct control_request *request,
                       int timeout_ms, const msgpack_object **ret_data, enum errorcode *ret_refusal,
                       struct wps_error *error);

/* Any request, to any socket that answers as the control socket does. */
struct control_question {
    const char *command;
    struct text data; /* one packed map, or empty: absent */
    bool may_repeat;
    int timeout_ms;
};

/* A reply with the bytes that it is a view of. */
struct control_answer {
    struct reply reply;
    char *bytes; /* with one more behind the reply, which is 0 */
};

/* Asks as above, the refusals and errors are the same; the answer is the caller's to close. */
int control_client_question(struct control_client *self, const struct control_question *question,
                            struct control_answer *ret, enum errorcode *ret_refusal,
                            struct wps_error *error);
void control_answer_close(struct control_answer *answer); /* a zeroed one is fine */

/* Sees whether the broker means the same processes by their numbers as we do: a pid is one in its
 * pid namespace, and in a container ours may be another. -EXDEV: it does not. 0: it does, or that
 * cannot be known (over tcp; a broker of another user). The errors of a broker that is not there
 * are those above. */
int control_client_check_pids(struct control_client *self, struct wps_error *error);

#endif
