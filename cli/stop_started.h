/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_STOP_STARTED_H
#define CLI_STOP_STARTED_H

/* `stop --started`: ends what the agent started by its tools, and nothing else of a block. The
 * protocol has kill_started for it, which leaves nobody time; a mirror tells when they are gone. */

#include "cli/act.h"

/* Does it for each block, and tells, a line or an object each. Waits at most `timeout_ms` for all
 * of them. Returns the exit status. */
int stop_started(struct act *act, struct broker *broker, char *const *blocks, size_t n,
                 uint64_t timeout_ms);

#endif
