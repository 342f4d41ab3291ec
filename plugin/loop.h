/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_LOOP_H
#define PLUGIN_LOOP_H

/*
 * The module's one thread: it makes everything that is needed, waits, and takes it down again. It
 * wakes only when something happened. The loop is systemd's sd-event.
 */

#include "plugin/module.h"

/* Starts the thread; returns when the module can be used, or with the sentence why it cannot.
 * Called from the host's thread. */
int loop_start(struct module *module, struct wps_error *error);

/* Ends it: blocks are killed or left as they wish, then all is taken down and the thread joined.
 * -ETIMEDOUT: it still runs. Called from the host's thread. */
int loop_stop(struct module *module, uint32_t deadline_ms, struct wps_error *error);

#endif
