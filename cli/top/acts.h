/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOP_ACTS_H
#define CLI_TOP_ACTS_H

/* What the broker is asked to do, without waiting for it: the answer becomes a message. What cannot
 * be sent at once is not kept for a broker that comes later. */

#include "cli/broker.h"
#include "cli/top/ui.h"

enum { ACTS_MAX = 16 }; /* at a time */

struct acts {
    const struct broker *broker;
    struct ui *ui;
    void *socket; /* to be waited for */
    uint64_t number;
    struct acts_pending {
        uint64_t number; /* of its request; 0: none */
        struct ui_action action;
        int64_t until_ms;
    } pending[ACTS_MAX];
};

/* -errno, with a sentence. */
int acts_open(struct acts *ret, const struct broker *broker, struct ui *ui,
              struct wps_error *error);
void acts_close(struct acts *self);

/* Asks for it; `context` is a struct acts. */
void acts_act(void *context, const struct ui_action *action);

/* Takes in all answers that are there. */
void acts_read(struct acts *self);

/* Time passed, as the model knows: what was not answered is given up. */
void acts_tick(struct acts *self);

#endif
