/* SPDX-License-Identifier: Apache-2.0 */

/* A bounded list behind a mutex, and an eventfd for those who wait for it. */

#include "broker_shim/event_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/gather.h"

enum {
    SCRATCH_KEPT_BYTES = 64 * 1024,
    /* Events a second from which on they are left to the broker's thread: where sending them takes
     * as much of a processor as making them does, two threads get further than one. Below that its
     * wake-ups, however many events each takes, cost more than they save. */
    QUEUED_RATE = 40000,
    COUNTED_AT_ONCE = 16, /* at that rate: reading the clock takes as long as queueing does */
};

struct event_queue {
    pthread_mutex_t lock; /* guards all below; held for a pack and a copy or a send at most */
    struct packet *first;
    struct packet **end;
    size_t events, events_max;
    size_t bytes, bytes_max;
    struct wire_out scratch;
    bool warned;
    bool closed;
    bool are_under_way; /* those that were taken last are being sent */
    struct gather gather;
    unsigned uncounted; /* by `gather` */
    event_queue_send_now *send;
    void *context;
    int wake;
};

int event_queue_new(struct event_queue **ret, size_t events_max, size_t bytes_max,
                    struct wps_error *error)
{
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0)
        return wps_error_system(error, -errno, "making the queue of events");
    struct event_queue *self = calloc(1, sizeof *self);
    if (!self) {
        close(wake);
        return wps_error_set(error, -ENOMEM, "making the queue of events: no memory");
    }
    pthread_mutex_init(&self->lock, NULL);
    self->end = &self->first;
    self->events_max = events_max;
    self->bytes_max = bytes_max;
    self->wake = wake;
    wire_out_init(&self->scratch);
    gather_init(&self->gather, QUEUED_RATE);
    *ret = self;
    return 0;
}

void event_queue_destroy(struct event_queue **self_p)
{
    struct event_queue *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (struct packet *packet = self->first, *next; packet; packet = next) {
        next = packet->next;
        packet_release(packet);
    }
    wire_out_destroy(&self->scratch);
    pthread_mutex_destroy(&self->lock);
    close(self->wake);
    free(self);
}

void event_queue_set_send_now(struct event_queue *self, event_queue_send_now *send, void *context)
{
    self->send = send;
    self->context = context;
}

int event_queue_fd(const struct event_queue *self)
{
    return self->wake;
}

/* Forgets a scratch buffer that one giant event has blown up. */
static void scratch_shrink(struct wire_out *scratch)
{
    if (scratch->bytes.alloc <= SCRATCH_KEPT_BYTES)
        return;
    wire_out_destroy(scratch);
    wire_out_init(scratch);
}

static void append(struct event_queue *self, struct packet *packet)
{
    bool was_empty = !self->first;
    *self->end = packet;
    self->end = &packet->next;
    self->events++;
    self->bytes += packet->footprint;
    if (was_empty)
        eventfd_write(self->wake, 1);
}

static void count(struct event_queue *self)
{
    self->uncounted++;
    if (self->gather.saturated && self->first && self->uncounted < COUNTED_AT_ONCE)
        return;
    gather_count(&self->gather, self->uncounted);
    self->uncounted = 0;
}

/* True where it is sent, in its turn, without the broker's thread. */
static bool send_now(struct event_queue *self, struct packet *packet)
{
    count(self);
    return self->send && !self->first && !self->are_under_way && !self->gather.saturated &&
           self->send(self->context, packet);
}

static int put_locked(struct event_queue *self, const struct event *event, bool *ret_warn)
{
    if (self->closed)
        return -ESHUTDOWN;
    if (self->events >= self->events_max || self->bytes >= self->bytes_max) {
        *ret_warn = !self->warned;
        self->warned = true;
        return -EAGAIN;
    }
    /* Packing in here costs every other thread 0.2 us, and saves a buffer for each of them. */
    struct packet *packet = packet_new(event, &self->scratch);
    scratch_shrink(&self->scratch);
    if (!packet)
        return -ENOMEM;
    if (send_now(self, packet))
        packet_release(packet);
    else
        append(self, packet);
    return 0;
}

int event_queue_put(struct event_queue *self, const struct event *event, bool *ret_warn)
{
    pthread_mutex_lock(&self->lock);
    int result = put_locked(self, event, ret_warn);
    pthread_mutex_unlock(&self->lock);
    return result;
}

static void rearm(struct event_queue *self)
{
    if (self->events <= self->events_max / 2 && self->bytes <= self->bytes_max / 2)
        self->warned = false;
    if (!self->first) {
        eventfd_t ignored;
        self->end = &self->first;
        eventfd_read(self->wake, &ignored);
    }
}

struct packet *event_queue_take(struct event_queue *self, size_t max)
{
    pthread_mutex_lock(&self->lock);
    struct packet *first = self->first;
    struct packet **cut = &self->first;
    for (; *cut && max > 0; max--) {
        self->events--;
        self->bytes -= (*cut)->footprint;
        cut = &(*cut)->next;
    }
    struct packet *rest = *cut;
    *cut = NULL;
    self->first = rest;
    self->are_under_way = first != rest;
    rearm(self);
    pthread_mutex_unlock(&self->lock);
    return first == rest ? NULL : first;
}

void event_queue_sent(struct event_queue *self)
{
    pthread_mutex_lock(&self->lock);
    self->are_under_way = false;
    pthread_mutex_unlock(&self->lock);
}

void event_queue_close(struct event_queue *self)
{
    pthread_mutex_lock(&self->lock);
    self->closed = true;
    pthread_mutex_unlock(&self->lock);
}

void event_queue_fill(struct event_queue *self, size_t *ret_events, size_t *ret_bytes)
{
    pthread_mutex_lock(&self->lock);
    *ret_events = self->events;
    *ret_bytes = self->bytes;
    pthread_mutex_unlock(&self->lock);
}
