/* SPDX-License-Identifier: Apache-2.0 */

/* Subscriptions that are taken away under a feed: it would say nothing for ever, so it can be
 * asked. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test_trackers_witness.h"

static void ignore(void *context, const struct feed_event *event)
{
    (void)context, (void)event;
}

/* Until it is empty, or fails. */
static int check(void)
{
    int n;
    feed_check(feed);
    do
        n = feed_drain(feed, 1000, ignore, NULL);
    while (n == 1000);
    return n;
}

FOR_EACH_FEED(a_feed_that_is_subscribed_says_so_each_time)
{
    open_feed(name, 0);
    for (int i = 0; i < 1000; i++)
        cr_assert_geq(check(), 0);
    cr_assert_eq(feed_lost(feed), 0, "what it is asked is no loss");
}

FOR_FEEDS_THAT_SEE_BIRTHS(one_that_overflowed_is_subscribed_still)
{
    open_feed(name, 4);
    odd = odd_start(block_directory(), "storm", "12", "3", NULL);
    odd_end(odd);
    cr_assert_geq(check(), 0);
    cr_assert_geq(check(), 0);
    cr_assert_gt(feed_lost(feed), 0);
}

Test(feed_netlink, unsubscribed_it_says_so, .fini = close_all, .timeout = 120)
{
    struct {
        struct nlmsghdr head;
        struct cn_msg connector;
        enum proc_cn_mcast_op op;
    } __attribute__((packed)) request = {
        .head = {.nlmsg_len = sizeof request, .nlmsg_type = NLMSG_DONE},
        .connector = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof request.op},
        .op = PROC_CN_MCAST_IGNORE,
    };
    open_feed("netlink", 0);
    cr_assert_eq(send(feed_fd(feed), &request, sizeof request, 0), sizeof request);
    cr_assert_eq(check(), -ENOLINK);
}

/* Puts /dev/null in the place of the n-th of our descriptors that is a link of BPF. False: there is
 * none. */
static bool replace_link(unsigned n)
{
    _cleanup_closedir_ DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(directory));) {
        char what[64] = "";
        if (readlinkat(dirfd(directory), entry->d_name, what, sizeof what - 1) < 0 ||
            !strstr(what, "bpf_link") || n-- > 0)
            continue;
        _cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        cr_assert_geq(dup3(null, atoi(entry->d_name), O_CLOEXEC), 0);
        return true;
    }
    return false;
}

Test(feed_bpf, any_of_its_programs_detached_it_says_so, .fini = close_all, .timeout = 120)
{
    open_feed("bpf", 0);
    for (unsigned n = 0; replace_link(n); n++) {
        cr_assert_eq(check(), -ENOLINK, "number %u", n);
        feed_close(&feed);
        ground_clear();
        open_feed("bpf", 0);
        if (n == 3)
            return;
    }
    cr_assert_fail("it has four links");
}
