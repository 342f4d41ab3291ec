/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCESS_ZAP_H
#define ACCESS_ZAP_H

/*
 * The handler that ZeroMQ asks who may connect, one for each context. It has no thread: its owner
 * calls zap_work when the socket is readable, and until then a connection waits in its handshake
 * and nothing else does. Where there is no handler libzmq lets everybody in (4.3; the option that
 * forbids it, ZMQ_ZAP_ENFORCE_DOMAIN, is a draft there), so it is bound before any socket that
 * needs it is, and closed when all of these are.
 *
 * Source: ZeroMQ RFC 27 (ZAP).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

enum { ZAP_KEY_BYTES = 32 };

struct zap_question {
    struct text domain;
    struct text address;   /* ":uid:gid:pid" at its end on ipc */
    struct text mechanism; /* "NULL", "CURVE" */
    struct text key;       /* the client's public key, raw; empty without CURVE */
};

/* Says whether who asks may connect. */
typedef bool zap_decide(void *context, const struct zap_question *question);

/* Makes the handler's socket. -EADDRINUSE: the context has one already. */
int zap_open(void **ret_socket, void *zmq_context, struct wps_error *error);

/* Answers what was asked, some at a time; never blocks. Returns how many were refused. True in
 * `*ret_more` where there may be more. */
unsigned zap_work(void *socket, zap_decide *decide, void *context, bool *ret_more);

#endif
