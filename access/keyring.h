/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCESS_KEYRING_H
#define ACCESS_KEYRING_H

/*
 * The public keys of those who may connect in one role: a directory of certificates, or one
 * certificate. It is read again when the directory (or the file) has changed since, so keys that
 * are put there or taken away count for the next connection; one that is changed in place does not
 * change its directory. Names that begin with a dot or end in `_secret` are passed over.
 */

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "access/certificate.h"

enum { KEYRING_MAX = 10000 };

struct keyring {
    char *path; /* null: nobody may */
    char (*keys)[CURVE_KEY_SIZE];
    size_t n;
    struct timespec changed; /* of the path, when it was read */
    bool is_fresh;           /* it had changed just before: a change may go unnoticed */
};

/* Reads it. `path` is copied. -ENOENT, -EPERM (others could put keys there), -EINVAL (a certificate
 * that is none), -ENOMEM, with a sentence. */
int keyring_open(struct keyring *ret, const char *path, struct wps_error *error);

/* True where it has this key (in Z85), after a look whether it changed. What cannot be read has
 * none; a certificate among others that cannot be read is passed over. */
bool keyring_has(struct keyring *keyring, const char *key);

/* A zeroed one is fine. */
void keyring_clear(struct keyring *keyring);

#endif
