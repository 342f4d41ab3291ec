/* SPDX-License-Identifier: Apache-2.0 */

/* Datagrams of netlink: of the process connector, and of sock_diag. Input: one byte that chooses,
 * then datagrams, each behind its length in two bytes. */

#include "fuzz.h"
#include "trackers/feeds/netlink_message.h"
#include "trackers/ports.h"

static struct text take_datagram(struct input *input)
{
    size_t size = take_byte(input);
    size |= (size_t)take_byte(input) << 8;
    return take_text(input, size);
}

static void as_connector(struct input *input)
{
    struct netlink_sequence sequence;
    must(netlink_sequence_init(&sequence) == 0);
    while (input->left) {
        uint64_t lost = sequence.lost;
        struct feed_event event;
        struct text datagram = take_datagram(input);
        if (datagram.size == 1)
            netlink_overflowed(&sequence);
        else if (netlink_parse(&sequence, datagram, 0, &event))
            must(event.kind >= FEED_FORK && event.kind <= FEED_THREAD_EXIT);
        must(sequence.lost >= lost);
        free((void *)datagram.at);
    }
    netlink_sequence_destroy(&sequence);
}

static void as_listeners(struct input *input)
{
    struct ports ports = {0};
    while (input->left) {
        struct text datagram = take_datagram(input);
        ports_parse(&ports, datagram.at, datagram.size, 1);
        free((void *)datagram.at);
    }
    for (size_t i = 0; i < ports.n; i++)
        must(ports.items[i].inode != 0);
    ports_clear(&ports);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    if (take_byte(&input) % 2)
        as_listeners(&input);
    else
        as_connector(&input);
    return 0;
}
