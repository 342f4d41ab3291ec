/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCTRACK_COMMON_H
#define PROCTRACK_COMMON_H

/* What C programs use first: errors, the version, and the connection that all the rest is made
 * from. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PROCTRACK_API __attribute__((visibility("default")))

/* Structs that a caller fills in begin with their size, so that later versions can grow them at
 * their tail: `struct proctrack_options options = PROCTRACK_OPTIONS;` sets it, and all else to
 * nought, which is the default of everything. */
#ifdef __cplusplus
#define PROCTRACK_SIZED(type)                                                                      \
    [] {                                                                                           \
        type sized = {};                                                                           \
        sized.size = sizeof(type);                                                                 \
        return sized;                                                                              \
    }()
#else
#define PROCTRACK_SIZED(type)                                                                      \
    {                                                                                              \
        .size = sizeof(type)                                                                       \
    }
#endif

/* ---- errors --------------------------------------------------------------------------------- */

/* Why a broker refused what it was asked for. */
enum proctrack_errorcode {
    PROCTRACK_NOT_REFUSED,
    PROCTRACK_BAD_REQUEST,
    PROCTRACK_UNKNOWN_COMMAND,
    PROCTRACK_INVALID_ARGUMENT,
    PROCTRACK_NO_SUCH_BLOCK,
    PROCTRACK_NO_SUCH_PROCESS,
    PROCTRACK_NOT_PERMITTED,
    PROCTRACK_NOT_SUPPORTED,
    PROCTRACK_LIMIT,
    PROCTRACK_TIMEOUT,
    PROCTRACK_INTERNAL, /* also one that this version does not know */
};

/* "no_such_block" and so on, as it goes over the wire; "" where it was not refused. Any thread. */
PROCTRACK_API const char *proctrack_errorcode_name(enum proctrack_errorcode code);

/* Functions that can fail return a negative errno, and write this where they were given one; null
 * is allowed wherever one is taken, and means that nobody will read it. On success it is
 * untouched. */
struct proctrack_error {
    char message[512]; /* a sentence: what was tried, on what, and what to do; UTF-8 */
    enum proctrack_errorcode
        errorcode;         /* of what returned -EREMOTEIO; else PROCTRACK_NOT_REFUSED */
    uint32_t reserved[15]; /* 0 */
};

/* ---- version -------------------------------------------------------------------------------- */

/* That of the library that runs, such as "0.1.0". Any thread. */
PROCTRACK_API const char *proctrack_version(void);

/* ---- a connection --------------------------------------------------------------------------- */

/* Where a broker is, and the ZeroMQ context in which all of it lives. One thread at a time may ask
 * over it; what was made from it (a mirror, a subscriber) may be another thread's. A program with
 * several threads that ask makes a connection in each. After fork(2) the child may not touch it. */
struct proctrack;

struct proctrack_options {
    uint32_t size;           /* sizeof (struct proctrack_options): see PROCTRACK_OPTIONS */
    const char *runtime_dir; /* of the broker; null: $WPS_RUNTIME_DIR, else /run/wps for root, else
                                $XDG_RUNTIME_DIR/wps */
    /* Endpoints, ipc:// or tcp://; null: the sockets in the runtime directory. */
    const char *events, *rpc, *control;
    void *zmq_context;   /* of the caller's, which must outlive the connection; null: one of its own
                            with one I/O thread */
    uint32_t timeout_ms; /* how long the broker may take to answer; 0: 5000 */
    /* For a broker on tcp with CURVE: files with the secret certificate of this program and with
     * the public one of the broker, which is refused if it has another key; null: none. */
    const char *curve_secret, *curve_server;
};

#define PROCTRACK_OPTIONS PROCTRACK_SIZED(struct proctrack_options)

/* Makes a connection. `options` may be null: all defaults; strings are copied. Nothing is sent yet,
 * so there need not be a broker. Reads the environment: not beside a thread that changes it.
 * -ENOENT: nothing says where a broker is, or a certificate is missing; -EPERM: others could read
 * or change one; -EINVAL: an endpoint that is none; -ENAMETOOLONG: the path of a socket would be
 * longer than 107 bytes; -EMFILE, -ENOMEM. */
PROCTRACK_API int proctrack_connect(struct proctrack **ret, const struct proctrack_options *options,
                                    struct proctrack_error *error);

/* Closes it and clears the caller's pointer; null is fine. What was made from it must be closed
 * before; answers stay. Does not wait for a broker. */
PROCTRACK_API void proctrack_close(struct proctrack **self_p);

#ifdef __cplusplus
}
#endif

#endif
