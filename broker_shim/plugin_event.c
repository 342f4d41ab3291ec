/* SPDX-License-Identifier: Apache-2.0 */

/* What a plugin wants published, checked before it gets into the queue. */

#include "broker_shim/plugin_event.h"

#include <errno.h>
#include <stdlib.h>

static bool is_among(struct text scope, const struct text *scopes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text_equal(scope, scopes[i]))
            return true;
    return false;
}

/* Each scope once, in the order given. */
static int read_scopes(struct text *ret, size_t *ret_n, const struct wps_event *event,
                       struct wps_error *error)
{
    size_t n = 0;
    for (size_t i = 0; i < event->n_scopes; i++) {
        struct text scope = text_of(event->scopes[i]);
        if (topic_check(scope, "scopes", error) < 0)
            return -EINVAL;
        if (!is_among(scope, ret, n))
            ret[n++] = scope;
    }
    *ret_n = n;
    return 0;
}

static int check_data(const struct wps_event *event, struct wps_error *error)
{
    size_t used;
    if (event->data_size == 0)
        return 0;
    if (event->data_size > EVENT_BYTES_MAX)
        return wps_error_set(error, -EINVAL, "data: at most %d bytes, got %zu", EVENT_BYTES_MAX,
                             event->data_size);
    if (wire_check_texts(event->data, event->data_size, WIRE_DEPTH_MAX - 1, &used, error) < 0)
        return -EINVAL;
    if (used != event->data_size)
        return wps_error_set(error, -EINVAL, "data: %zu bytes behind its one value",
                             event->data_size - used);
    return 0;
}

static int check_name(struct text name, struct wps_error *error)
{
    if (name.size == 0 || name.size > TOPIC_MAX || !wire_utf8_valid(name))
        return wps_error_set(error, -EINVAL, "event: expected a name of 1 to %d bytes of UTF-8",
                             TOPIC_MAX);
    return 0;
}

static int check_sender(struct text sender, struct wps_error *error)
{
    if (sender.size > TOPIC_MAX || !wire_utf8_valid(sender))
        return wps_error_set(error, -EINVAL, "sender: at most %d bytes of UTF-8", TOPIC_MAX);
    return 0;
}

/* Room for the scopes: nothing is allocated for the usual few. */
static struct text *make_room(struct plugin_event *self, size_t n_scopes)
{
    if (n_scopes <= PLUGIN_EVENT_SCOPES_AT_HAND)
        return self->at_hand;
    self->more = calloc(n_scopes, sizeof *self->more);
    return self->more;
}

static int open_known(struct plugin_event *ret, const struct wps_event *event,
                      struct wps_error *error)
{
    struct text name = text_of(event->event);
    struct text sender = text_of(event->sender);
    if (check_name(name, error) < 0 || check_sender(sender, error) < 0 ||
        check_data(event, error) < 0)
        return -EINVAL;
    if (event->n_scopes > EVENT_SCOPES_MAX)
        return wps_error_set(error, -EINVAL, "scopes: at most %d, got %zu", EVENT_SCOPES_MAX,
                             event->n_scopes);
    struct text *scopes = make_room(ret, event->n_scopes);
    size_t n_scopes = 0;
    if (!scopes)
        return wps_error_set(error, -ENOMEM, "no memory for %zu scopes", event->n_scopes);
    int result = read_scopes(scopes, &n_scopes, event, error);
    if (result < 0)
        return result;
    ret->event = (struct event){
        .event = name,
        .sender = sender,
        .persist = event->persist,
        .scopes = scopes,
        .n_scopes = n_scopes,
        .data = {event->data, event->data_size},
    };
    return 0;
}

int plugin_event_open(struct plugin_event *ret, const struct wps_event *event,
                      struct wps_error *error)
{
    struct wps_event known = {0};
    if (!event || event->size < offsetof(struct wps_event, data_size) + sizeof event->data_size)
        return wps_error_set(error, -EINVAL, "its size says that it is no struct wps_event");
    memcpy(&known, event, event->size < sizeof known ? event->size : sizeof known);
    ret->more = NULL;
    int result = open_known(ret, &known, error);
    if (result < 0)
        plugin_event_close(ret);
    return result;
}

void plugin_event_close(struct plugin_event *self)
{
    free(self->more);
    self->more = NULL;
}
