/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_OPTIONS_H
#define PLUGIN_OPTIONS_H

/* The options of the module, as the host hands them over: strings in, checked values out. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "broker_shim/wps_plugin.h"
#include "plugin/mask.h"

enum { OPTION_TEXT_MAX = 4096 };

struct options {
    char tracker[32];                    /* force one; "": the best that works */
    char feed[32];                       /* force one; "": the best that works */
    char control[OPTION_TEXT_MAX];       /* endpoint; "": ipc://<runtime>/control */
    char allow_users[OPTION_TEXT_MAX];   /* who may ask, besides root and our own user */
    char curve_secret[OPTION_TEXT_MAX];  /* a secret certificate, for a control socket on tcp */
    char curve_clients[OPTION_TEXT_MAX]; /* certificates of those who may ask there */
    bool plain_tcp;                      /* tcp without keys, on loopback */
    char cgroup_root[OPTION_TEXT_MAX];   /* directory to make blocks in; "": our own cgroup */
    uint64_t poll_ms;                    /* 2000: between two scans of the feed poll */
    uint64_t settle_ms;                  /* 5: how long `added` waits for an exec */
    bool never_scope;             /* scope=never: no manager is asked for one; ask is the default */
    bool keep_on_exit;            /* on-exit=keep; kill is the default */
    uint64_t adopt_expire_ms;     /* 60000: see expiry.h; 0: never */
    char keeper[OPTION_TEXT_MAX]; /* the keeper's program; "": beside the module */
    uint64_t feed_buffer_kib;     /* 0: the feed's own default */
    uint64_t persist;             /* 0: how many of each event late readers can read */
    bool trace;                   /* log=trace: every step of every life is logged */
    uint64_t max_blocks;          /* 10000 */
    uint64_t max_scopes;          /* 1000: sub-scopes of a block */
    uint64_t max_processes;       /* 200000: members of all blocks */
    uint64_t max_requests;        /* 4096: that wait for their answer */
    uint64_t reserve_descriptors; /* 256: kept free of what is held for long */
    uint64_t priority_boost;      /* 10: see base/claim.h; 0: never */
    struct mask mask;             /* mask, mask-defaults: what is hidden in command lines */
};

/* Reads them. -EINVAL: an unknown key, or a value that is not allowed; the sentence names it and
 * says what is. */
int options_read(struct options *ret, const struct wps_option *options, size_t n_options,
                 struct wps_error *error);

#endif
