/* SPDX-License-Identifier: Apache-2.0 */

/* A reserve of descriptors, known by their numbers. */

#include "base/fd_budget.h"

#include <errno.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LIMIT_UNKNOWN = 1024 };

int fd_budget_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return LIMIT_UNKNOWN;
    return limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
}

int fd_budget_end(uint64_t reserve)
{
    int limit = fd_budget_limit();
    return reserve < (uint64_t)limit / 4 ? limit - (int)reserve : limit - limit / 4;
}

int fd_budget_take(int *fd, int end)
{
    if (end == 0 || *fd < end)
        return 0;
    close(*fd);
    *fd = -1;
    return -EMFILE;
}
