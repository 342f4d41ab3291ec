/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MANAGER_SCOPE_H
#define MANAGER_SCOPE_H

/*
 * A scope of the systemd manager, with delegation: a cgroup of which it says that what is below is
 * ours (systemd.scope(5), org.freedesktop.systemd1(5), systemd.io/CGROUP_DELEGATION). It lives as
 * long as somebody is in it. Any thread; each call connects anew, and takes `patience_ms` at most.
 */

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Whether there is anybody to ask: 0 where a bus answers, else as the others. */
int scope_reach(unsigned patience_ms, struct wps_error *error);

/* Puts a process into the scope `name` ("NAME.scope"), which is made where there is none. A
 * negative errno, with a sentence that says who was asked and what came of it. */
int scope_hold(const char *name, uint32_t pid, unsigned patience_ms, struct wps_error *error);

/* Has the manager move a process into a cgroup below the scope's ("/a/b"): it may where we may not.
 */
int scope_attach(const char *name, const char *below, uint32_t pid, unsigned patience_ms,
                 struct wps_error *error);

#endif
