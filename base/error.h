/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

/*
 * The error contract of the whole project.
 *
 * A function that can fail returns 0 (or a count) on success and a negative errno on failure. Where
 * a person will read of it, it also takes a `struct wps_error *`: on failure the sentence in it
 * says what was tried, on what, and what to do. On success it is untouched, and so are all `ret_`
 * parameters on failure. A null pointer is allowed and means that nobody will read it. Only entry
 * points log.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct wps_error {
    char message[512]; /* UTF-8, NUL terminated, cut where it is longer */
};

/* Writes the sentence and returns `code`, so that failing is one line:
 *     return wps_error_set (error, -EINVAL, "%s: not a number", key);
 * `code` is a negative errno. Where `error` is null only the code is returned. */
int wps_error_set(struct wps_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, followed by ": " and the system's text for `code`. */
int wps_error_system(struct wps_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* True where the same may succeed in a moment: descriptors or memory are short, or a signal came.
 */
bool wps_error_passes(int code);

#endif
