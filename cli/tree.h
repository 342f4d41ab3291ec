/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TREE_H
#define CLI_TREE_H

/* The processes of a block as a tree: each below its parent, where that is in the list. */

#include <stdbool.h>

#include "cli/term.h"
#include "schemas/control_reply.h"

/* Prints it to stdout: a line for each of the processes of a list with detail, and one above them
 * with the names of the columns. `detail`: more columns. -ENOMEM; -EINVAL: what was answered makes
 * no sense. */
int tree_print(const struct list_reply *reply, const struct term *term, bool detail);

#endif
