/* SPDX-License-Identifier: Apache-2.0 */

/* The one way that all events take. */

#include "broker_shim/routing.h"

#include "base/cleanup.h"
#include "broker_shim/log.h"

#define PLUGIN_NAMES "agent:"

static int send_locked(struct routing *self, struct packet *packet)
{
    int forgotten = history_add(self->history, packet);
    if (forgotten > 0)
        counter_add(&self->counters->history_evicted, (uint64_t)forgotten);
    else if (forgotten < 0)
        log_warning("no memory to keep an event for late readers");
    return events_send(self->events, packet);
}

int routing_send(struct routing *self, struct packet *packet)
{
    pthread_mutex_lock(&self->lock);
    int result = send_locked(self, packet);
    pthread_mutex_unlock(&self->lock);
    return result;
}

int routing_try_send(struct routing *self, struct packet *packet)
{
    if (pthread_mutex_trylock(&self->lock) != 0)
        return -EBUSY;
    int result = send_locked(self, packet);
    pthread_mutex_unlock(&self->lock);
    return result;
}

int routing_renew(struct routing *self, mode_t mode, struct wps_error *error)
{
    pthread_mutex_lock(&self->lock);
    int result = events_renew(self->events, mode, error);
    pthread_mutex_unlock(&self->lock);
    return result;
}

void routing_receive(struct routing *self)
{
    pthread_mutex_lock(&self->lock);
    events_receive(self->events);
    pthread_mutex_unlock(&self->lock);
}

int routing_check_unsent(const struct routing *self, struct wps_error *error)
{
    if (atomic_load_explicit(&self->unsent, memory_order_relaxed) <= self->unsent_max)
        return 0;
    return wps_error_set(error, -ENOBUFS,
                         "more than %zu bytes wait for peers that do not read them: try later",
                         self->unsent_max);
}

static bool is_a_plugins_name(struct text name)
{
    size_t size = strlen(PLUGIN_NAMES);
    return name.size >= size && memcmp(name.at, PLUGIN_NAMES, size) == 0;
}

int routing_send_from_outside(struct routing *self, const struct event *event, const char *where,
                              struct wps_error *error)
{
    if (is_a_plugins_name(event->event))
        return wps_error_set(error, -EPERM,
                             "%s%sevent: names that begin with " PLUGIN_NAMES
                             " are for plugins: choose another one",
                             where, *where ? "." : "");
    int result = routing_check_unsent(self, error);
    if (result < 0)
        return result;
    cleanup(packet_cleanup) struct packet *packet = packet_new(event, &self->scratch);
    result = packet ? routing_send(self, packet) : -ENOMEM;
    return result < 0 ? wps_error_system(error, result, "sending an event") : result;
}
