/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_LOG_H
#define BROKER_LOG_H

/*
 * The log of the broker and of its plugins: one line a message on stderr, as text or as JSON lines.
 *
 * Every function may be called by any thread and none of them blocks: a line that stderr does not
 * take at once is lost, counted, and told of with the next line that gets through. Control
 * characters in a message are escaped, so that nobody can forge a line.
 */

#include <stdbool.h>
#include <stdint.h>

#include "broker_shim/wps_plugin.h"

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* At the beginning: WPS_LOG_INFO, LOG_FORMAT_TEXT. Settable at any time. */
void log_set_level(enum wps_log_level level);
void log_set_format(enum log_format format);
enum wps_log_level log_level(void);

/* Logs for `source`: "wpsd" or the name of a plugin. An unknown level counts as trace. */
void log_text(int level, const char *source, const char *message);
void log_line(int level, const char *source, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "error", "warning", "info", "debug", "trace". */
const char *log_level_name(enum wps_log_level level);

/* Lines lost so far. */
uint64_t log_lines_lost(void);

#define log_error(...)   log_line(WPS_LOG_ERROR, "wpsd", __VA_ARGS__)
#define log_warning(...) log_line(WPS_LOG_WARNING, "wpsd", __VA_ARGS__)
#define log_info(...)    log_line(WPS_LOG_INFO, "wpsd", __VA_ARGS__)
#define log_debug(...)   log_line(WPS_LOG_DEBUG, "wpsd", __VA_ARGS__)

#endif
