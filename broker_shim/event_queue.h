/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_EVENT_QUEUE_H
#define BROKER_EVENT_QUEUE_H

/*
 * The queue between the plugins' threads and the broker's: bounded in events and in bytes, and with
 * a descriptor that is readable exactly while something lies in it, so that the broker's loop is
 * woken once for any number of events.
 *
 * At ordinary rates that wake-up is most of what an event costs. So where nothing is before it, an
 * event is sent at once by the thread that puts it, and never lies in the queue. When events come
 * at tens of thousands a second they are left to the broker's thread, which takes many at a time.
 *
 * put: any thread. All else: the broker's thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "broker_shim/packet.h"

struct event_queue;

/* Sends an event in the thread that put it. False: not now, as another thread is sending. Must not
 * block. The packet stays the queue's. */
typedef bool event_queue_send_now(void *context, struct packet *packet);

/* Fails with -EMFILE, -ENOMEM. */
int event_queue_new(struct event_queue **ret, size_t events_max, size_t bytes_max,
                    struct wps_error *error);

/* Frees it and what lies in it. Clears the caller's pointer; a null one is fine. */
void event_queue_destroy(struct event_queue **self_p);

/* Before the first put; without it all events are queued. */
void event_queue_set_send_now(struct event_queue *self, event_queue_send_now *send, void *context);

/* Readable while the queue is not empty. Its owner is the queue. */
int event_queue_fd(const struct event_queue *self);

/* Packs the event and puts it last, or sends it now. 0. -EAGAIN: full; `*ret_warn` is set at the
 * first refusal since the queue was less than half full, so that the caller can warn once.
 * -ESHUTDOWN, -ENOMEM. */
int event_queue_put(struct event_queue *self, const struct event *event, bool *ret_warn);

/* Takes the first ones, `max` at most, as a list linked by `next`; they are the caller's then. Null
 * where it is empty. Nothing overtakes them: all others are queued until it is said that they are
 * sent. */
struct packet *event_queue_take(struct event_queue *self, size_t max);
void event_queue_sent(struct event_queue *self);

/* From now on nothing more is put; what lies in it can still be taken. */
void event_queue_close(struct event_queue *self);

/* How much lies in it. Any thread. */
void event_queue_fill(struct event_queue *self, size_t *ret_events, size_t *ret_bytes);

#endif
