/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_RUNTIME_PATH_H
#define BASE_RUNTIME_PATH_H

/*
 * Which directory the sockets of a broker are in: the same rule for the broker and for those who
 * look for it. Nothing is made or looked at here; broker_shim/runtime_dir.h makes and locks it.
 *
 * Source: PROTOCOL.md, section 1.
 */

#include "base/error.h"

/* `wanted`, else $WPS_RUNTIME_DIR, else /run/wps for root, else $XDG_RUNTIME_DIR/wps. An empty
 * string counts as unset. `*ret_path` is absolute, without a slash at its end, and the caller's to
 * free. Reads the environment: not beside a thread that changes it. -ENOENT: nothing says which.
 * -ENAMETOOLONG, -ENOMEM. */
int runtime_path_resolve(const char *wanted, char **ret_path, struct wps_error *error);

#endif
