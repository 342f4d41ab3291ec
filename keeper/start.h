/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEEPER_START_H
#define KEEPER_START_H

/*
 * Starting a keeper from within a program that somebody else wrote. It inherits nothing but its
 * socket and a descriptor that tells the end of the host: no other descriptor, no environment, no
 * terminal, no session. It is nobody's child: an exec makes every process one that tells its parent
 * of its end, so it is made by a process between, and goes to init (or to the host after all, where
 * that is init or a child subreaper).
 */

#include "base/error.h"

enum { KEEPER_HOST_FD = 3 }; /* in the keeper: a pidfd of the host; its socket is 0 */

/* The word that makes it a holder. */
#define KEEPER_HOLD "--hold"

/* Starts the program `path` for the cgroup directory `root`; returns at once with the module's end
 * of its socket, which does not block. Whether it could be run is the first message there. Any
 * thread. -EMFILE, -EAGAIN, -ENOMEM and so on with a sentence. */
int keeper_start(const char *path, const char *root, int *ret_socket, struct wps_error *error);

/* The same program as a holder: it does nothing, which keeps the cgroup that it is put into from
 * being empty, and ends at once with a "bye" or its host, or, where it was told to keep something,
 * `patience_ms` after its host. */
int keeper_start_holder(const char *path, unsigned patience_ms, int *ret_socket,
                        struct wps_error *error);

#endif
