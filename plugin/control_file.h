/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_CONTROL_FILE_H
#define PLUGIN_CONTROL_FILE_H

/*
 * Looks after the file of the control socket, where that is on ipc. Where somebody deletes it,
 * clients that are connected stay so, but no other one finds us: so it is bound again, once its
 * directory is there, and the log says so. The loop's thread.
 */

#include "plugin/control.h"

struct control_file;

/* Watches `path`, the file of that control socket. Negative errno: no watch is to be had (-EMFILE:
 * the user has too many), and a deletion goes unseen. */
int control_file_open(struct control_file **ret, struct control *control, const char *path);

/* Clears the pointer; null is fine. */
void control_file_close(struct control_file **self_p);

#endif
