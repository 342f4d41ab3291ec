/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_HOLDER_H
#define PLUGIN_HOLDER_H

/*
 * Where we may make no cgroups ourselves, the systemd manager may give us a scope with delegation
 * (manager/scope.h), and the blocks are in there. A scope lives as long as somebody is in it, so a
 * small process of its own sits in it (keeper/start.h): as long as we do, and HOLDER_MS longer, so
 * that the next broker finds the blocks, by the scope's name. With an orderly end that leaves no
 * block behind it ends at once. Called from the loop's thread.
 */

#include "plugin/module.h"
#include "trackers/mover.h"

enum { HOLDER_MS = 60000 };

/* Asks for the scope, or finds the one that the last broker left. Waits, for some seconds at most:
 * for beginnings. A negative errno, with a sentence that says who was asked and what came of it. */
int holder_open(struct module *module, struct wps_error *error);

/* The scope's cgroup directory. */
const char *holder_directory(const struct holder *holder);

/* The manager, for moves that are not ours to make; null where `holder` is. */
const struct mover *holder_mover(const struct holder *holder);

/* The tracker is there: our process is put into no block of it. */
void holder_spare(struct module *module);

/* After the tracker was closed and the workers are gone. Null is fine. */
void holder_close(struct module *module);

#endif
