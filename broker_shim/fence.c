/* SPDX-License-Identifier: Apache-2.0 */

/* Capabilities, by libcap-ng: it knows their names and how many this kernel has, and takes them out
 * of all five sets in the order that the kernel allows. */

#include "broker_shim/fence.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>

#include "base/cleanup.h"

enum { CAPABILITIES_MAX = 64 };

/* The unit of the system (packaging/systemd) has the same. */
static const int needed[] = {
    CAP_BPF,          CAP_PERFMON, /* the feed bpf */
    CAP_NET_ADMIN,    /* the feed netlink before Linux 6.6, and room for its messages */
    CAP_SYS_PTRACE,   /* directories, ports and environments of processes with more rights */
    CAP_KILL,         /* signals to other users' processes */
    CAP_SYS_NICE,     /* a thread that falls behind what it watches claims more than its share */
    CAP_DAC_OVERRIDE, /* cgroups that a container in a block made and gave to another user */
};

static const capng_type_t sets[] = {CAPNG_EFFECTIVE, CAPNG_PERMITTED, CAPNG_INHERITABLE,
                                    CAPNG_BOUNDING_SET, CAPNG_AMBIENT};

enum { N_NEEDED = sizeof needed / sizeof *needed, N_SETS = sizeof sets / sizeof *sets };

static uint64_t bit(int capability)
{
    return UINT64_C(1) << capability;
}

/* ---- what is to be kept --------------------------------------------------------------------- */

static int keep_capability(struct fence *fence, const char *name, struct wps_error *error)
{
    int capability = capng_name_to_capability(strncasecmp(name, "CAP_", 4) ? name : name + 4);
    if (capability < 0 || capability >= CAPABILITIES_MAX)
        return wps_error_set(
            error, -EINVAL, "keep-capabilities: \"%s\": there is no capability of this name", name);
    fence->capabilities |= bit(capability);
    return 0;
}

static int keep_call(struct fence *fence, const char *name, struct wps_error *error)
{
    int number = fence_call_number(name);
    if (number < 0)
        return wps_error_set(error, -EINVAL,
                             "keep-system-calls: \"%s\": there is no system call of this name",
                             name);
    int *calls = reallocarray(fence->calls, fence->n_calls + 1, sizeof *calls);
    if (!calls)
        return wps_error_set(error, -ENOMEM, "keep-system-calls: no memory");
    calls[fence->n_calls++] = number;
    fence->calls = calls;
    return 0;
}

typedef int keep_function(struct fence *, const char *, struct wps_error *);

static int keep_each(struct fence *fence, const char *names, keep_function *keep,
                     struct wps_error *error)
{
    _cleanup_free_ char *copy = strdup(names ? names : "");
    char *rest = NULL;
    int result = copy ? 0 : wps_error_set(error, -ENOMEM, "what is to be kept: no memory");
    for (char *name = copy ? strtok_r(copy, " ,\t", &rest) : NULL; name && result == 0;
         name = strtok_r(NULL, " ,\t", &rest))
        result = keep(fence, name, error);
    return result;
}

int fence_init(struct fence *ret, const char *capabilities, const char *calls,
               struct wps_error *error)
{
    struct fence fence = {0};
    for (size_t i = 0; i < N_NEEDED; i++)
        fence.capabilities |= bit(needed[i]);
    int result = keep_each(&fence, capabilities, keep_capability, error);
    if (result == 0)
        result = keep_each(&fence, calls, keep_call, error);
    if (result < 0) {
        fence_clear(&fence);
        return result;
    }
    *ret = fence;
    return 0;
}

void fence_clear(struct fence *self)
{
    free(self->calls);
    *self = (struct fence){0};
}

/* ---- giving up ------------------------------------------------------------------------------ */

int fence_privileges(struct wps_error *error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return wps_error_system(error, -errno, "no_new_privs cannot be set");
    return 0;
}

static uint64_t members_of(capng_type_t set)
{
    uint64_t members = 0;
    for (int i = 0; i < CAPABILITIES_MAX; i++)
        if (capng_have_capability(set, (unsigned)i) > 0)
            members |= bit(i);
    return members;
}

/* From the one set of libcap-ng, which is a thread's own: cleared, so that it lacks what is newer
 * than its headers too, and then what is kept put back. */
static void choose(uint64_t keep, const uint64_t had[static N_SETS])
{
    capng_clear(CAPNG_SELECT_ALL);
    for (size_t set = 0; set < N_SETS; set++)
        for (int i = 0; i < CAPABILITIES_MAX; i++)
            if (keep & had[set] & bit(i))
                capng_update(CAPNG_ADD, sets[set], (unsigned)i);
}

/* What each set has, and all of those that are to be made smaller. */
static int read_sets(uint64_t ret_had[static N_SETS], bool with_bounds, uint64_t *ret_all)
{
    *ret_all = 0;
    if (capng_get_caps_process() < 0)
        return -ENODATA; /* it does not say why */
    for (size_t i = 0; i < N_SETS; i++) {
        ret_had[i] = members_of(sets[i]);
        if (sets[i] != CAPNG_BOUNDING_SET || with_bounds)
            *ret_all |= ret_had[i];
    }
    return 0;
}

/* libcap-ng does not tell every failure: whether it is done is looked at. */
static int give_up(uint64_t keep, const uint64_t had[static N_SETS], bool with_bounds)
{
    uint64_t have[N_SETS], all;
    capng_select_t which = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;
    choose(keep, had);
    errno = 0;
    int applied = capng_apply(with_bounds ? which | CAPNG_SELECT_BOUNDS : which);
    int code = errno ? errno : EPERM;
    int result = read_sets(have, with_bounds, &all);
    return result < 0 ? result : applied < 0 || all & ~keep ? -code : 0;
}

int fence_capabilities(const struct fence *self, struct wps_error *error)
{
    uint64_t had[N_SETS] = {0}, all;
    bool may_bound =
        capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) > 0;
    int result = read_sets(had, may_bound, &all);
    if (result < 0)
        return wps_error_system(error, result, "our capabilities cannot be read");
    if ((all & ~self->capabilities) == 0)
        return 0; /* in a unit it is done, and a filter may refuse to do it again */
    result = give_up(self->capabilities, had, may_bound);
    return result < 0 ? wps_error_system(error, result, "capabilities cannot be given up") : 0;
}

char *fence_capabilities_text(void)
{
    if (capng_get_caps_process() < 0)
        return strdup("unknown");
    return capng_print_caps_text(CAPNG_PRINT_BUFFER, CAPNG_EFFECTIVE);
}
