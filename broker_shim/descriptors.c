/* SPDX-License-Identifier: Apache-2.0 */

/* A guard around accept(2), because libzmq does not survive a lack of descriptors. */

#include "broker_shim/descriptors.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker_shim/log.h"

enum {
    LIMIT_LEAST = 32,  /* what the broker itself needs, and a few clients */
    TOLD_EVERY_S = 10, /* of refusals */
};

typedef int accept4_function(int, struct sockaddr *, socklen_t *, int);

static _Atomic int crowded_from = INT_MAX;
static _Atomic int closed_from = INT_MAX;
static _Atomic uint64_t limit_now;
static _Atomic uint64_t refused;
static _Atomic uint64_t told_ns; /* when that was logged last; 0: never */
static _Atomic int spare = -1;   /* given up for a moment where even the reserve is gone */
static _Atomic(accept4_function *) next_accept4;

int descriptors_prepare(uint64_t wanted, uint64_t reserve, struct wps_error *error)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return wps_error_system(error, -errno, "reading the limit on descriptors");
    if (wanted > INT_MAX)
        wanted = INT_MAX;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : (rlim_t)wanted;
    if (limit.rlim_cur < LIMIT_LEAST)
        return wps_error_set(error, -EMFILE,
                             "at most %llu descriptors are allowed, at least %d are needed: "
                             "raise the limit (ulimit -n, or LimitNOFILE=)",
                             (unsigned long long)limit.rlim_cur, LIMIT_LEAST);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return wps_error_system(error, -errno, "raising the limit on descriptors to %llu",
                                (unsigned long long)limit.rlim_cur);

    int now = (int)limit.rlim_cur;
    int kept = reserve < (uint64_t)now / 4 ? (int)reserve : now / 4;
    atomic_store(&limit_now, (uint64_t)now);
    atomic_store(&closed_from, now - kept);
    atomic_store(&crowded_from, now - kept - kept / 2);
    atomic_store(&spare, open("/dev/null", O_RDONLY | O_CLOEXEC));
    return 0;
}

bool descriptors_crowded(int fd)
{
    return fd >= atomic_load_explicit(&crowded_from, memory_order_relaxed);
}

uint64_t descriptors_limit(void)
{
    return atomic_load(&limit_now);
}

uint64_t descriptors_refused(void)
{
    return atomic_load(&refused);
}

/* Reached through the dynamic linker, so that a sanitizer's own wrapper is not left out. */
static accept4_function *real_accept4(void)
{
    accept4_function *function = atomic_load(&next_accept4);
    if (!function) {
        function = (accept4_function *)dlsym(RTLD_NEXT, "accept4");
        atomic_store(&next_accept4, function);
    }
    return function;
}

/* Nothing is left at all: takes one connection off the queue with the spare descriptor, for if it
 * stays there the listener is readable for ever and its thread spins. */
static void refuse_with_the_spare(int listener)
{
    int held = atomic_exchange(&spare, -1);
    if (held >= 0)
        close(held);
    int fd = real_accept4()(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    else
        poll(NULL, 0,
             10); /* somebody else was quicker: give them time, there is nothing to wait for */
    held = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int none = -1;
    if (held >= 0 && !atomic_compare_exchange_strong(&spare, &none, held))
        close(held);
}

/* By whichever thread accepts. */
static void note_refusal(void)
{
    uint64_t so_far = atomic_fetch_add(&refused, 1) + 1, now = monotonic_ns();
    uint64_t told = atomic_load(&told_ns);
    if ((told && now < told + TOLD_EVERY_S * NS_PER_SECOND) ||
        !atomic_compare_exchange_strong(&told_ns, &told, now))
        return;
    struct rlimit limit = {.rlim_cur = (rlim_t)atomic_load(&limit_now)};
    getrlimit(RLIMIT_NOFILE, &limit);
    log_warning("connections are refused, %llu so far: of %llu descriptors none is left for them: "
                "raise the limit (ulimit -n, or LimitNOFILE=)",
                (unsigned long long)so_far, (unsigned long long)limit.rlim_cur);
}

static int accept_guarded(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
    int fd = real_accept4()(listener, address, size, flags);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
        refuse_with_the_spare(listener);
    else if (fd < 0 || fd < atomic_load_explicit(&closed_from, memory_order_relaxed))
        return fd;
    else
        close(fd);
    note_refusal();
    errno = ECONNABORTED;
    return -1;
}

/* The linker exports these two because libzmq refers to them; the attribute makes them visible. */
__attribute__((visibility("default"))) int accept4(int listener, struct sockaddr *address,
                                                   socklen_t *size, int flags)
{
    return accept_guarded(listener, address, size, flags);
}

__attribute__((visibility("default"))) int accept(int listener, struct sockaddr *address,
                                                  socklen_t *size)
{
    return accept_guarded(listener, address, size, 0);
}
