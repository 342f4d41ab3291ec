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
 * come can do nothing else. Here a broker that is not there is told at once, one that ends while
 * it is asked is asked again if there is a new one, and after a time-out the next request goes
 * over a fresh socket.
 *
 * One thread at a time. Source: PROTOCOL.md, section 4.
 */

#include <sys/types.h>

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

/* Closes its sockets and frees all. Clears the caller's pointer; null is fine. */
void control_client_close(struct control_client **self_p);

/* Asks, and waits at most `timeout_ms` milliseconds (0: for what is there at once; it is no use)
 * for the reply. Signals do not end the wait. On success `*ret_data` is the reply's `data`, to be
 * read with control_reply.h; it lives until the next request or the end of the client.
 *
 * A request may be carried out twice, if the broker ended between that and the reply.
 *
 * -EREMOTEIO: the broker refused; the sentence is its own, and `*ret_refusal` (may be null) its
 * errorcode. -ENOENT, -ECONNREFUSED, -EACCES, -ENAMETOOLONG: nobody is there, or nobody that we may
 * ask. -ECONNRESET: it ended before it answered. -ETIMEDOUT: no reply in time; it may still be
 * carried out. -EPROTO: what came is no reply of this protocol. -EINVAL, -EMFILE, -ENOMEM. */
int control_client_ask(struct control_client *self, const struct control_request *request,
                       int timeout_ms, const msgpack_object **ret_data, enum errorcode *ret_refusal,
                       struct wps_error *error);

/* The same at another socket that speaks so, such as the broker's rpc: a command by its name, with
 * no data. */
int control_client_ask_named(struct control_client *self, const char *command, int timeout_ms,
                             const msgpack_object **ret_data, enum errorcode *ret_refusal,
                             struct wps_error *error);

/* Sees whether the broker means the same processes by their numbers as we do: a pid is one in its
 * pid namespace, and in a container ours may be another. -EXDEV: it does not. 0: it does, or that
 * cannot be known (over tcp; a broker of another user). The errors of a broker that is not there
 * are those above. */
int control_client_check_pids(struct control_client *self, struct wps_error *error);

#endif
