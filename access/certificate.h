/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCESS_CERTIFICATE_H
#define ACCESS_CERTIFICATE_H

/*
 * CURVE certificates in files, as czmq's zcert (3) writes them (zmakecert, pyzmq's
 * create_certificates): ZPL with a section `curve` that has `public-key` and, in the secret file,
 * `secret-key`, in Z85. Source: czmq, zcert.c; ZeroMQ RFC 4 (ZPL), 26 (CURVE), 32 (Z85).
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { CURVE_KEY_SIZE = 41 }; /* of a key in Z85, with its NUL */

struct certificate {
    char public_key[CURVE_KEY_SIZE];
    char secret_key[CURVE_KEY_SIZE]; /* "": only the public one was read */
};

/* The public key in a file. What others could have written is refused. -EINVAL: it is no
 * certificate; -EPERM: it is not ours alone to change; and so on, with a sentence. */
int certificate_read_public(struct certificate *ret, const char *file, struct wps_error *error);

/* Both keys, which must belong together. Refused too where others could read the file. */
int certificate_read_secret(struct certificate *ret, const char *file, struct wps_error *error);

/* Overwrites it. */
void certificate_clear(struct certificate *certificate);

/* 0 where the open file or directory is ours or root's and nobody else may change it; with `secret`
 * nobody else may read it either. -EPERM with a sentence. */
int certificate_check_file(int fd, const char *path, bool secret, struct wps_error *error);

/* What a client needs to connect: its own certificate, and the public key of the server, which is
 * refused if it has another one. */
struct client_keys {
    bool are_set;
    struct certificate own;
    char server[CURVE_KEY_SIZE];
};

/* Reads both. Both null: none are set. -EINVAL: one of them is missing. */
int client_keys_read(struct client_keys *ret, const char *secret_file, const char *server_file,
                     struct wps_error *error);

/* Sets them on a socket that is not connected yet; does nothing where none are set. -errno. */
int client_keys_use(const struct client_keys *keys, void *socket);

#endif
