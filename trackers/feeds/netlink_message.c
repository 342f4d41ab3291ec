/* SPDX-License-Identifier: Apache-2.0 */

/* Parsing of process connector messages. */

#include "trackers/feeds/netlink_message.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int netlink_sequence_init(struct netlink_sequence *sequence)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    *sequence = (struct netlink_sequence){.n_cpus = cpus > 0 ? (unsigned)cpus : 1};
    sequence->next = calloc(sequence->n_cpus, sizeof *sequence->next);
    sequence->known = calloc(sequence->n_cpus, sizeof *sequence->known);
    return sequence->next && sequence->known ? 0 : -ENOMEM;
}

void netlink_sequence_destroy(struct netlink_sequence *sequence)
{
    free(sequence->next);
    free(sequence->known);
    *sequence = (struct netlink_sequence){0};
}

void netlink_overflowed(struct netlink_sequence *sequence)
{
    sequence->lost++;
    sequence->counted_ahead++;
    sequence->awaited = 0;
}

static void follow(struct netlink_sequence *sequence, uint32_t cpu, uint32_t number)
{
    if (cpu >= sequence->n_cpus)
        return;
    if (sequence->known[cpu]) {
        uint32_t gap = number - sequence->next[cpu];
        uint64_t ahead = gap < sequence->counted_ahead ? gap : sequence->counted_ahead;
        sequence->counted_ahead -= ahead;
        sequence->lost += gap - ahead;
    }
    sequence->known[cpu] = true;
    sequence->next[cpu] = number + 1;
}

static bool to_event(const struct proc_event *from, uint64_t gap_ns, struct feed_event *event)
{
    *event = (struct feed_event){.time_ns = from->timestamp_ns + gap_ns};
    switch (from->what) {
    case PROC_EVENT_FORK:
        event->pid = (uint32_t)from->event_data.fork.child_tgid;
        event->tid = (uint32_t)from->event_data.fork.child_pid;
        event->kind = event->pid == event->tid ? FEED_FORK : FEED_THREAD;
        event->parent = (uint32_t)from->event_data.fork.parent_tgid;
        return true;
    case PROC_EVENT_EXEC:
        event->kind = FEED_EXEC;
        event->pid = (uint32_t)from->event_data.exec.process_tgid;
        return true;
    case PROC_EVENT_EXIT:
        event->kind = FEED_THREAD_EXIT;
        event->pid = (uint32_t)from->event_data.exit.process_tgid;
        event->tid = (uint32_t)from->event_data.exit.process_pid;
        event->has_status = true;
        event->status = (int)from->event_data.exit.exit_code;
        return true;
    default:
        return false;
    }
}

bool netlink_parse(struct netlink_sequence *sequence, struct text message, uint64_t gap_ns,
                   struct feed_event *ret_event)
{
    struct nlmsghdr head;
    struct cn_msg connector;
    struct proc_event event = {0};
    const size_t before = sizeof head + sizeof connector;
    if (message.size < before)
        return false;
    memcpy(&head, message.at, sizeof head);
    memcpy(&connector, message.at + sizeof head, sizeof connector);
    if (head.nlmsg_len > message.size || head.nlmsg_type != NLMSG_DONE ||
        connector.id.idx != CN_IDX_PROC || connector.id.val != CN_VAL_PROC)
        return false;
    /* Kernels differ in the size of the union; what is not there is 0. */
    size_t size = message.size - before;
    if (connector.len < size)
        size = connector.len;
    if (size < offsetof(struct proc_event, event_data))
        return false;
    memcpy(&event, message.at + before, size < sizeof event ? size : sizeof event);
    follow(sequence, event.cpu, connector.seq);
    if (event.what == PROC_EVENT_COMM &&
        (uint32_t)event.event_data.comm.process_pid == sequence->awaited)
        sequence->awaited = 0;
    return to_event(&event, gap_ns, ret_event);
}
