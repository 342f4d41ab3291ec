/* SPDX-License-Identifier: Apache-2.0 */

/* Log lines on stderr that never hold anybody up. */

#include "broker_shim/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schemas/wire.h"

enum {
    /* A pipe that polls as writable takes PIPE_BUF (4096) bytes without blocking; no line is
       longer. */
    LINE_MAX_BYTES = 4096,
    MESSAGE_MAX_BYTES = 2048,
};

static _Atomic int current_level = WPS_LOG_INFO;
static _Atomic int current_format = LOG_FORMAT_TEXT;
static _Atomic uint64_t lines_lost;
static uint64_t lines_lost_told; /* under write_lock, as the next */
static bool is_cut;              /* the last write ended within its line: the disk was full */
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t size;
};

void log_set_level(enum wps_log_level level)
{
    atomic_store(&current_level, (int)level);
}

void log_set_format(enum log_format format)
{
    atomic_store(&current_format, (int)format);
}

enum wps_log_level log_level(void)
{
    return (enum wps_log_level)atomic_load(&current_level);
}

uint64_t log_lines_lost(void)
{
    return atomic_load(&lines_lost);
}

const char *log_level_name(enum wps_log_level level)
{
    static const char *const names[] = {"error", "warning", "info", "debug", "trace"};
    return (unsigned)level < 5 ? names[level] : "trace";
}

/* Appends what fits; two bytes are always left for the end of the line. */
static void line_add(struct line *line, const char *bytes, size_t size)
{
    size_t room = sizeof line->bytes - 2 - line->size;
    if (size > room)
        size = room;
    memcpy(line->bytes + line->size, bytes, size);
    line->size += size;
}

static void line_add_string(struct line *line, const char *string)
{
    line_add(line, string, strlen(string));
}

static void line_add_time(struct line *line)
{
    struct timespec now;
    struct tm parts;
    char text[48];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + used, sizeof text - used, ".%03ldZ", now.tv_nsec / 1000000);
    line_add_string(line, text);
}

/* Adds a string with control characters escaped and, for JSON, quotes and backslashes. Bytes that
 * are not UTF-8 would spoil the whole line for its reader: they become question marks. A message is
 * cut at MESSAGE_MAX_BYTES, so that escaping (six bytes for one at worst) is cut only in silly
 * ones. */
static void line_add_escaped(struct line *line, const char *string, bool json)
{
    size_t size = strnlen(string, MESSAGE_MAX_BYTES);
    if (size == MESSAGE_MAX_BYTES)
        while (size > 0 && ((unsigned char)string[size] & 0xc0) == 0x80)
            size--; /* not in the middle of a character */
    bool valid = wire_utf8_valid((struct text){string, size});
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)string[i];
        char escape[8];
        if (c < 0x20 || c == 0x7f) {
            snprintf(escape, sizeof escape, json ? "\\u%04x" : "\\x%02x", c);
            line_add_string(line, escape);
        } else if (json && (c == '"' || c == '\\')) {
            line_add(line, (const char[]){'\\', (char)c}, 2);
        } else {
            line_add(line, c >= 0x80 && !valid ? "?" : (const char *)&c, 1);
        }
    }
}

static void line_make(struct line *line, enum wps_log_level level, const char *source,
                      const char *message)
{
    line->size = 0;
    if (atomic_load(&current_format) == LOG_FORMAT_JSON) {
        line_add_string(line, "{\"time\":\"");
        line_add_time(line);
        line_add_string(line, "\",\"level\":\"");
        line_add_string(line, log_level_name(level));
        line_add_string(line, "\",\"source\":\"");
        line_add_escaped(line, source, true);
        line_add_string(line, "\",\"message\":\"");
        line_add_escaped(line, message, true);
        if (line->size > sizeof line->bytes - 8)
            line->size = sizeof line->bytes - 8;
        line_add_string(line, "\"}");
    } else {
        line_add_time(line);
        line_add_string(line, " ");
        line_add_string(line, log_level_name(level));
        line_add_string(line, " ");
        line_add_escaped(line, source, false);
        line_add_string(line, ": ");
        line_add_escaped(line, message, false);
    }
    line->bytes[line->size++] = '\n';
}

/* True where stderr took the line. A reader of our pipe that sleeps must not stop the broker. */
static bool line_write(const struct line *line)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT))
        return false;
    if (is_cut && write(STDERR_FILENO, "\n", 1) != 1)
        return false;
    ssize_t n = write(STDERR_FILENO, line->bytes, line->size);
    is_cut = n > 0 && n < (ssize_t)line->size;
    return n == (ssize_t)line->size;
}

/* Call with write_lock held. */
static void tell_of_lost_lines(void)
{
    uint64_t lost = atomic_load(&lines_lost);
    if (lost == lines_lost_told)
        return;
    char message[96];
    struct line line;
    snprintf(message, sizeof message, "%llu log lines were lost here: stderr took no more",
             (unsigned long long)(lost - lines_lost_told));
    line_make(&line, WPS_LOG_WARNING, "wpsd", message);
    if (line_write(&line))
        lines_lost_told = lost;
}

void log_text(int level, const char *source, const char *message)
{
    if (level < WPS_LOG_ERROR || level > WPS_LOG_TRACE)
        level = WPS_LOG_TRACE;
    if (level > atomic_load_explicit(&current_level, memory_order_relaxed))
        return;
    struct line line;
    line_make(&line, (enum wps_log_level)level, source, message);
    pthread_mutex_lock(&write_lock);
    tell_of_lost_lines();
    if (!line_write(&line))
        atomic_fetch_add(&lines_lost, 1);
    pthread_mutex_unlock(&write_lock);
}

void log_line(int level, const char *source, const char *format, ...)
{
    if (level > atomic_load_explicit(&current_level, memory_order_relaxed))
        return;
    char message[MESSAGE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_text(level, source, message);
}
