/* SPDX-License-Identifier: Apache-2.0 */

/* The tracker `none`: blocks have names and no members. For systems where nothing better works: the
 * rest of the house runs, and says that it promises nothing. */

#include <errno.h>
#include <stdlib.h>

#include "trackers/tracker_impl.h"

static int none_open(const struct tracker_options *options, struct tracker **ret,
                     struct wps_error *error)
{
    (void)options;
    struct tracker *tracker = calloc(1, sizeof *tracker);
    if (!tracker)
        return wps_error_set(error, -ENOMEM, "out of memory");
    tracker->class = &tracker_none;
    tracker->root_fd = -1;
    *ret = tracker;
    return 0;
}

static void none_close(struct tracker *tracker)
{
    free(tracker);
}

static int none_run(struct tracker *tracker, struct tracker_op *op)
{
    (void)tracker;
    if (op->kind == TRACKER_ASSIGN)
        return wps_error_set(&op->error, -ENOTSUP,
                             "the tracker 'none' holds no processes: describe tells why no better "
                             "one works here");
    return 0;
}

const struct tracker_class tracker_none = {
    .name = "none",
    .traits = 0,
    .open = none_open,
    .close = none_close,
    .run = none_run,
};
