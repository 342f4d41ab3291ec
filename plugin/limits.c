/* SPDX-License-Identifier: Apache-2.0 */

/* The limits, in one place: counters and sentences. */

#include "plugin/limits.h"

#include <errno.h>
#include <inttypes.h>

#include "base/fd_budget.h"

void limits_count(struct module *module, enum limit limit)
{
    struct counters *counters = &module->counters;
    uint64_t *const of[LIMITS] = {
        [LIMIT_BLOCKS] = &counters->limit_blocks,
        [LIMIT_SCOPES] = &counters->limit_scopes,
        [LIMIT_PROCESSES] = &counters->limit_processes,
        [LIMIT_REQUESTS] = &counters->limit_requests,
        [LIMIT_DESCRIPTORS] = &counters->limit_descriptors,
    };
    ++*of[limit];
    counters->limits_hit++;
}

int limits_error(struct module *module, enum limit limit, struct wps_error *error)
{
    const struct options *options = &module->options;
    limits_count(module, limit);
    switch (limit) {
    case LIMIT_BLOCKS:
        return wps_error_set(error, -EAGAIN,
                             "there are %" PRIu64 " blocks, as many as max-blocks allows: remove "
                             "some, or raise it",
                             options->max_blocks);
    case LIMIT_SCOPES:
        return wps_error_set(error, -EAGAIN,
                             "data.scope: the block would have more than %" PRIu64 " sub-scopes, "
                             "which is what max-scopes allows: use one that it has, or raise it",
                             options->max_scopes);
    case LIMIT_PROCESSES:
        return wps_error_set(error, -EAGAIN,
                             "there are %" PRIu64 " members in all blocks, as many as "
                             "max-processes allows: end some, or raise it",
                             options->max_processes);
    case LIMIT_REQUESTS:
        return wps_error_set(error, -EAGAIN,
                             "%" PRIu64 " requests wait for their answer, as many as max-requests "
                             "allows: try again when some are answered, or raise it",
                             options->max_requests);
    case LIMIT_DESCRIPTORS:
    case LIMITS:
        break;
    }
    return wps_error_set(error, -EAGAIN,
                         "%d descriptors are in use, and the rest of the %d that this process may "
                         "have is kept free by reserve-descriptors: remove blocks or close "
                         "connections, or raise the process's limit (ulimit -n, LimitNOFILE=)",
                         module->fd_end, fd_budget_limit());
}

void limits_refuse(struct module *module, struct ask *ask, enum limit limit)
{
    struct wps_error error;
    limits_error(module, limit, &error);
    control_refuse(ask, ERRORCODE_LIMIT, "%s", error.message);
}

bool limits_full(const struct module *module)
{
    return registry_n_processes(&module->registry) >= module->options.max_processes;
}

bool limits_too_many_scopes(const struct module *module, const struct block *block,
                            struct text scope)
{
    unsigned missing = registry_scopes_missing(block, scope);
    return missing &&
           block->n_scopes + block->n_scopes_making + missing > module->options.max_scopes;
}
