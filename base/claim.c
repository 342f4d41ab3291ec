/* SPDX-License-Identifier: Apache-2.0 */

/* Claiming a larger share of the processors. */

#include "base/claim.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/clock.h"

enum {
    LATE = 8,          /* one that is late counts as much as so many that are not */
    BEHIND = 8 * LATE, /* it does not catch up by itself */
};

/* Of the calling thread, though it is asked by a process id. */
static bool has_nice(int value)
{
    errno = 0; /* -1 is a nice value too */
    return getpriority(PRIO_PROCESS, 0) == value && errno == 0;
}

/* Where somebody gave it another one than `from` meanwhile, that is left alone. */
static bool change_nice(int from, int to)
{
    return has_nice(from) && setpriority(PRIO_PROCESS, 0, to) == 0;
}

void claim_init(struct claim *claim, unsigned boost)
{
    *claim = (struct claim){.boost = has_nice(0) ? (int)boost : 0};
}

void claim_stop(struct claim *claim)
{
    if (claim->claims && !change_nice(-claim->boost, 0))
        claim->boost = 0;
    claim->claims = false;
    claim->late = 0;
}

static void begin(struct claim *claim)
{
    claim->claims = change_nice(0, -claim->boost);
    if (!claim->claims)
        claim->boost = 0;
    claim->late = 0;
}

/* A single halt, however much there is to read behind it, is one. */
static void count(struct claim *claim, bool late, uint64_t now_ns)
{
    claim->counted_ns = now_ns;
    if (late)
        claim->late += LATE;
    else if (claim->late > 0)
        claim->late--;
}

void claim_update(struct claim *claim, uint64_t late_ns, uint64_t now_ns)
{
    bool late = late_ns >= CLAIM_LATE_MS * NS_PER_MS;
    if (claim->boost == 0)
        return;
    if (late)
        claim->until_ns = now_ns + CLAIM_STAY_S * NS_PER_SECOND;
    if (late_ns && now_ns - claim->counted_ns >= CLAIM_LATE_MS * NS_PER_MS)
        count(claim, late, now_ns);
    if (claim->claims && now_ns >= claim->until_ns)
        claim_stop(claim);
    else if (!claim->claims && claim->late >= BEHIND)
        begin(claim);
}
