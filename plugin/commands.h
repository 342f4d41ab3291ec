/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_COMMANDS_H
#define PLUGIN_COMMANDS_H

/* What each command of the control socket does (PROTOCOL.md, section 4.1). Called from the loop's
 * thread. */

#include "plugin/control.h"

/* Answers the ask, or hands it to whoever will. */
void commands_run(struct module *module, struct ask *ask);

#endif
