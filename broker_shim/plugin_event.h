/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_PLUGIN_EVENT_H
#define BROKER_PLUGIN_EVENT_H

/* An event as a plugin hands it over, checked and seen as one of ours. Any thread. */

#include "broker_shim/wps_plugin.h"
#include "schemas/event.h"

enum { PLUGIN_EVENT_SCOPES_AT_HAND = 8 };

struct plugin_event {
    struct event event; /* views into what the plugin gave */
    struct text at_hand[PLUGIN_EVENT_SCOPES_AT_HAND];
    struct text *more; /* in place of at_hand, where those are too few */
};

/* Fills `ret`, which must stay where it is until it is closed. -EINVAL: it is not an event (no
 * name, a scope that is none, data that is not exactly one msgpack value, or over EVENT_BYTES_MAX);
 * -ENOMEM. There is nothing to close then. */
int plugin_event_open(struct plugin_event *ret, const struct wps_event *event,
                      struct wps_error *error);

void plugin_event_close(struct plugin_event *self);

#endif
