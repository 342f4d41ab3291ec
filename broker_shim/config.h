/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_CONFIG_H
#define BROKER_CONFIG_H

/*
 * All that can be set. One table (config_rules.c) has every option with its limits and its line of
 * help; from it come the command line (--queue-events=1000) and the configuration file, which is
 * ZPL (RFC 4 of ZeroMQ) with the same names:
 *
 *     log-level = "debug"
 *     plugin = "/usr/lib/wps/proctrack.so"
 *         feed = "netlink"
 *     optional-plugin = "/usr/lib/wps/other.so"
 *
 * What the command line says counts more than what the file says; plugins of both are loaded, those
 * of the file first.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "broker_shim/plugin_spec.h"

struct config {
    char *config_file;                                       /* null: none */
    char *runtime_dir;                                       /* null: see runtime_dir.h */
    char *events_endpoint, *publish_endpoint, *rpc_endpoint; /* null: in the runtime directory */
    uint64_t allow_others;                                   /* 0 or 1 */
    char *allow_users;                                       /* null: nobody else */
    char *curve_secret, *curve_listen, *curve_ask, *curve_publish; /* files; null: none */
    uint64_t plain_tcp;                                            /* 0 or 1 */
    uint64_t fence;                                                /* 0 or 1: see fence.h */
    char *keep_capabilities, *keep_system_calls;                   /* null: none besides */
    uint64_t log_level;                                            /* enum wps_log_level */
    uint64_t log_format;                                           /* enum log_format */
    uint64_t queue_events, queue_bytes;
    uint64_t send_at_once; /* 0 or 1 */
    uint64_t subscriber_queue;
    uint64_t publish_queue;
    uint64_t rpc_queue;
    uint64_t event_bytes;
    uint64_t unsent_bytes;
    uint64_t reply_bytes;
    uint64_t history_bytes, history_lists;
    uint64_t max_descriptors, reserve_descriptors;
    uint64_t stop_timeout_ms;
    uint64_t linger_ms;
    uint64_t io_threads;
    struct plugin_spec *plugins;
    size_t n_plugins;
};

/* What the command line asks to be done. */
enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION, CONFIG_CHECK_PLUGIN };

/* Reads the command line and the file that it names. With CONFIG_CHECK_PLUGIN the plugin to check
 * is the only one in `ret->plugins`. May be called again with the same arguments, to read the file
 * anew. -EINVAL and the like: the sentence names the option, or the file and the option. */
int config_read(struct config *ret, enum config_action *ret_action, int argc, char **argv,
                struct wps_error *error);

/* Frees what it owns. A zeroed one is fine. */
void config_clear(struct config *self);

/* Takes over from `next` what can be changed while the broker runs. Returns the name of an option
 * that differs and cannot, or null. */
const char *config_change(struct config *self, const struct config *next);

/* Writes the help: how it is called, every option, the exit statuses are the caller's. */
void config_help(FILE *out);

#endif
